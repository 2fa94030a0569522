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

from app.stats.errors import InsufficientData, NotIdentified

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Sparse = Any
"""A scipy CSR array: its stubs know too many shapes to be of help here."""


def csr(*args: Any, **kwargs: Any) -> Sparse:
    """`scipy.sparse.csr_array`, untyped."""
    make: Any = sp.csr_array
    return make(*args, **kwargs)


ALIAS_TOLERANCE = 1e-7
"""A column is aliased if less than this part of its norm is left after the columns before it (R's `qr`)."""

SPARSE_ALIAS_TOLERANCE = 1e-5
"""The same where only X'X is formed (sparse X): squaring halves the digits."""


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FixedPart:
    """Fixed effects after aliased columns were dropped, centred (dense X with a constant) and scaled.

    matrix     (n, p) dense array or CSR matrix, scaled
    back       (p, p) with beta = back @ beta_scaled
    kept       (p,) indices of the kept columns in the caller's X
    alias      (p, p_all): column j of the caller's X equals X_kept @ alias[:, j] on these data
    log_scale  log |det back^-1|: what scaling X added to the REML criterion's log det(X'V^-1 X) / 2
    """

    matrix: Floats | Sparse
    back: Floats
    kept: Ints
    alias: Floats
    names: tuple[str, ...]
    log_scale: float


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


def prepare_fixed(X: Any, names: Sequence[str] | None, weights: Floats, n: int) -> FixedPart:
    """Check X, drop zero and aliased columns (the first of a set stays), centre and scale the rest."""
    sparse = sp.issparse(X)
    matrix: Any = csr(X, dtype=np.float64) if sparse else np.asarray(X, dtype=np.float64)
    if matrix.ndim == 1:
        matrix = matrix[:, None]
    if matrix.ndim != 2 or matrix.shape[0] != n:
        raise ValueError(f"X has shape {matrix.shape}, expected ({n}, p)")
    if not np.isfinite(matrix.data if sparse else matrix).all():
        raise ValueError("X holds values that are not finite")
    p = matrix.shape[1]
    labels = tuple(f"x{j}" for j in range(p)) if names is None else tuple(names)
    if len(labels) != p:
        raise ValueError(f"X has {p} columns but {len(labels)} names")
    scale, centre, constant = _column_scaling(matrix, weights, sparse)
    if sparse:
        scaled: Any = csr(matrix @ sp.diags_array(1.0 / scale))
    else:
        scaled = (matrix - centre) / scale
    kept, alias = (_alias_sparse if sparse else _alias_dense)(scaled, weights)
    # X_scaled = X @ T with T upper shear: centring subtracts a multiple of the constant column.
    back = np.diag(1.0 / scale)
    if constant is not None:
        level = float(matrix[0, constant])
        back[constant, :] -= centre / (level * scale)
    alias_raw = back[np.ix_(kept, kept)] @ alias @ np.linalg.inv(back) if p else alias
    return FixedPart(
        matrix=scaled if len(kept) == p else (csr(scaled[:, kept]) if sparse else scaled[:, kept]),
        back=back[np.ix_(kept, kept)],
        kept=kept,
        alias=alias_raw,
        names=labels,
        log_scale=float(np.log(scale[kept]).sum()),
    )


def _column_scaling(matrix: Any, weights: Floats, sparse: bool) -> tuple[Floats, Floats, int | None]:
    """Root mean square of each column after centring; which column is the constant (None: not centred)."""
    p = matrix.shape[1]
    total = float(weights.sum())
    centre = np.zeros(p)
    constant = None
    if sparse:
        square = matrix.copy()
        square.data **= 2
        scale = np.sqrt(np.asarray(square.T @ weights) / total)
    else:
        flat = [j for j in range(p) if matrix[0, j] != 0 and np.ptp(matrix[:, j]) == 0]
        if flat:
            constant = flat[0]
            centre = weights @ matrix / total
            centre[constant] = 0.0
        scale = np.sqrt(
            np.array([weights @ np.square(matrix[:, j] - centre[j]) for j in range(p)]) / max(total, 1e-300)
        )
        # A column equal to its mean up to rounding is a second constant: leave its (tiny) rest at zero.
        scale[scale <= 1e-13 * np.abs(centre)] = 0.0
    scale = np.where(scale > 0, scale, 1.0)
    return scale, centre, constant


