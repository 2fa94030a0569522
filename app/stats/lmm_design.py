"""From columns and level codes to the scaled matrices that the mixed-model engine works on.

The model is the linear mixed model of Laird and Ware (1982) in the spherical form of Bates et al.
(2015, J. Stat. Softw. 67(1)):

    y = X beta + sum_t Z_t b_t + e,    b_t = (I_L (x) Lambda_t) u_t,    u_t ~ N(0, sigma^2 I),
    e ~ N(0, sigma^2 diag(1/w)).

Nothing here estimates a variance; that is `lmm_criterion`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from app.stats.errors import InsufficientData

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Sparse = Any
"""A scipy CSR array: its stubs know too many shapes to be of help here."""


def csr(*args: Any, **kwargs: Any) -> Sparse:
    """`scipy.sparse.csr_array`, untyped."""
    make: Any = sp.csr_array
    return make(*args, **kwargs)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RandomTerm:
    """One random-effects term, e.g. ``(1 + position + log_length | judge)``.

    name       the factor's name, unique within a fit
    codes      (n,) integers, the level of each row; a negative code means that the row has no level of
               this term (no annotator on an LLM's row): the term is then absent from that row
    levels     number of levels; default ``codes.max() + 1``. Levels without rows are allowed
    columns    (n, k) numeric columns that get a random slope per level, or None
    intercept  whether the term has a random intercept; ``intercept=False`` with one column is ``(0 + x | g)``
    correlated True: one full covariance matrix per level; False: independent effects (``||`` in lme4)
    column_names  names of the slopes; default ``x0, x1, ...``
    nested_in  name of a term in which this one's levels are nested (cells of judge x item in items). Nesting
               is found without being told; naming it makes the fit fail if it does not hold
    """

    name: str
    codes: npt.NDArray[Any]
    levels: int | None = None
    columns: npt.NDArray[Any] | None = None
    intercept: bool = True
    correlated: bool = True
    column_names: tuple[str, ...] = ()
    nested_in: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Term:
    """A checked `RandomTerm`: codes int64 with -1 for absent, columns scaled to root mean square 1."""

    name: str
    codes: Ints
    levels: int
    values: Floats | None  # (n, K) scaled columns including the intercept; None: intercept only
    scale: Floats  # (K,) what each column was divided by
    effects: tuple[str, ...]  # K names
    correlated: bool
    nested_in: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """An independent set of random effects: levels x size values with one covariance matrix per level."""

    term: int
    effects: tuple[int, ...]
    levels: int

    @property
    def size(self) -> int:
        return len(self.effects)

    @property
    def parameters(self) -> int:
        return self.size * (self.size + 1) // 2


def check_term(term: RandomTerm, n: int, used: npt.NDArray[np.bool_]) -> Term:
    """Validate and scale one term. ``used`` (n,) marks the rows with positive weight.

    Raises ValueError for shapes and values that cannot be a random term.
    """
    codes = np.asarray(term.codes)
    if codes.shape != (n,):
        raise ValueError(f"codes of random term {term.name!r} have shape {codes.shape}, expected ({n},)")
    if codes.dtype.kind not in "iub":
        raise ValueError(f"codes of random term {term.name!r} must be integers, not {codes.dtype}")
    codes = codes.astype(np.intp, copy=False)
    top = int(codes.max(initial=-1))
    levels = top + 1 if term.levels is None else int(term.levels)
    if top >= levels:
        raise ValueError(f"random term {term.name!r} has code {top} but {levels} levels")
    if not (codes[used] >= 0).any():
        raise InsufficientData(f"rows with a level of {term.name!r}", 0, 1)
    values, scale, effects = _term_columns(term, codes, n, used)
    return Term(
        name=term.name,
        codes=codes,
        levels=levels,
        values=values,
        scale=scale,
        effects=effects,
        correlated=term.correlated,
        nested_in=term.nested_in,
    )


def _term_columns(
    term: RandomTerm, codes: Ints, n: int, used: npt.NDArray[np.bool_]
) -> tuple[Floats | None, Floats, tuple[str, ...]]:
    if term.columns is None:
        if not term.intercept:
            raise ValueError(f"random term {term.name!r} has neither an intercept nor columns")
        return None, np.ones(1), ("intercept",)
    slopes = np.asarray(term.columns, dtype=np.float64)
    slopes = slopes[:, None] if slopes.ndim == 1 else slopes
    if slopes.ndim != 2 or slopes.shape[0] != n:
        raise ValueError(f"columns of random term {term.name!r} have shape {slopes.shape}, expected ({n}, k)")
    present = used & (codes >= 0)
    if not np.isfinite(slopes[present]).all():
        raise ValueError(f"columns of random term {term.name!r} hold values that are not finite")
    names = term.column_names or tuple(f"x{j}" for j in range(slopes.shape[1]))
    if len(names) != slopes.shape[1]:
        raise ValueError(f"random term {term.name!r} has {slopes.shape[1]} columns but {len(names)} names")
    scale = np.sqrt(np.mean(slopes[present] ** 2, axis=0))
    scale[scale == 0] = 1.0
    # Rows that lack the term may hold anything, NaN included, in its columns.
    values = np.where(present[:, None], slopes, 0.0) / scale
    if not term.intercept:
        return values, scale, tuple(names)
    return (
        np.column_stack([np.ones(n), values]),
        np.concatenate([[1.0], scale]),
        ("intercept", *names),
    )


def blocks_of(terms: Sequence[Term]) -> tuple[Block, ...]:
    """The independent blocks of all terms, in order: an uncorrelated term of K effects gives K blocks."""
    blocks: list[Block] = []
    for t, term in enumerate(terms):
        k = len(term.effects)
        groups = [tuple(range(k))] if term.correlated else [(j,) for j in range(k)]
        blocks += [Block(term=t, effects=g, levels=term.levels) for g in groups]
    return tuple(blocks)


def check_outcome(y: Any, weights: Any) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """y (n,) and weights (n,) as floats, and the rows that count (weight > 0)."""
    outcome = np.asarray(y, dtype=np.float64)
    if outcome.ndim != 1:
        raise ValueError(f"y has shape {outcome.shape}, expected (n,)")
    n = outcome.size
    prior = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    if prior.shape != (n,):
        raise ValueError(f"weights have shape {prior.shape}, expected ({n},)")
    if not np.isfinite(prior).all() or (prior < 0).any():
        raise ValueError("weights must be finite and not negative")
    used = prior > 0
    if not np.isfinite(outcome[used]).all():
        raise ValueError("y holds values that are not finite")
    return outcome, prior, used
