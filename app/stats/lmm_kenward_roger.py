"""Kenward-Roger standard errors and degrees of freedom, exactly, at a cost that does not grow with n squared.

Kenward and Roger (1997, Biometrics 53), for V = sum_r gamma_r G_r with P_r = -X'V^-1 G_r V^-1 X,
Q_rs = X'V^-1 G_r V^-1 G_s V^-1 X, Phi = (X'V^-1 X)^-1 and W the inverse of the REML expected information,

    I_rs  = (tr(V^-1 G_r V^-1 G_s) - 2 tr(Phi Q_rs) + tr(Phi P_r Phi P_s)) / 2,     W = I^-1,
    Phi_A = Phi + 2 Phi {sum_rs W_rs (Q_rs - P_r Phi P_s)} Phi,
    df(l) = 2 (l'Phi l)^2 / sum_rs W_rs (l'Phi P_r Phi l)(l'Phi P_s Phi l)

(the last is what their formula is for one contrast). Packages form n x n inverses for this. Here every trace
is taken through the arrowhead: with U_r = Z_r'V_b^-1 W for the large factor r (V_b: large factors alone) only
the d x d sums E_r = U_r'U_r and F_rs = U_r'(Z_r'V_b^-1 Z_s)U_s and the norms of Z_r'V_b^-1 Z_s are needed.
Because the result is the same in any basis of the G_r, V itself is taken in place of the identity.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from app.stats.lmm import LmmFit
from app.stats.lmm_criterion import Criterion, symmetric_inverse
from app.stats.lmm_design import Floats, Ints
from app.stats.lmm_elimination import Nested, OuterSums, Scalar
from app.stats.lmm_rows import rows_of

PARENT, CELL = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KenwardRoger:
    """covariance (p, p): adjusted covariance of beta, units of y squared.

    weights (r, r) W and slopes (r, p, p) Phi P_r Phi, in a basis and scale of their own: what `df` needs.
    """

    covariance: Floats
    weights: Floats
    slopes: Floats

    def df(self, fit: LmmFit, L: Floats) -> Floats:
        """Degrees of freedom (k,) of contrasts L (k, p) over the kept columns."""
        variance = np.einsum("ij,jk,ik->i", L, fit.covariance, L)
        along = np.einsum("ij,rjk,ik->ir", L, self.slopes, L)
        spread = np.einsum("ir,rs,is->i", along, self.weights, along)
        with np.errstate(divide="ignore", invalid="ignore"):
            df = 2 * variance**2 / spread
        return np.asarray(np.where(np.isfinite(df) & (df > 0), df, fit.df))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Large:
    """Sums over the large factors: E (per factor), F and norms (per pair), traces of Z_r'V_b^-1 Z_r."""

    E: dict[int, Floats]
    F: dict[tuple[int, int], Floats]
    norms: dict[tuple[int, int], float]
    traces: dict[int, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """One G_r: ordered pairs of border column sets (both orders off the diagonal), or a large factor."""

    pairs: tuple[tuple[Ints, Ints], ...] = ()
    large: int | None = None


def kenward_roger(fit: LmmFit) -> KenwardRoger:
    """The adjusted covariance of beta, and what df need. ValueError for ML and for the general case."""
    if not fit.reml:
        raise ValueError("Kenward-Roger is defined for REML fits")
    engine = fit.engine
    criterion, state = engine.criterion, engine.state
    if criterion.general:
        raise ValueError("Kenward-Roger needs the arrowhead: this fit has two large crossed factors")
    q, m = criterion.q, criterion.d - 1
    x = slice(q, m)
    lambdas = criterion.lambdas(state.theta)
    inner = np.zeros((m, m))
    if q:
        spherical = symmetric_inverse(state.lower[:q, :q])
        padded = np.zeros((criterion.d, criterion.d))
        padded[:q, :q] = spherical
        half = criterion.times_lambda(padded, [L.T for L in lambdas])
        inner = criterion.times_lambda(half.T, [L.T for L in lambdas])[:m, :m]  # K = Lambda B^-1 Lambda'
    border = state.schur[:m, :m]
    through = np.eye(m) - inner @ border  # T: W'H^-1 W = B0 T, Z_r'H^-1 W = U_r T
    M = border @ through
    M = (M + M.T) / 2
    large = _large(criterion, state.theta, m)
    phi = np.linalg.inv(M[x, x])
    parts = _parts(criterion)
    count = len(parts) + 1
    P, Q, traces = _all(parts, criterion.n, M, through, inner, large, x)
    information = np.empty((count, count))
    for r in range(count):
        for s in range(count):
            information[r, s] = (
                traces[r, s] - 2 * np.sum(phi * Q[r, s].T) + np.sum((phi @ P[r]) * (phi @ P[s]).T)
            )
    weights = 2 * _symmetric_pinv((information + information.T) / 2)
    gap = sum(weights[r, s] * (Q[r, s] - P[r] @ phi @ P[s]) for r in range(count) for s in range(count))
    adjusted = phi + 2 * phi @ np.asarray(gap) @ phi
    back, sigma2 = engine.fixed.back, fit.sigma2
    covariance = sigma2 * back @ ((adjusted + adjusted.T) / 2) @ back.T
    slopes = np.array([-sigma2 * back @ phi @ p @ phi @ back.T for p in P])
    return KenwardRoger(covariance=covariance, weights=weights, slopes=slopes)


def _symmetric_pinv(matrix: Floats) -> Floats:
    """Inverse on the directions that carry information, in the scale of the diagonal."""
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    good = values > 1e-10
    return np.asarray(((vectors[:, good] / values[good]) @ vectors[:, good].T) / np.outer(scale, scale))


def _parts(criterion: Criterion) -> list[_Part]:
    out: list[_Part] = []
    for b, block in enumerate(criterion.blocks):
        if b == criterion.big:
            out.append(_Part(large=PARENT))
        elif b == criterion.cell:
            out.append(_Part(large=CELL))
        else:
            start = criterion.offsets[b]
            columns = [start + block.size * np.arange(block.levels) + j for j in range(block.size)]
            for i in range(block.size):
                for j in range(i + 1):
                    one = (columns[i], columns[j])
                    out.append(_Part(pairs=(one,) if i == j else (one, one[::-1])))
    return out


def _all(
    parts: list[_Part], n: int, M: Floats, through: Floats, inner: Floats, large: _Large, x: slice
) -> tuple[list[Floats], dict[tuple[int, int], Floats], Floats]:
    """P_r without its sign, Q_rs and tr(H^-1 G_r H^-1 G_s); V itself comes last."""
    count = len(parts) + 1
    # Z_r'H^-1 W summed with itself: C'C = T'E_r T.
    crossed = {r: through.T @ E @ through for r, E in large.E.items()}
    P: list[Floats] = []
    traces = np.zeros((count, count))
    for r, part in enumerate(parts):
        if part.large is None:
            P.append(np.asarray(sum(M[x][:, a] @ M[b][:, x] for a, b in part.pairs)))
            single = sum(float(M[b, a].sum()) for a, b in part.pairs)
        else:
            P.append(crossed[part.large][x, x])
            single = large.traces[part.large] - float(np.sum(inner * large.E[part.large].T))
        traces[r, -1] = traces[-1, r] = single
    P.append(M[x, x])
    traces[-1, -1] = n
    Q: dict[tuple[int, int], Floats] = {}
    for r, one in enumerate(parts):
        for s, two in enumerate(parts):
            Q[r, s], traces[r, s] = _pair(one, two, M, through, inner, large, crossed, x)
        Q[r, count - 1] = P[r]
        Q[count - 1, r] = P[r]
    Q[count - 1, count - 1] = M[x, x]
    return [-p for p in P], Q, traces


def _pair(
    one: _Part,
    two: _Part,
    M: Floats,
    through: Floats,
    inner: Floats,
    large: _Large,
    crossed: dict[int, Floats],
    x: slice,
) -> tuple[Floats, float]:
    """X'H^-1 G_r H^-1 G_s H^-1 X and tr(H^-1 G_r H^-1 G_s)."""
    if one.large is None and two.large is None:
        Q = sum(M[x][:, a] @ M[np.ix_(b, c)] @ M[e][:, x] for a, b in one.pairs for c, e in two.pairs)
        trace = sum(
            float(np.sum(M[np.ix_(b, c)] * M[np.ix_(a, e)])) for a, b in one.pairs for c, e in two.pairs
        )
        return np.asarray(Q), float(trace)
    if one.large is not None and two.large is None:
        C = crossed[one.large]
        Q = sum(C[x][:, c] @ M[e][:, x] for c, e in two.pairs)
        return np.asarray(Q), float(sum(float(C[c, e].sum()) for c, e in two.pairs))
    if one.large is None and two.large is not None:
        Q, trace = _pair(two, one, M, through, inner, large, crossed, x)
        return Q.T, trace
    r, s = one.large, two.large
    if r is None or s is None:
        raise AssertionError("both are large here")
    E_r, E_s, F = large.E[r], large.E[s], large.F[r, s]
    Q = through.T @ F @ through - (through.T @ E_r) @ inner @ (E_s @ through)
    trace = large.norms[r, s] - 2 * float(np.sum(inner * F)) + float(np.sum((inner @ E_r) * (inner @ E_s).T))
    return Q[x, x], trace


def _large(criterion: Criterion, theta: Floats, m: int) -> _Large:
    elimination = criterion.elimination
    values = criterion.large_theta(theta)
    if isinstance(elimination, Scalar):
        return _large_scalar(elimination.outer, float(values[0]) ** 2, m)
    if isinstance(elimination, Nested):
        return _large_nested(elimination, float(values[0]) ** 2, float(values[1]) ** 2, m)
    return _Large(E={}, F={}, norms={}, traces={})


def _large_scalar(outer: OuterSums, t2: float, m: int) -> _Large:
    u = 1 / (1 + t2 * outer.nodes)
    level = outer.distinct / (1 + t2 * outer.distinct)
    return _Large(
        E={PARENT: outer.combine(u**2)[:m, :m]},
        F={(PARENT, PARENT): outer.combine(outer.nodes * u**3)[:m, :m]},
        norms={(PARENT, PARENT): float(outer.multiplicity @ level**2)},
        traces={PARENT: float(outer.multiplicity @ level)},
    )


def _large_nested(elimination: Nested, t2: float, f2: float, m: int) -> _Large:
    """The same for items and the cells in them, a few thousand items at a time."""
    E = {r: np.zeros((m, m)) for r in (PARENT, CELL)}
    F = {(r, s): np.zeros((m, m)) for r in (PARENT, CELL) for s in (PARENT, CELL)}
    norms = dict.fromkeys(F, 0.0)
    traces = dict.fromkeys(E, 0.0)
    seen = elimination.seen[np.argsort(elimination.parent[elimination.seen], kind="stable")]
    owner = elimination.parent[seen]
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    size = max(1, 2_000_000 // m)
    cuts = [0]
    for start in starts:
        if start - cuts[-1] >= size:
            cuts.append(int(start))
    for a, b in zip(cuts, [*cuts[1:], len(seen)], strict=True):
        _add_nested(elimination, seen[a:b], t2, f2, m, E, F, norms, traces)
    F[CELL, PARENT] = F[PARENT, CELL].T
    norms[CELL, PARENT] = norms[PARENT, CELL]
    return _Large(E=E, F=F, norms=norms, traces=traces)


def _add_nested(
    elimination: Nested,
    cells: Ints,
    t2: float,
    f2: float,
    m: int,
    E: dict[int, Floats],
    F: dict[tuple[int, int], Floats],
    norms: dict[tuple[int, int], float],
    traces: dict[int, float],
) -> None:
    """Add the cells of whole items. a_c = m_c / (1 + f2 m_c), D_i = sum a_c, v_i = 1 / (1 + t2 D_i)."""
    weight = elimination.m[cells]
    _, place = np.unique(elimination.parent[cells], return_inverse=True)
    items = int(place.max()) + 1

    def total(values: Any) -> Floats:
        if np.ndim(values) == 1:
            return np.bincount(place, weights=values, minlength=items).astype(np.float64)
        out = np.zeros((items, values.shape[1]))
        np.add.at(out, place, values)
        return out

    shrink = 1 / (1 + f2 * weight)
    a = weight * shrink
    D = total(a)
    v = 1 / (1 + t2 * D)
    own = rows_of(elimination.s, cells)[:, :m] * shrink[:, None]
    R = total(own)
    by_cell = own - (t2 * a * v[place])[:, None] * R[place]
    by_item = R * v[:, None]
    weighted = total(a[:, None] * by_cell)
    E[PARENT] += by_item.T @ by_item
    E[CELL] += by_cell.T @ by_cell
    F[PARENT, PARENT] += by_item.T @ (by_item * (D * v)[:, None])
    F[PARENT, CELL] += by_item.T @ (weighted * v[:, None])
    F[CELL, CELL] += by_cell.T @ (by_cell * a[:, None]) - weighted.T @ (weighted * (t2 * v)[:, None])
    squares = total(a**2)
    norms[PARENT, PARENT] += float(((D * v) ** 2).sum())
    norms[PARENT, CELL] += float((squares * v**2).sum())
    norms[CELL, CELL] += float((squares - 2 * t2 * v * total(a**3) + (t2 * v * squares) ** 2).sum())
    traces[PARENT] += float((D * v).sum())
    traces[CELL] += float((D - t2 * v * squares).sum())
