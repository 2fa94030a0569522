"""Laplace approximation of a cumulative-link mixed model: criterion and exact gradient.

    -2 log L  ~  2 h(u^) + log det H,    h(u) = -sum_i w_i log p_i + u'u / 2,    H = d2h / du2 at the mode u^

(Bates et al. 2015; Christensen 2019, `ordinal`). u is spherical, eta = X beta + Z Lambda u. H is an arrow:
diagonal for the large factor, dense for the small ones. With v_i the variance of row i's random part under
H^-1 and s = H^-1 (Z Lambda)'(v D'), the derivative through the mode needs one solve:

    R = -2 l' + v D' - D (Z Lambda s),    d/d beta = X'R,
    d/d Lambda = (Z'R) u' + (Z'l') s' + 2 B0 Lambda C  on each block   (B0, C as in `lmm_criterion`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from app.stats.clmm_likelihood import RowTerms, by_tau, row_terms, thresholds
from app.stats.lmm_criterion import MAX_BORDER, place
from app.stats.lmm_design import Block, Floats, Ints, Term
from app.stats.lmm_rows import Piece, pairs

NEWTON_STEPS = 60
MODE_TOLERANCE = 1e-11
"""The mode is found when a Newton step would lower h by less than this part of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One random effect by row: column ``start + index`` (n,) of the small factors, ``value`` (n,)."""

    start: int
    width: int
    index: Ints
    value: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mode:
    """At one parameter: mode u of the large (N,) and small (q,) effects, the arrowhead of H, row terms."""

    large: Floats
    small: Floats
    eta: Floats
    rows: RowTerms
    h: float  # value of h
    m: Floats  # (N,) sum w D z^2 by level
    sums: Floats  # (N, q) sum w D z Z_row, unscaled
    border: Floats  # (q, q) B0: Z'DZ after eliminating the large factor
    inverse: Any  # Cholesky factor of Lambda'B0 Lambda + I
    pivot: Floats  # (N,) 1 + t^2 m
    log_det: float


class LaplaceCriterion:
    """Data of one fit. Parameters psi = (tau, beta, theta): thresholds, fixed effects, Lambda."""

    def __init__(
        self,
        *,
        category: Ints,
        group: Ints,
        shape: tuple[int, int],
        X: Any,
        weights: Floats,
        terms: Sequence[Term],
        blocks: Sequence[Block],
    ) -> None:
        self.category, self.group, self.shape = category, group, shape
        self.X, self.weights = X, weights
        self.terms, self.blocks = tuple(terms), tuple(blocks)
        # Of nested factors only the larger is eliminated here; the other one is a small factor.
        sizes = [b.levels if b.size == 1 else 0 for b in self.blocks]
        self.big = int(np.argmax(sizes)) if max(sizes, default=0) else None
        self.offsets, self.q = place(self.blocks, [] if self.big is None else [self.big])
        if self.q > MAX_BORDER:
            raise ValueError(f"{self.q} random effects beside the largest factor; at most {MAX_BORDER} here")
        self.levels = 0 if self.big is None else self.blocks[self.big].levels
        self.p = int(X.shape[1])
        self.count = shape[0] * shape[1]
        starts = self.count + self.p + np.cumsum([0, *[b.parameters for b in self.blocks]])
        self.slices = tuple(slice(int(starts[b]), int(starts[b + 1])) for b in range(len(self.blocks)))
        self.parameters = int(starts[-1])
        self.pieces = self._pieces()
        if self.big is not None:
            term = self.terms[self.blocks[self.big].term]
            z = (
                np.ones(len(category))
                if term.values is None
                else term.values[:, self.blocks[self.big].effects[0]]
            )
            self.code = np.where(term.codes >= 0, term.codes, 0)
            self.z = np.where(term.codes >= 0, z, 0.0)
        self.evaluations = 0
        self._start = (np.zeros(self.levels), np.zeros(self.q))

    def _pieces(self) -> list[Column]:
        out = []
        for b, offset in self.offsets.items():
            block = self.blocks[b]
            term = self.terms[block.term]
            codes = np.where(term.codes >= 0, term.codes, 0)
            for j, effect in enumerate(block.effects):
                value = np.ones(len(codes)) if term.values is None else term.values[:, effect]
                value = np.where(term.codes >= 0, value, 0.0)
                out.append(Column(offset, block.levels * block.size, codes * block.size + j, value))
        return out

    def lambdas(self, psi: Floats) -> list[Floats]:
        """Lower-triangular Lambda of every block."""
        out = []
        for block, part in zip(self.blocks, self.slices, strict=True):
            matrix = np.zeros((block.size, block.size))
            matrix[np.tril_indices(block.size)] = psi[part]
            out.append(matrix)
        return out

    def _scaled(self, matrix: Floats, lambdas: Sequence[Floats], transpose: bool = False) -> Floats:
        """matrix (r, q) @ Lambda (or its transpose) on the small factors."""
        out = np.array(matrix, copy=True)
        for b, offset in self.offsets.items():
            block = self.blocks[b]
            part = slice(offset, offset + block.levels * block.size)
            shaped = out[:, part].reshape(len(out), block.levels, block.size)
            T = lambdas[b].T if transpose else lambdas[b]
            out[:, part] = (shaped @ T).reshape(len(out), block.levels * block.size)
        return out

    def _rows(self, large: Floats, small: Floats, t: float, lambdas: Sequence[Floats]) -> Floats:
        """Z Lambda u by row (n,)."""
        effects = self._scaled(small[None, :], lambdas, transpose=True)[0]
        out = np.zeros(len(self.category))
        for piece in self.pieces:
            out += piece.value * effects[piece.start + piece.index]
        if self.big is not None:
            out += t * self.z * large[self.code]
        return out

    def _columns(self, values: Floats) -> tuple[Floats, Floats]:
        """Z'values: by level of the large factor (N,) and of the small ones (q,), unscaled."""
        small = np.zeros(self.q)
        for piece in self.pieces:
            part = slice(piece.start, piece.start + piece.width)
            small[part] += np.bincount(piece.index, weights=values * piece.value, minlength=piece.width)
        large = np.zeros(0)
        if self.big is not None:
            large = np.bincount(self.code, weights=values * self.z, minlength=self.levels).astype(np.float64)
        return large, small

    def t_of(self, psi: Floats) -> float:
        """The large factor's standard deviation (signed)."""
        return 0.0 if self.big is None else float(psi[self.slices[self.big].start])

    def mode(self, psi: Floats) -> Mode | None:
        """Newton's method with halving from the last mode; None if it does not get there."""
        lambdas, t = self.lambdas(psi), self.t_of(psi)
        alpha = thresholds(psi[: self.count].reshape(self.shape))
        fixed = np.asarray(self.X @ psi[self.count : self.count + self.p]) if self.p else 0.0
        large, small = self._start

        def value(a: Floats, b: Floats) -> tuple[float, RowTerms, Floats]:
            eta = fixed + self._rows(a, b, t, lambdas)
            rows = row_terms(eta, self.category, self.group, alpha)
            h = -float(self.weights @ rows.log_p) + 0.5 * float(a @ a + b @ b)
            return h, rows, eta

        h, rows, eta = value(large, small)
        if not np.isfinite(h):
            large, small = np.zeros(self.levels), np.zeros(self.q)
            h, rows, eta = value(large, small)
        if not np.isfinite(h):
            return None
        for _ in range(NEWTON_STEPS):
            state = self._arrow(rows, t, lambdas)
            by_large, by_small = self._columns(self.weights * rows.first)
            g_large = large - t * by_large
            g_small = small - self._scaled(by_small[None, :], lambdas)[0]
            d_large, d_small = self._solve(state, g_large, g_small, t, lambdas)
            gain = 0.5 * float(g_large @ d_large + g_small @ d_small)
            if gain <= MODE_TOLERANCE * max(abs(h), 1.0):
                # One more full step costs nothing and squares what is left of the error.
                break
            step = 1.0
            while True:
                a, b = large - step * d_large, small - step * d_small
                trial, new_rows, new_eta = value(a, b)
                if trial <= h - 1e-4 * step * gain or step < 1e-8:
                    break
                step /= 2
            if step < 1e-8:
                break
            large, small, h, rows, eta = a, b, trial, new_rows, new_eta
        else:
            return None
        large, small = large - d_large, small - d_small
        h, rows, eta = value(large, small)
        state = self._arrow(rows, t, lambdas)
        self._start = (large, small)
        log_det = float(np.log(state[4]).sum()) + 2 * float(np.log(np.diag(state[3][0])).sum())
        return Mode(
            large=large,
            small=small,
            eta=eta,
            rows=rows,
            h=h,
            m=state[0],
            sums=state[1],
            border=state[2],
            inverse=state[3],
            pivot=state[4],
            log_det=log_det,
        )

    def _arrow(
        self, rows: RowTerms, t: float, lambdas: Sequence[Floats]
    ) -> tuple[Floats, Floats, Floats, Any, Floats]:
        """m, level sums, B0, the Cholesky factor of the border, and the pivots of the large factor."""
        D = self.weights * rows.curvature
        root = np.sqrt(D)
        scaled = [Piece(p.start, p.width, p.index, root * p.value) for p in self.pieces]
        border = pairs(scaled, self.q) if scaled else np.zeros((0, 0))
        m, sums, pivot = np.zeros(0), np.zeros((0, self.q)), np.ones(0)
        if self.big is not None:
            m = np.bincount(self.code, weights=D * self.z**2, minlength=self.levels).astype(np.float64)
            sums = np.zeros((self.levels, self.q))
            flat, base = sums.ravel(), self.code * self.q
            for piece in self.pieces:
                np.add.at(flat, base + (piece.start + piece.index), D * self.z * piece.value)
            pivot = 1 + t * t * m
            border = border - sums.T @ (sums * (t * t / pivot)[:, None])
        system = self._scaled(self._scaled(border, lambdas).T, lambdas) + np.eye(self.q)
        return m, sums, border, cho_factor(system, lower=True), pivot

    def _solve(
        self,
        state: tuple[Floats, Floats, Floats, Any, Floats],
        large: Floats,
        small: Floats,
        t: float,
        lambdas: Sequence[Floats],
    ) -> tuple[Floats, Floats]:
        """H^-1 (large, small)."""
        _, sums, _, factor, pivot = state
        right = small - self._scaled((t * sums.T @ (large / pivot))[None, :], lambdas)[0]
        b = cho_solve(factor, right) if self.q else right
        back = self._scaled(b[None, :], lambdas, transpose=True)[0]
        return (large - t * (sums @ back)) / pivot, b

    def value_and_gradient(self, psi: Floats) -> tuple[float, Floats] | None:
        """-2 log L by Laplace and its gradient (parameters,); None where the mode is not found."""
        self.evaluations += 1
        mode = self.mode(psi)
        if mode is None:
            return None
        lambdas, t, w, rows = self.lambdas(psi), self.t_of(psi), self.weights, mode.rows
        C = cho_solve(mode.inverse, np.eye(self.q)) if self.q else np.zeros((0, 0))
        P = self._scaled(
            self._scaled(C, lambdas, transpose=True).T, lambdas, transpose=True
        )  # Lambda C Lambda'
        v, shared = self._row_variance(mode, P, t)
        third = w * rows.third
        c_large, c_small = self._columns(v * third)
        state = (mode.m, mode.sums, mode.border, mode.inverse, mode.pivot)
        s_large, s_small = self._solve(
            state, t * c_large, self._scaled(c_small[None, :], lambdas)[0], t, lambdas
        )
        through = self._rows(s_large, s_small, t, lambdas)
        D = w * rows.curvature
        R = -2 * w * rows.first + v * third - D * through
        out = np.zeros(self.parameters)
        out[: self.count] = self._by_thresholds(psi, rows, v, through)
        if self.p:
            out[self.count : self.count + self.p] = np.asarray(self.X.T @ R)
        r_large, r_small = self._columns(R)
        l_large, l_small = self._columns(w * rows.first)
        product = mode.border @ self._scaled(C, lambdas, transpose=True).T  # B0 Lambda C
        for b, offset in self.offsets.items():
            block = self.blocks[b]
            k = block.size
            part = slice(offset, offset + block.levels * k)
            u, s, r, one = (a[part].reshape(-1, k) for a in (mode.small, s_small, r_small, l_small))
            inner = product[part, part].reshape(block.levels, k, block.levels, k)
            grad = r.T @ u + one.T @ s + 2 * np.einsum("aiaj->ij", inner)
            out[self.slices[b]] = grad[np.tril_indices(k)]
        if self.big is not None:
            pivot = mode.pivot
            trace = 2 * t * float((mode.m / pivot - shared / pivot**2).sum())
            out[self.slices[self.big].start] = float(r_large @ mode.large + l_large @ s_large) + trace
        return 2 * mode.h + mode.log_det, out

    def _row_variance(self, mode: Mode, P: Floats, t: float) -> tuple[Floats, Floats]:
        """v (n,): variance of each row's random part under H^-1; and sums P sums' by level (N,)."""
        v = np.zeros(len(self.category))
        for i, one in enumerate(self.pieces):
            for j in range(i + 1):
                two = self.pieces[j]
                entry = P[one.start + one.index, two.start + two.index] * one.value * two.value
                v += entry if i == j else 2 * entry
        if self.big is None:
            return v, np.zeros(0)
        product = mode.sums @ P
        shared = np.einsum("ij,ij->i", product, mode.sums)
        share = t * t * self.z / mode.pivot[self.code]
        for piece in self.pieces:
            v -= 2 * share * product[self.code, piece.start + piece.index] * piece.value
        v += t * t * self.z**2 / mode.pivot[self.code] + share**2 * shared[self.code]
        return v, shared

    def _by_thresholds(self, psi: Floats, rows: RowTerms, v: Floats, through: Floats) -> Floats:
        w, (groups, k) = self.weights, self.shape
        high = w * (-2 * rows.by_upper + rows.upper_density * (v * (1 - 2 * rows.upper) + through))
        low = w * (-2 * rows.by_lower + rows.lower_density * (v * (1 - 2 * rows.lower) + through))
        at = self.group * (k + 2) + self.category
        total: Any = np.bincount(at, weights=low, minlength=groups * (k + 2))
        total += np.bincount(at + 1, weights=high, minlength=groups * (k + 2))
        by_alpha = total.reshape(groups, k + 2)[:, 1:-1]
        return by_tau(psi[: self.count].reshape(self.shape), by_alpha).ravel()