def _alias_dense(matrix: Floats, weights: Floats) -> tuple[Ints, Floats]:
    """Modified Gram-Schmidt, twice, in column order; returns kept columns and the alias coefficients."""
    n, p = matrix.shape
    root = np.sqrt(weights)
    basis = np.empty((n, p), order="F")
    kept: list[int] = []
    for j in range(p):
        column = matrix[:, j] * root
        norm = float(np.linalg.norm(column))
        if norm <= 1e-10 * np.sqrt(weights.sum()):
            continue  # scaled columns have norm sqrt(sum w): this one is zero
        for _ in range(2):
            column = column - basis[:, : len(kept)] @ (basis[:, : len(kept)].T @ column)
        rest = float(np.linalg.norm(column))
        if rest > ALIAS_TOLERANCE * norm:
            basis[:, len(kept)] = column / rest
            kept.append(j)
    index = np.array(kept, dtype=np.intp)
    alias = np.zeros((len(kept), p))
    alias[np.arange(len(kept)), index] = 1.0
    dropped = np.setdiff1d(np.arange(p), index)
    if len(dropped) and len(kept):
        alias[:, dropped] = np.linalg.lstsq(
            matrix[:, index] * root[:, None], matrix[:, dropped] * root[:, None], rcond=None
        )[0]
    return index, alias


def _alias_sparse(matrix: Sparse, weights: Floats) -> tuple[Ints, Floats]:
    """Cholesky of X'WX in column order, skipping columns without a rest."""
    gram = np.asarray((matrix.T @ matrix.multiply(weights[:, None]).tocsr()).toarray())
    p = gram.shape[0]
    kept: list[int] = []
    factor = np.zeros((p, p))
    for j in range(p):
        k = len(kept)
        row = factor[:k, :k]
        cross = np.linalg.solve(row, gram[kept, j]) if k else np.zeros(0)
        rest = gram[j, j] - cross @ cross
        if gram[j, j] > 0 and rest > SPARSE_ALIAS_TOLERANCE**2 * gram[j, j]:
            factor[k, :k] = cross
            factor[k, k] = np.sqrt(rest)
            kept.append(j)
    index = np.array(kept, dtype=np.intp)
    alias = np.zeros((len(kept), p))
    if len(kept):
        alias = np.linalg.solve(gram[np.ix_(index, index)], gram[index, :])
        alias[:, index] = np.eye(len(kept))
    return index, alias


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


def residualise(y: Floats, fixed: FixedPart, weights: Floats) -> tuple[Floats, Floats, float]:
    """Weighted least-squares residual of y on the scaled X, its coefficients, and its weighted rms.

    Subtracting X b leaves the REML and ML criteria as they are and keeps all digits for the variances.
    Raises NotIdentified if X explains y exactly: there is then no variance to divide.
    """
    matrix: Any = fixed.matrix
    p = matrix.shape[1]
    coefficients = np.zeros(p)
    rest = y.copy()
    if p:
        sparse: bool = sp.issparse(matrix)
        weighted = matrix.multiply(weights[:, None]).tocsr() if sparse else matrix * weights[:, None]
        gram = np.asarray((weighted.T @ matrix).toarray() if sparse else weighted.T @ matrix)
        for _ in range(2):  # the second pass removes what rounding left of the first
            step = np.linalg.solve(gram, np.asarray(weighted.T @ rest))
            coefficients += step
            rest -= np.asarray(matrix @ step)
    size = float(np.sqrt(weights @ rest**2 / weights.sum()))
    spread = float(np.sqrt(weights @ y**2 / weights.sum()))
    if size <= 1e-12 * spread or size == 0.0:
        raise NotIdentified("the residual variance", "the fixed effects reproduce the outcome exactly")
    return rest / size, coefficients, size
