"""Can these data tell the variances apart at all? And where are they, roughly?

The variances of y = X beta + sum Z_t b_t + e are identified (by second moments, REML) exactly if the matrices
P Z_t Z_t' P and P, with P the projection off X, are linearly independent. Their Gram matrix

    S_st = tr(P Z_s Z_s' P Z_t Z_t'),   S_0t = tr(P Z_t Z_t'),   S_00 = n - p

does not depend on any parameter, and solving S gamma = (y'P Z_t Z_t' P y) gives MINQUE(0) (Rao 1971), a
consistent start for the search.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from app.stats.lmm_criterion import Criterion
from app.stats.lmm_design import Floats
from app.stats.lmm_elimination import Nested, OuterSums, Scalar
from app.stats.lmm_sparse import SparseFactors

CONFOUNDED = 1e-9
"""Part of a term's own second moment that must be left after the fixed effects."""

DEPENDENT = 1e-8
"""Smallest eigenvalue of the correlation-scaled Gram matrix for variances that can be told apart."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Identification:
    """identified (m + 1,) per variance, the residual last; reasons: one sentence each; start: theta."""

    identified: tuple[bool, ...]
    reasons: tuple[str, ...]
    components: tuple[tuple[int, int], ...]
    start: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Large:
    """Level weights and [X, border Z, y] sums of one eliminated factor."""

    m: Floats
    outer: Floats  # sum s s', (d, d)
    weighted: Floats  # sum m s s'


def identify(criterion: Criterion) -> Identification:
    """Second-moment identification of every variance (random slopes: of each slope's own variance)."""
    names, gram, moments, own = _moments(criterion)
    count = len(names)
    alive = np.array([gram[k, k] > CONFOUNDED * own[k] for k in range(count)], dtype=bool)
    identified = alive.copy()
    reasons = [
        f"the variance of {names[k][1]} cannot be told from the fixed effects"
        for k in range(count)
        if not alive[k]
    ]
    live = np.flatnonzero(alive)
    scale = np.sqrt(np.diag(gram)[live])
    values, vectors = np.linalg.eigh(gram[np.ix_(live, live)] / np.outer(scale, scale))
    for value, vector in zip(values, vectors.T, strict=True):
        if value < DEPENDENT:
            involved = live[np.abs(vector) > 0.05]
            identified[involved] = False
            reasons.append(
                "the variances of " + " and ".join(names[k][1] for k in involved) + " cannot be told apart"
            )
    gamma = np.zeros(count)
    gamma[live] = np.linalg.pinv(gram[np.ix_(live, live)] / np.outer(scale, scale), rcond=1e-8) @ (
        moments[live] / scale
    )
    gamma[live] /= scale
    return Identification(
        identified=tuple(bool(v) for v in identified),
        reasons=tuple(reasons),
        components=tuple(names[k][0] for k in range(count)),
        start=_start(criterion, names, gamma, alive),
    )


def _start(
    criterion: Criterion, names: list[tuple[tuple[int, int], str]], gamma: Floats, alive: np.ndarray
) -> Floats:
    """Lambda's diagonal from the moment estimates; a negative one starts small, a confounded one at zero."""
    theta = np.zeros(criterion.parameters)
    residual = max(float(gamma[-1]), 1e-3 * float(np.abs(gamma).max()), 1e-12)
    for k, ((block, effect), _) in enumerate(names[:-1]):
        ratio = float(np.clip(gamma[k] / residual, 0.02, 1e4)) if alive[k] else 0.0
        theta[criterion.slices[block].start + effect * (effect + 3) // 2] = np.sqrt(ratio)
    return theta


def _moments(
    criterion: Criterion,
) -> tuple[list[tuple[tuple[int, int], str]], Floats, Floats, Floats]:
    """Names, S, (y'P Z Z'P y) and each term's second moment before the fixed effects; the residual last."""
    if isinstance(criterion.elimination, SparseFactors):
        return _general_moments(criterion, criterion.elimination)
    q, p, d = criterion.q, criterion.p, criterion.d
    gram = np.asarray(criterion.elimination.schur(np.zeros(criterion.elimination.parameters))[0])
    inverse = np.zeros((d, d))
    x = slice(q, q + p)
    if p:
        inverse[x, x] = np.linalg.inv(gram[x, x])
    projected = gram - gram @ inverse @ gram
    large = _large_sums(criterion)
    off = np.eye(d) - inverse @ gram  # W -> P W, acting on columns
    names = _labels(criterion)
    kinds: list[tuple[str, Any]] = []
    for b, block in enumerate(criterion.blocks):
        for j in range(block.size):
            if b in criterion.offsets:
                start = criterion.offsets[b]
                kinds.append(("border", np.arange(start + j, start + block.levels * block.size, block.size)))
            else:
                kinds.append(("large", b))
    count = len(names)
    out = np.zeros((count, count))
    moments = np.zeros(count)
    own = np.zeros(count)
    for s in range(count - 1):
        kind_s, at_s = kinds[s]
        if kind_s == "border":
            moments[s] = float((projected[at_s, -1] ** 2).sum())
            own[s] = float((gram[np.ix_(at_s, at_s)] ** 2).sum())
            out[s, -1] = out[-1, s] = float(np.trace(projected[np.ix_(at_s, at_s)]))
        else:
            sums = large[at_s]
            moments[s] = float((off.T @ sums.outer @ off)[-1, -1])
            own[s] = float((sums.m**2).sum())
            out[s, -1] = out[-1, s] = float(sums.m.sum() - np.trace(inverse @ sums.outer))
        for t in range(s, count - 1):
            kind_t, at_t = kinds[t]
            if kind_s == kind_t == "border":
                value = float((projected[np.ix_(at_s, at_t)] ** 2).sum())
            elif kind_s != kind_t:
                at, sums = (at_s, large[at_t]) if kind_s == "border" else (at_t, large[at_s])
                value = float(np.einsum("ij,ij->j", off[:, at], sums.outer @ off[:, at]).sum())
            elif s == t:
                a, c = inverse @ large[at_s].outer, large[at_s].weighted
                value = float((large[at_s].m ** 2).sum() - 2 * np.trace(inverse @ c) + np.trace(a @ a))
            else:
                value = _parent_cell(criterion, inverse, large)
            out[s, t] = out[t, s] = value
    out[-1, -1] = criterion.n - p
    moments[-1] = projected[-1, -1]
    own[-1] = criterion.n
    return names, out, moments, own


def _labels(criterion: Criterion) -> list[tuple[tuple[int, int], str]]:
    names = []
    for b, block in enumerate(criterion.blocks):
        term = criterion.terms[block.term]
        for j, effect in enumerate(block.effects):
            label = term.name if term.values is None else f"{term.effects[effect]} | {term.name}"
            names.append(((b, j), label))
    return [*names, ((-1, 0), "the residual")]


def _general_moments(
    criterion: Criterion, elimination: SparseFactors
) -> tuple[list[tuple[tuple[int, int], str]], Floats, Floats, Floats]:
    names, p, gram = _labels(criterion), criterion.p, elimination.gram
    inverse = np.zeros_like(gram)
    inverse[:p, :p] = np.linalg.inv(gram[:p, :p])
    pairs, single, moments, own = elimination.second_moments(inverse)
    out = np.zeros((len(names), len(names)))
    out[:-1, :-1] = pairs
    out[:-1, -1] = out[-1, :-1] = single
    out[-1, -1] = criterion.n - p
    rest = gram[-1, -1] - gram[-1] @ inverse @ gram[-1]
    return names, out, np.append(moments, rest), np.append(own, criterion.n)


def _large_sums(criterion: Criterion) -> dict[int, _Large]:
    elimination = criterion.elimination
    out: dict[int, _Large] = {}
    if isinstance(elimination, Scalar) and criterion.big is not None:
        out[criterion.big] = _of_outer(elimination.m, elimination.outer)
    if isinstance(elimination, Nested) and criterion.big is not None and criterion.cell is not None:
        out[criterion.cell] = _of_outer(elimination.m, elimination.outer)
        totals, sums = elimination.item_sums(np.zeros(2))
        out[criterion.big] = _Large(m=totals, outer=sums.T @ sums, weighted=sums.T @ (sums * totals[:, None]))
    return out


def _of_outer(m: Floats, outer: OuterSums) -> _Large:
    return _Large(m=m, outer=outer.combine(np.ones(len(outer.nodes))), weighted=outer.combine(outer.nodes))


def _parent_cell(criterion: Criterion, inverse: Floats, large: dict[int, _Large]) -> float:
    """tr(P Z_i Z_i' P Z_c Z_c') of items and the cells nested in them."""
    elimination = criterion.elimination
    if not isinstance(elimination, Nested) or criterion.big is None or criterion.cell is None:
        raise AssertionError("only nested factors have a parent")
    _, sums = elimination.item_sums(np.zeros(2))
    weighted = np.asarray(elimination.spread @ elimination.classes).reshape(sums.shape)
    cross = weighted.T @ sums
    a, b = inverse @ large[criterion.cell].outer, inverse @ large[criterion.big].outer
    squares = float((elimination.m**2).sum())
    return float(squares - 2 * np.trace(inverse @ cross) + np.trace(a @ b))
