"""Elimination of the one large factor, so that an evaluation does not get dearer with the rows.

With V_b = I + Z_b Lambda_b Lambda_b' Z_b' (the large factor alone, rows pre-multiplied by the root of their
weights) every quantity of the profiled criterion needs of the data only

    B0(theta) = W' V_b^-1 W,   log det V_b,     W = [Z_border, X, y],  d columns.

`NoFactor` has no large factor; `Scalar` one with a scalar effect (items); `Nested` one with cells nested
in it (items, judge x item). Source: the block-arrow Cholesky of Bates and DebRoy (2004, J. Multivariate
Anal. 91), with sums over levels of equal weight collected once.
"""

from typing import Protocol

import numpy as np

from app.stats.lmm_design import Floats, Ints, Sparse, csr
from app.stats.lmm_rows import rows_of

MAX_CLASSES = 64
"""More distinct level weights than this are interpolated (41 nodes), not tabulated."""


class Elimination(Protocol):
    """What the criterion needs of the large factor. ``theta`` has as many values as `parameters`."""

    parameters: int

    def schur(self, theta: Floats) -> tuple[Floats, float]:
        """B0 (d, d) and log det V_b."""
        ...

    def gradient(self, theta: Floats, weight: Floats) -> Floats:
        """d/dtheta of  log det V_b + trace(weight B0(theta)), shape (parameters,)."""
        ...


class NoFactor:
    """No large factor: B0 is the Gram matrix."""

    parameters = 0

    def __init__(self, gram: Floats) -> None:
        self.gram = gram

    def schur(self, theta: Floats) -> tuple[Floats, float]:
        return self.gram.copy(), 0.0

    def gradient(self, theta: Floats, weight: Floats) -> Floats:
        return np.zeros(0)


class OuterSums:
    """sum_i f(m_i) s_i s_i' for any smooth f, at a cost free of the number of levels.

    m (N,) level weights, s (N, d) level sums. Levels of equal m share a tabulated sum. With many distinct m
    (unequal prior weights), f is interpolated in log m at Chebyshev nodes: the functions used here,
    t^2 / (1 + t^2 m) and its derivative, have their poles at log m = -2 log t +- i pi, so that the
    interpolation error falls geometrically and is below 1e-13 relative at the number of nodes chosen.
    """

    def __init__(self, m: Floats, s: Floats | Sparse) -> None:
        self.m = m
        d = s.shape[1]
        values, member, self.multiplicity = distinct(m)
        self.distinct = values
        if len(values) <= MAX_CLASSES:
            self.nodes = values
            order = np.argsort(member, kind="stable")
            bounds = np.concatenate([[0], np.cumsum(self.multiplicity)])
            tabulated = np.zeros((len(values), d, d))
            for c in range(len(values)):
                for part in _chunks(order[bounds[c] : bounds[c + 1]], d):
                    rows = rows_of(s, part)
                    tabulated[c] += rows.T @ rows
        else:
            self.nodes, span = _chebyshev_nodes(values)
            tabulated = np.zeros((len(self.nodes), d, d))
            for part in _chunks(np.arange(len(m)), d):
                rows = rows_of(s, part)
                basis = _barycentric(np.log(m[part]), np.log(self.nodes), span)
                for k in range(len(self.nodes)):
                    tabulated[k] += rows.T @ (rows * basis[:, k, None])
        self.sums: Floats = tabulated.reshape(len(self.nodes), d * d)

    def combine(self, f: Floats) -> Floats:
        """sum_i f_i s_i s_i' given f at the nodes; (d, d)."""
        d = int(np.sqrt(self.sums.shape[1]))
        return np.asarray((f @ self.sums).reshape(d, d))

    def inner(self, f: Floats, weight: Floats) -> float:
        """sum_i f_i s_i' weight s_i."""
        return float(f @ (self.sums @ weight.ravel()))


def distinct(m: Floats) -> tuple[Floats, Ints, Ints]:
    """Distinct values ascending, which one each entry has, and how often each occurs (fast for counts)."""
    if len(m) and m.max() < 4 * len(m) + 1024 and (m == np.floor(m)).all():
        whole = m.astype(np.intp)
        often = np.bincount(whole)
        values = np.flatnonzero(often)
        place = np.zeros(len(often), dtype=np.intp)
        place[values] = np.arange(len(values))
        return values.astype(np.float64), place[whole], often[values]
    unique, member, often = np.unique(m, return_inverse=True, return_counts=True)
    return np.asarray(unique, dtype=np.float64), member, often


