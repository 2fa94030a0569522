"""The random effects of a cumulative-link mixed model, and the curvature of its likelihood in them.

u = [cells, large, small] is spherical; row i's random part is z_i'S u, where S multiplies the cells by
their standard deviation f, the large factor by t and every small block by its Lambda. With D_i the curvature
of row i

    H = I + S'Z'DZS

is an arrow: cells are diagonal among themselves, and so are the levels of the large factor once the cells
nested in them are gone. With m_c, s_c the sums of D and of D times the small columns over the rows of cell c
and k_c = 1 / (1 + f^2 m_c), eliminating the cells, then the large factor leaves

    M_l = sum_{c in l} k_c m_c,    R_l = sum_{c in l} k_c s_c,    pivot_l = 1 + t^2 M_l,
    B0  = Z'DZ - sum_c f^2 k_c s_c s_c' - sum_l (t^2 / pivot_l) R_l R_l',    system = Lambda'B0 Lambda + I.

Without cells, m and s are summed by level and k = 1. Source: the block-arrow Cholesky of Bates and DebRoy
(2004, J. Multivariate Anal. 91), as in `lmm_elimination`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from app.stats.lmm_criterion import MAX_BORDER, choose_large, place
from app.stats.lmm_design import Block, Floats, Ints, Sparse, Term, csr
from app.stats.lmm_rows import Piece, pairs

CHUNK = 4_000_000
"""Values of cells x small effects that are held dense at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One random effect by row: column ``start + index`` (n,) of the small factors, ``value`` (n,)."""

    start: int
    width: int
    index: Ints
    value: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arrow:
    """H after elimination, at one S and D.

    m, k    (C,) curvature of the rows of each cell, and its shrinkage; empty without cells
    s       (C, q) sparse sums of the small columns by cell, None without cells
    total, R, pivot   (N,), (N, q), (N,) of the large factor
    border  (q, q) B0; factor: Cholesky factor of the system
    """

    lambdas: list[Floats]
    f: float
    t: float
    m: Floats
    k: Floats
    s: Sparse
    total: Floats
    R: Floats
    pivot: Floats
    border: Floats
    factor: Any

    @property
    def log_det(self) -> float:
        """log det H."""
        small = 2 * float(np.log(np.diag(self.factor[0])).sum())
        return small + float(np.log(self.pivot).sum()) - float(np.log(self.k).sum())


class RandomPart:
    """Z and the place of every block in u: the codes of the rows, nothing that depends on parameters."""

    def __init__(self, terms: Sequence[Term], blocks: Sequence[Block], n: int) -> None:
        self.terms, self.blocks, self.n = tuple(terms), tuple(blocks), n
        self.big, self.cell, parent = choose_large(self.terms, self.blocks)
        self.offsets, self.q = place(self.blocks, [b for b in (self.big, self.cell) if b is not None])
        if self.q > MAX_BORDER:
            raise ValueError(
                f"{self.q} random effects beside the largest factor and the cells nested in it; "
                f"at most {MAX_BORDER} here"
            )
        self.cells = 0 if self.cell is None else self.blocks[self.cell].levels
        self.levels = 0 if self.big is None else self.blocks[self.big].levels
        self.size = self.cells + self.levels + self.q
        self.parent = np.maximum(parent, 0)
        self.columns = self._columns()
        if self.big is not None:
            self.code, self.z = self._codes(self.big)
        if self.cell is not None:
            self.cell_code, _ = self._codes(self.cell)
            self._prepare_cells()

    def _codes(self, b: int) -> tuple[Ints, Floats]:
        """Level (n,) and value (n,) of a scalar block by row; 0 and 0 where the row lacks it."""
        block = self.blocks[b]
        term = self.terms[block.term]
        value = np.ones(self.n) if term.values is None else term.values[:, block.effects[0]]
        return np.where(term.codes >= 0, term.codes, 0), np.where(term.codes >= 0, value, 0.0)

    def _columns(self) -> list[Column]:
        out = []
        for b, offset in self.offsets.items():
            block = self.blocks[b]
            term = self.terms[block.term]
            codes = np.where(term.codes >= 0, term.codes, 0)
            for j, effect in enumerate(block.effects):
                value = np.ones(self.n) if term.values is None else term.values[:, effect]
                value = np.where(term.codes >= 0, value, 0.0)
                out.append(Column(offset, block.levels * block.size, codes * block.size + j, value))
        return out

    def _prepare_cells(self) -> None:
        """The pattern of s, and the rows in the order of their cells."""
        keys = [self.cell_code * self.q + column.start + column.index for column in self.columns]
        found, self._slot = np.unique(np.concatenate([np.zeros(0, np.intp), *keys]), return_inverse=True)
        # Without small factors there is no column to divide by.
        self.pair_cell, self.pair_column = np.divmod(found, max(self.q, 1))
        self._bounds = np.concatenate([[0], np.cumsum(np.bincount(self.pair_cell, minlength=self.cells))])
        self._order = np.argsort(self.cell_code, kind="stable")
        self._row_bounds = np.concatenate([[0], np.cumsum(np.bincount(self.cell_code, minlength=self.cells))])
        self._members = csr(
            (np.ones(self.cells), (self.parent, np.arange(self.cells))), shape=(self.levels, self.cells)
        )

    def part(self, b: int) -> slice:
        """Where block b stands in u."""
        if b == self.cell:
            return slice(0, self.cells)
        if b == self.big:
            return slice(self.cells, self.cells + self.levels)
        block = self.blocks[b]
        start = self.cells + self.levels + self.offsets[b]
        return slice(start, start + block.levels * block.size)

    def split(self, u: Floats) -> tuple[Floats, Floats, Floats]:
        """Cells (C,), large (N,) and small (q,) of u."""
        end = self.cells + self.levels
        return u[: self.cells], u[self.cells : end], u[end:]

    def sd(self, b: int | None, lambdas: Sequence[Floats]) -> float:
        """The (signed) standard deviation of a scalar block; 0 if there is none."""
        return 0.0 if b is None else float(lambdas[b][0, 0])

    def small_scaled(self, matrix: Floats, lambdas: Sequence[Floats], transpose: bool = False) -> Floats:
        """matrix (r, q) @ Lambda (or its transpose) on the small factors."""
        out = np.array(matrix, copy=True)
        for b, offset in self.offsets.items():
            block = self.blocks[b]
            part = slice(offset, offset + block.levels * block.size)
            shaped = out[:, part].reshape(len(out), block.levels, block.size)
            T = lambdas[b].T if transpose else lambdas[b]
            out[:, part] = (shaped @ T).reshape(len(out), block.levels * block.size)
        return out

    def spherical(self, v: Floats, lambdas: Sequence[Floats]) -> Floats:
        """S'v for v (size,) in the order of u."""
        cells, large, small = self.split(v)
        f, t = self.sd(self.cell, lambdas), self.sd(self.big, lambdas)
        return np.concatenate([f * cells, t * large, self.small_scaled(small[None, :], lambdas)[0]])

    def rows(self, u: Floats, lambdas: Sequence[Floats]) -> Floats:
        """Z S u by row (n,)."""
        cells, large, small = self.split(u)
        effects = self.small_scaled(small[None, :], lambdas, transpose=True)[0]
        out = np.zeros(self.n)
        for column in self.columns:
            out += column.value * effects[column.start + column.index]
        if self.big is not None:
            out += self.sd(self.big, lambdas) * self.z * large[self.code]
        if self.cell is not None:
            out += self.sd(self.cell, lambdas) * self.z * cells[self.cell_code]
        return out

    def sums(self, values: Floats) -> Floats:
        """Z'values (size,), in the order of u."""
        small = np.zeros(self.q)
        for column in self.columns:
            part = slice(column.start, column.start + column.width)
            small[part] += np.bincount(column.index, weights=values * column.value, minlength=column.width)
        by_cell: Any = np.zeros(0)
        by_level: Any = np.zeros(0)
        if self.big is not None:
            by_level = np.bincount(self.code, weights=values * self.z, minlength=self.levels)
        if self.cell is not None:
            by_cell = np.bincount(self.cell_code, weights=values * self.z, minlength=self.cells)
        return np.concatenate([by_cell, by_level, small])

    def arrow(self, D: Floats, lambdas: list[Floats]) -> Arrow:
        """H at the curvatures D (n,) of the rows."""
        f, t = self.sd(self.cell, lambdas), self.sd(self.big, lambdas)
        root = np.sqrt(D)
        scaled = [Piece(c.start, c.width, c.index, root * c.value) for c in self.columns]
        border = pairs(scaled, self.q) if scaled else np.zeros((0, 0))
        m, k, s = np.zeros(0), np.zeros(0), None
        total, R, pivot = np.zeros(0), np.zeros((0, self.q)), np.ones(0)
        if self.cell is not None:
            m = np.bincount(self.cell_code, weights=D * self.z, minlength=self.cells).astype(np.float64)
            k = 1 / (1 + f * f * m)
            s = self._cell_sums(D)
            border = border - np.asarray((s.T @ (s * (f * f * k)[:, None])).toarray())
            total = np.bincount(self.parent, weights=m * k, minlength=self.levels).astype(np.float64)
            R = np.asarray((self._members @ (s * k[:, None])).toarray())
        elif self.big is not None:
            total = np.bincount(self.code, weights=D * self.z**2, minlength=self.levels).astype(np.float64)
            R = self._level_sums(D)
        if self.big is not None:
            pivot = 1 + t * t * total
            border = border - R.T @ (R * (t * t / pivot)[:, None])
        system = self.small_scaled(self.small_scaled(border, lambdas).T, lambdas) + np.eye(self.q)
        return Arrow(
            lambdas=lambdas,
            f=f,
            t=t,
            m=m,
            k=k,
            s=s,
            total=total,
            R=R,
            pivot=pivot,
            border=border,
            factor=cho_factor(system, lower=True),
        )

    def _cell_sums(self, D: Floats) -> Sparse:
        """(C, q): D times the small columns, summed over the rows of each cell."""
        weights = np.concatenate([np.zeros(0), *[D * self.z * c.value for c in self.columns]])
        values = np.bincount(self._slot, weights=weights, minlength=len(self.pair_cell))
        return csr((values, self.pair_column, self._bounds), shape=(self.cells, self.q))

    def _level_sums(self, D: Floats) -> Floats:
        """(N, q): D z times the small columns, summed over the rows of each level."""
        out = np.zeros(self.levels * self.q)
        base = self.code * self.q
        for column in self.columns:
            out += np.bincount(
                base + (column.start + column.index),
                weights=D * self.z * column.value,
                minlength=len(out),
            )
        return out.reshape(self.levels, self.q)

    def solve(self, arrow: Arrow, right: Floats) -> Floats:
        """H^-1 right, (size,)."""
        cells, large, small = self.split(right)
        f, t, lambdas = arrow.f, arrow.t, arrow.lambdas
        if self.cell is not None:
            shrunk = f * arrow.k * cells
            large = large - np.bincount(self.parent, weights=t * arrow.m * shrunk, minlength=self.levels)
            small = small - self.small_scaled((arrow.s.T @ shrunk)[None, :], lambdas)[0]
        if self.big is not None:
            small = small - self.small_scaled((t * arrow.R.T @ (large / arrow.pivot))[None, :], lambdas)[0]
        b = cho_solve(arrow.factor, small) if self.q else small
        back = self.small_scaled(b[None, :], lambdas, transpose=True)[0]
        a = (large - t * (arrow.R @ back)) / arrow.pivot if self.big is not None else large
        c = cells
        if self.cell is not None:
            c = arrow.k * (cells - f * t * arrow.m * a[self.parent] - f * (arrow.s @ back))
        return np.concatenate([c, a, b])

    def spread(self, arrow: Arrow) -> tuple[Floats, dict[int, Floats]]:
        """v (n,), the variance of each row's random part under H^-1; and by block half the derivative of

        log det H   in Lambda,    Z'DZ S H^-1 summed over the levels of the block, (K, K).
        """
        lambdas, t = arrow.lambdas, arrow.t
        C = cho_solve(arrow.factor, np.eye(self.q)) if self.q else np.zeros((0, 0))
        half = self.small_scaled(C, lambdas, transpose=True).T  # Lambda C
        P = self.small_scaled(half, lambdas, transpose=True)  # Lambda C Lambda'
        slopes: dict[int, Floats] = {}
        product = arrow.border @ half
        for b, offset in self.offsets.items():
            block = self.blocks[b]
            part = slice(offset, offset + block.levels * block.size)
            shape = (block.levels, block.size, block.levels, block.size)
            slopes[b] = np.einsum("aiaj->ij", product[part, part].reshape(shape))
        v = self._small_variance(P)
        if self.big is None:
            return v, slopes
        RP = arrow.R @ P
        shared = np.einsum("ij,ij->i", RP, arrow.R)
        pivot = arrow.pivot
        slopes[self.big] = np.array([[t * float((arrow.total / pivot - shared / pivot**2).sum())]])
        crossed = np.zeros(self.n)  # R'P z by row
        for column in self.columns:
            crossed += RP[self.code, column.start + column.index] * column.value
        shrink: Any = 1.0
        if self.cell is not None:
            zPs, sPs, RPs = self._cell_products(arrow, P, RP)
            slopes[self.cell] = self._cell_slope(arrow, sPs, RPs, shared)
            shrink, cell, f2 = arrow.k[self.cell_code], self.cell_code, arrow.f**2
            by_row = f2 * shrink * self.z
            v += by_row * (1 - 2 * zPs + f2 * shrink * sPs[cell])
            crossed -= by_row * RPs[cell]
        own = shrink * self.z
        share = t * t * own / pivot[self.code]
        v += share * (own - 2 * crossed + share * shared[self.code])
        return v, slopes

    def _small_variance(self, P: Floats) -> Floats:
        """z'P z by row (n,)."""
        v = np.zeros(self.n)
        for i, one in enumerate(self.columns):
            for j in range(i + 1):
                two = self.columns[j]
                entry = P[one.start + one.index, two.start + two.index] * one.value * two.value
                v += entry if i == j else 2 * entry
        return v

    def _cell_products(self, arrow: Arrow, P: Floats, RP: Floats) -> tuple[Floats, Floats, Floats]:
        """z'P s_c by row (n,); s_c'P s_c and R'P s_c by cell (C,)."""
        zPs, values = np.zeros(self.n), arrow.s.data
        spread = np.zeros(len(values))
        for a in range(0, self.cells, max(1, CHUNK // max(self.q, 1))):
            b = min(a + max(1, CHUNK // max(self.q, 1)), self.cells)
            product = np.asarray(arrow.s[a:b] @ P)
            inside = slice(int(self._bounds[a]), int(self._bounds[b]))
            spread[inside] = product[self.pair_cell[inside] - a, self.pair_column[inside]]
            rows = self._order[self._row_bounds[a] : self._row_bounds[b]]
            at = self.cell_code[rows] - a
            for column in self.columns:
                zPs[rows] += product[at, column.start + column.index[rows]] * column.value[rows]
        crossed = RP[self.parent[self.pair_cell], self.pair_column]
        sPs: Any = np.bincount(self.pair_cell, weights=values * spread, minlength=self.cells)
        RPs: Any = np.bincount(self.pair_cell, weights=values * crossed, minlength=self.cells)
        return zPs, sPs, RPs

    def _cell_slope(self, arrow: Arrow, sPs: Floats, RPs: Floats, shared: Floats) -> Floats:
        """From (H^-1)_cc = k_c + f^2 k_c^2 q_c: the sum of (1 - (H^-1)_cc) / f, (1, 1)."""
        share = arrow.t**2 * arrow.m / arrow.pivot[self.parent]
        q = share * arrow.m + sPs - 2 * share * RPs + share**2 * shared[self.parent]
        return np.array([[arrow.f * float((arrow.m * arrow.k - arrow.k**2 * q).sum())]])
