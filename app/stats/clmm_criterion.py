"""Laplace approximation of a cumulative-link mixed model: criterion and exact gradient.

    -2 log L  ~  2 h(u^) + log det H,    h(u) = -sum_i w_i log p_i + u'u / 2,    H = d2h / du2 at the mode u^

(Bates et al. 2015; Christensen 2019, `ordinal`). u is spherical, eta = X beta + Z S u (`clmm_arrow`). With
v_i the variance of row i's random part under H^-1 and s = H^-1 S'Z'(v D'), the derivative through the mode
needs one solve:

    R = -2 l' + v D' - D (Z S s),    d/d beta = X'R,
    d/d Lambda = (Z'R) u' + (Z'l') s' + 2 Z'DZ S H^-1    on each block, summed over its levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.stats.clmm_arrow import Arrow, RandomPart
from app.stats.clmm_likelihood import Edges, RowTerms, by_edges, by_tau, edges, row_terms, thresholds
from app.stats.lmm_design import Block, Floats, Ints, Term

NEWTON_STEPS = 60
MODE_TOLERANCE = 1e-11
"""The mode is found when a Newton step would lower h by less than this part of it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mode:
    """At one parameter: mode u of all effects (`RandomPart`), value h, rows and the arrow of H."""

    u: Floats
    h: float
    edges: Edges
    rows: RowTerms
    arrow: Arrow


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
        self.random = RandomPart(terms, blocks, len(category))
        self.p = int(X.shape[1])
        self.count = shape[0] * shape[1]
        starts = self.count + self.p + np.cumsum([0, *[b.parameters for b in self.blocks]])
        self.slices = tuple(slice(int(starts[b]), int(starts[b + 1])) for b in range(len(self.blocks)))
        self.parameters = int(starts[-1])
        self.evaluations = 0
        self._start = np.zeros(self.random.size)

    def lambdas(self, psi: Floats) -> list[Floats]:
        """Lower-triangular Lambda of every block."""
        out = []
        for block, part in zip(self.blocks, self.slices, strict=True):
            matrix = np.zeros((block.size, block.size))
            matrix[np.tril_indices(block.size)] = psi[part]
            out.append(matrix)
        return out

    def mode(self, psi: Floats) -> Mode | None:
        """Newton's method with halving from the last mode; None if it does not get there."""
        lambdas, random = self.lambdas(psi), self.random
        alpha = thresholds(psi[: self.count].reshape(self.shape))
        fixed = np.asarray(self.X @ psi[self.count : self.count + self.p]) if self.p else 0.0

        def at(u: Floats) -> Edges:
            return edges(fixed + random.rows(u, lambdas), self.category, self.group, alpha)

        def value(where: Edges, u: Floats) -> tuple[float, RowTerms]:
            rows = row_terms(where)
            return -float(self.weights @ rows.log_p) + 0.5 * float(u @ u), rows

        u = self._start
        h, rows = value(at(u), u)
        if not np.isfinite(h):
            u = np.zeros(random.size)
            h, rows = value(at(u), u)
        if not np.isfinite(h):
            return None
        for _ in range(NEWTON_STEPS):
            arrow = random.arrow(self.weights * rows.curvature, lambdas)
            gradient = u - random.spherical(random.sums(self.weights * rows.first), lambdas)
            move = random.solve(arrow, gradient)
            gain = 0.5 * float(gradient @ move)
            if gain <= MODE_TOLERANCE * max(abs(h), 1.0):
                # One more full step costs nothing and squares what is left of the error.
                break
            step = 1.0
            while True:
                new = u - step * move
                trial, new_rows = value(at(new), new)
                if trial <= h - 1e-4 * step * gain or step < 1e-8:
                    break
                step /= 2
            if step < 1e-8:
                break
            u, h, rows = new, trial, new_rows
        else:
            return None
        u = u - move
        where = at(u)
        h, rows = value(where, u)
        self._start = u
        return Mode(
            u=u, h=h, edges=where, rows=rows, arrow=random.arrow(self.weights * rows.curvature, lambdas)
        )

    def value_and_gradient(self, psi: Floats) -> tuple[float, Floats] | None:
        """-2 log L by Laplace and its gradient (parameters,); None where the mode is not found."""
        self.evaluations += 1
        mode = self.mode(psi)
        if mode is None:
            return None
        random, arrow, rows, w = self.random, mode.arrow, mode.rows, self.weights
        v, slopes = random.spread(arrow)
        third = w * rows.third
        s = random.solve(arrow, random.spherical(random.sums(v * third), arrow.lambdas))
        through = random.rows(s, arrow.lambdas)
        R = -2 * w * rows.first + v * third - w * rows.curvature * through
        out = np.zeros(self.parameters)
        out[: self.count] = self._by_thresholds(psi, mode, v, through)
        if self.p:
            out[self.count : self.count + self.p] = np.asarray(self.X.T @ R)
        by_R, by_first = random.sums(R), random.sums(w * rows.first)
        for b, block in enumerate(self.blocks):
            k, part = block.size, random.part(b)
            effects, through_mode, one, two = (a[part].reshape(-1, k) for a in (mode.u, s, by_R, by_first))
            whole = one.T @ effects + two.T @ through_mode + 2 * slopes[b]
            out[self.slices[b]] = whole[np.tril_indices(k)]
        return 2 * mode.h + arrow.log_det, out

    def _by_thresholds(self, psi: Floats, mode: Mode, v: Floats, through: Floats) -> Floats:
        w, (groups, k), U, L = self.weights, self.shape, mode.rows.upper, mode.rows.lower
        above, below = by_edges(mode.edges)
        high = w * (-2 * above + U * (1 - U) * (v * (1 - 2 * U) + through))
        low = w * (-2 * below + L * (1 - L) * (v * (1 - 2 * L) + through))
        at = self.group * (k + 2) + self.category
        total: Any = np.bincount(at, weights=low, minlength=groups * (k + 2))
        total += np.bincount(at + 1, weights=high, minlength=groups * (k + 2))
        by_alpha = total.reshape(groups, k + 2)[:, 1:-1]
        return by_tau(psi[: self.count].reshape(self.shape), by_alpha).ravel()