def _chunks(index: Ints, d: int) -> list[Ints]:
    size = max(1, 4_000_000 // max(d, 1))
    return [index[a : a + size] for a in range(0, len(index), size)]


def _chebyshev_nodes(values: Floats) -> tuple[Floats, float]:
    low, high = float(np.log(values[0])), float(np.log(values[-1]))
    half = max((high - low) / 2, 1e-8)
    rho = np.pi / half + np.sqrt((np.pi / half) ** 2 + 1)
    count = int(np.clip(np.ceil(34.5 / np.log(rho)), 8, 400))
    angles = (2 * np.arange(count) + 1) * np.pi / (2 * count)
    return np.exp((low + high) / 2 + half * np.cos(angles)), half


def _barycentric(x: Floats, nodes: Floats, span: float) -> Floats:
    """Values (len(x), K) of the K Lagrange polynomials on Chebyshev nodes (Berrut and Trefethen 2004)."""
    count = len(nodes)
    angles = (2 * np.arange(count) + 1) * np.pi / (2 * count)
    weights = (-1.0) ** np.arange(count) * np.sin(angles)
    gap = (x[:, None] - nodes[None, :]) / span
    hit = gap == 0
    quotient = weights / np.where(hit, 1.0, gap)
    basis = quotient / quotient.sum(axis=1, keepdims=True)
    exact = hit.any(axis=1)
    basis[exact] = hit[exact]
    return np.asarray(basis)


class Scalar:
    """One large factor with a scalar effect.

    Level weights m_i = sum w z^2, level sums s_i = sum w z W_row.
    """

    parameters = 1

    def __init__(self, gram: Floats, m: Floats, s: Floats | Sparse) -> None:
        self.gram, self.m, self.s = gram, m, s
        seen = m > 0
        self.outer = OuterSums(m[seen], s if seen.all() else s[np.flatnonzero(seen)])

    def schur(self, theta: Floats) -> tuple[Floats, float]:
        t2 = float(theta[0]) ** 2
        outer = self.outer
        log_det = float(outer.multiplicity @ np.log1p(t2 * outer.distinct))
        return self.gram - outer.combine(t2 / (1 + t2 * outer.nodes)), log_det

    def gradient(self, theta: Floats, weight: Floats) -> Floats:
        t = float(theta[0])
        outer = self.outer
        log_det = 2 * t * float(outer.multiplicity @ (outer.distinct / (1 + t * t * outer.distinct)))
        return np.array([log_det - outer.inner(2 * t / (1 + t * t * outer.nodes) ** 2, weight)])


class Nested:
    """Items (theta[0]) with cells nested in them (theta[1]); both intercepts.

    Per cell c: weight m_c = sum w, sums s_c (d,). Eliminating the cells first leaves per item
    D_i = sum_c m_c / (1 + phi^2 m_c)  and  R_i = sum_c s_c / (1 + phi^2 m_c).
    """

    parameters = 2

    def __init__(self, gram: Floats, m: Floats, s: Sparse, parent: Ints, items: int) -> None:
        self.gram, self.m, self.s, self.parent, self.items = gram, m, s, parent, items
        self._kept: tuple[float, Floats, Floats] | None = None
        self.seen = np.flatnonzero(m > 0)
        seen_sums = s if len(self.seen) == len(m) else csr(s[self.seen])
        self.outer = OuterSums(m[self.seen], seen_sums)
        self.classes, self.member, _ = distinct(m[self.seen])
        if len(self.classes) > MAX_CLASSES:
            self.classes, self.member = m[self.seen], np.arange(len(self.seen))
        owner = parent[self.seen]
        # item_counts[i, c]: cells of class c in item i; spread (items * d, classes): R.ravel() = spread @ f.
        self.item_counts = csr((np.ones(len(owner)), (owner, self.member)), shape=(items, len(self.classes)))
        triples = seen_sums.tocoo()
        d = s.shape[1]
        place = owner[triples.row] * d + triples.col
        self.spread = csr(
            (triples.data, (place, self.member[triples.row])), shape=(items * d, len(self.classes))
        )

    def item_sums(self, theta: Floats) -> tuple[Floats, Floats]:
        """D (items,) and R (items, d); the last answer is kept, as value and gradient follow each other."""
        if self._kept is None or self._kept[0] != theta[1]:
            self._kept = (float(theta[1]), *self._item_sums(theta))
        return self._kept[1], self._kept[2]

    def _item_sums(self, theta: Floats) -> tuple[Floats, Floats]:
        shrink = 1 / (1 + theta[1] ** 2 * self.classes)
        totals = np.asarray(self.item_counts @ (self.classes * shrink))
        return totals, np.asarray(self.spread @ shrink).reshape(self.items, -1)

    def schur(self, theta: Floats) -> tuple[Floats, float]:
        t2, f2 = float(theta[0]) ** 2, float(theta[1]) ** 2
        outer = self.outer
        totals, sums = self.item_sums(theta)
        log_det = float(outer.multiplicity @ np.log1p(f2 * outer.distinct) + np.log1p(t2 * totals).sum())
        weighted = sums * np.sqrt(t2 / (1 + t2 * totals))[:, None]
        return self.gram - outer.combine(f2 / (1 + f2 * outer.nodes)) - weighted.T @ weighted, log_det

    def gradient(self, theta: Floats, weight: Floats) -> Floats:
        t, f = float(theta[0]), float(theta[1])
        outer = self.outer
        totals, sums = self.item_sums(theta)
        shrink = 1 / (1 + f * f * self.classes)
        slope = -2 * f * self.classes * shrink**2
        d_totals = np.asarray(self.item_counts @ (self.classes * slope))
        d_sums = np.asarray(self.spread @ slope).reshape(self.items, -1)
        u = 1 / (1 + t * t * totals)
        product = sums @ weight
        own = np.einsum("ij,ij->i", product, sums)
        cross = np.einsum("ij,ij->i", product, d_sums)
        by_item = 2 * t * float((totals * u).sum() - (u * u * own).sum())
        by_cell = 2 * f * float(outer.multiplicity @ (outer.distinct / (1 + f * f * outer.distinct)))
        by_cell += t * t * float((d_totals * u).sum())
        by_cell -= outer.inner(2 * f / (1 + f * f * outer.nodes) ** 2, weight)
        by_cell += float((t**4 * d_totals * u * u * own - 2 * t * t * u * cross).sum())
        return np.array([by_item, by_cell])
