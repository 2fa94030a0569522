"""The profiled ML / REML criterion of a linear mixed model and its exact gradient.

With W = [Z, X, y] (the border; rows times the root of their weights), B0 = W' V_b^-1 W from `lmm_elimination`
and the lower Cholesky factor L of  B = Lambda' B0 Lambda + diag(I_q, 0), whose last row ends in r,

    REML = log det V_b + 2 sum_{i < q+p} log L_ii + (n - p) (1 + log(2 pi r^2 / (n - p)))
    ML   = log det V_b + 2 sum_{i < q}   log L_ii +  n      (1 + log(2 pi r^2 /  n     ))

(Bates et al. 2015, equations 34 to 41), up to the constants of scaling, which `fit_lmm` adds.
theta holds, block after block, the lower triangle of Lambda row by row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import lapack

from app.stats.lmm_design import Block, Floats, Ints, Sparse, Term, csr
from app.stats.lmm_elimination import Elimination, Nested, NoFactor, Scalar
from app.stats.lmm_rows import borders, gram, level_sums
from app.stats.lmm_sparse import SparseFactors

SCATTER = 30_000_000
"""Up to this many values the level sums are held dense."""


MAX_BORDER = 2_500
"""More random effects than this beside the large factor go through the general sparse factorisation."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Factor:
    """The Cholesky state at one theta.

    lower  (q + p + 1)^2 lower factor;  solution (q + p,) spherical random effects and scaled beta;
    rss    r^2;  schur B0;  log_det: log det V_b + the log-determinants of the criterion
    """

    theta: Floats
    lower: Floats
    solution: Floats
    rss: float
    schur: Floats
    log_det: float


class Criterion:
    """Sufficient statistics of one fit. Everything after construction is independent of the rows."""

    def __init__(
        self,
        *,
        y: Floats,
        X: Floats | Sparse,
        weights: Floats,
        terms: Sequence[Term],
        blocks: Sequence[Block],
        reml: bool,
        max_border: int = MAX_BORDER,
    ) -> None:
        self.terms, self.blocks, self.reml = tuple(terms), tuple(blocks), reml
        used = np.flatnonzero(weights > 0)
        self.n = len(used)
        self.p = int(X.shape[1])
        self.df = self.n - (self.p if reml else 0)
        self.big, self.cell, self.parent = choose_large(self.terms, self.blocks)
        self.eliminated = [b for b in (self.big, self.cell) if b is not None]
        self.offsets, self.q = place(self.blocks, self.eliminated)
        self.general = self.q > max_border
        if self.general:
            self.big = self.cell = None
            self.eliminated = list(range(len(self.blocks)))
            self.offsets, self.q = {}, 0
        self.d = self.q + self.p + 1
        starts = np.concatenate([[0], np.cumsum([b.parameters for b in self.blocks])]).astype(int)
        self.slices = tuple(slice(starts[b], starts[b + 1]) for b in range(len(self.blocks)))
        self.parameters = int(starts[-1])
        self.lower_triangles = tuple(np.tril_indices(b.size) for b in self.blocks)
        self.evaluations = 0
        self.elimination = self._collect(y, X, weights, used)

    def _collect(self, y: Floats, X: Any, weights: Floats, used: Ints) -> Elimination:
        if self.general:
            return self._collect_general(y, X, weights, used)
        total = np.zeros((self.d, self.d))
        finest = self.big if self.cell is None else self.cell
        counts: Any = 0.0
        sums: Any = None
        for rows, border, root in borders(
            y=y,
            X=X,
            weights=weights,
            used=used,
            terms=self.terms,
            blocks=self.blocks,
            offsets=self.offsets,
            q=self.q,
        ):
            sparse = border.matrix()
            total += gram(border, sparse)
            if finest is not None:
                block = self.blocks[finest]
                term = self.terms[block.term]
                z = None if term.values is None else term.values[rows, block.effects[0]]
                # Cells stay sparse: there are many, each with few columns.
                scatter = self.cell is None and border.rest is None and block.levels * self.d < SCATTER
                if scatter and sums is None:
                    sums = np.zeros((block.levels, self.d))
                into = sums if scatter and isinstance(sums, np.ndarray) else None
                m, s = level_sums(term.codes[rows], z, root, block.levels, border, sparse, into)
                counts = counts + m
                sums = s if s is into or sums is None else sums + s
        if self.big is None:
            return NoFactor(total)
        if self.cell is None:
            return Scalar(total, counts, sums)
        return Nested(total, counts, sums, self.parent, self.blocks[self.big].levels)

    def _collect_general(self, y: Floats, X: Any, weights: Floats, used: Ints) -> SparseFactors:
        """Z'Z sparse, Z'[X, y] dense, and the Gram matrix of [X, y]."""
        offsets, width = place(self.blocks, [])
        zz: Any = None
        zw: Any = 0.0
        total = np.zeros((self.d, self.d))
        for _, border, _ in borders(
            y=y,
            X=X,
            weights=weights,
            used=used,
            terms=self.terms,
            blocks=self.blocks,
            offsets=offsets,
            q=width,
        ):
            sparse = border.matrix()
            Z = csr(sparse[:, :width])
            right = np.hstack([sparse[:, width:].toarray(), border.dense])
            product = csr(Z.T @ Z)
            zz = product if zz is None else zz + product
            zw = zw + np.asarray(Z.T @ right)
            total += right.T @ right
        return SparseFactors(total, csr(zz), zw, self.blocks)

    def lambdas(self, theta: Floats) -> list[Floats]:
        """Lower-triangular Lambda of every block."""
        out = []
        for block, part, lower in zip(self.blocks, self.slices, self.lower_triangles, strict=True):
            matrix = np.zeros((block.size, block.size))
            matrix[lower] = theta[part]
            out.append(matrix)
        return out

    def large_theta(self, theta: Floats) -> Floats:
        """theta of the eliminated factor(s): parent first, cells second; in the general case all of it."""
        return np.concatenate([theta[self.slices[b]] for b in self.eliminated] or [np.zeros(0)])

    def times_lambda(self, matrix: Floats, lambdas: Sequence[Floats]) -> Floats:
        """matrix @ Lambda for matrix (r, d); Lambda is the identity on X and y."""
        out = matrix.copy()
        for b, offset in self.offsets.items():
            block = self.blocks[b]
            part = slice(offset, offset + block.levels * block.size)
            if block.size == 1:
                out[:, part] *= lambdas[b][0, 0]
            else:
                shaped = out[:, part].reshape(len(out), block.levels, block.size)
                out[:, part] = (shaped @ lambdas[b]).reshape(len(out), block.levels * block.size)
        return out

    def factor(self, theta: Floats) -> Factor | None:
        """Cholesky state at theta, or None where B is not positive definite in floating point."""
        self.evaluations += 1
        schur, log_det = self.elimination.schur(self.large_theta(theta))
        lambdas = self.lambdas(theta)
        system = self.times_lambda(self.times_lambda(schur, lambdas).T, lambdas)
        diagonal = np.arange(self.q)
        system[diagonal, diagonal] += 1.0
        lower, info = lapack.dpotrf(system, lower=1, clean=1)
        m = self.d - 1
        if info != 0 or not np.isfinite(lower[m, m]):
            return None
        counted = m if self.reml else self.q
        log_det += 2 * float(np.log(np.diag(lower)[:counted]).sum())
        solution, _ = lapack.dtrtrs(lower[:m, :m], lower[m, :m], lower=1, trans=1) if m else (np.zeros(0), 0)
        return Factor(
            theta=theta.copy(),
            lower=np.asarray(lower),
            solution=np.asarray(solution).reshape(m),
            rss=float(lower[m, m] ** 2),
            schur=schur,
            log_det=log_det,
        )

    def deviance(self, state: Factor) -> float:
        """The profiled criterion at a state, without the constants of scaling."""
        return float(state.log_det + self.df * (1 + np.log(2 * np.pi * state.rss / self.df)))

    def gradient(self, state: Factor, rss_weight: float | None = None) -> Floats:
        """Exact gradient of  log_det + rss_weight * rss  (default df / rss: of the profiled criterion)."""
        weight = self.df / state.rss if rss_weight is None else rss_weight
        return self.gradient_of(state, self.criterion_weight(state, weight))

    def criterion_weight(self, state: Factor, rss_weight: float) -> Floats:
        """d criterion / dB: the inverse of the leading part plus rss_weight [v, -1][v, -1]'; (d, d)."""
        m = self.d - 1
        counted = m if self.reml else self.q
        weight = np.zeros((self.d, self.d))
        if counted:
            weight[:counted, :counted] = symmetric_inverse(state.lower[:counted, :counted])
        direction = np.concatenate([state.solution, [-1.0]])
        weight += rss_weight * np.outer(direction, direction)
        return weight

    def gradient_of(self, state: Factor, weight: Floats, log_det: bool = True) -> Floats:
        """d/dtheta of trace(weight B), plus log det V_b if ``log_det``; weight (d, d) symmetric, constant."""
        theta = state.theta
        lambdas = self.lambdas(theta)
        scaled = self.times_lambda(weight, [L.T for L in lambdas])  # weight @ Lambda'
        out = np.zeros(self.parameters)
        for b, offset in self.offsets.items():
            block = self.blocks[b]
            k = block.size
            part = slice(offset, offset + block.levels * k)
            # Only the diagonal blocks of B0 Lambda weight are needed: sums of products, not a product.
            one, two = (a[part].reshape(block.levels, k, self.d) for a in (state.schur, scaled))
            out[self.slices[b]] = 2 * np.einsum("lid,ljd->ij", one, two)[self.lower_triangles[b]]
        if self.eliminated:
            outer = self.times_lambda(scaled.T, [L.T for L in lambdas])
            large = self.elimination.gradient(self.large_theta(theta), outer)
            if not log_det:
                large = large - self.elimination.gradient(self.large_theta(theta), np.zeros_like(outer))
            at = 0
            for b in self.eliminated:
                out[self.slices[b]] = large[at : at + self.blocks[b].parameters]
                at += self.blocks[b].parameters
        return out


def symmetric_inverse(lower: Floats) -> Floats:
    """(L L')^-1 from a lower Cholesky factor."""
    if not len(lower):
        return np.zeros((0, 0))
    inverse, info = lapack.dpotri(lower, lower=1)
    if info != 0:
        raise np.linalg.LinAlgError("singular Cholesky factor")
    out = inverse + inverse.T  # the other triangle holds the zeros of the clean factor
    out[np.diag_indices(len(out))] /= 2
    return np.asarray(out)


def place(blocks: Sequence[Block], eliminated: Sequence[int]) -> tuple[dict[int, int], int]:
    """First column of every block that stays in the border, and their width in all."""
    offsets: dict[int, int] = {}
    width = 0
    for b, block in enumerate(blocks):
        if b not in eliminated:
            offsets[b] = width
            width += block.levels * block.size
    return offsets, width


def choose_large(terms: Sequence[Term], blocks: Sequence[Block]) -> tuple[int | None, int | None, Ints]:
    """Which block is eliminated, which nested block with it, and each cell's parent.

    The large factor is the scalar block with most levels; if a second intercept-only term is nested in an
    intercept-only one, the pair with most levels in all. ValueError if a declared nesting does not hold.
    """
    none = np.zeros(0, dtype=np.intp)
    scalars = [b for b, block in enumerate(blocks) if block.size == 1]
    best: tuple[int, int | None, int | None, Ints] = (0, None, None, none)
    for b in scalars:
        if blocks[b].levels > best[0]:
            best = (blocks[b].levels, b, None, none)
    plain = [b for b in scalars if terms[blocks[b].term].values is None]
    for c in plain:
        for b in plain:
            child, parent = terms[blocks[c].term], terms[blocks[b].term]
            declared = child.nested_in == parent.name
            total = blocks[b].levels + blocks[c].levels
            if b == c or not (declared or (blocks[c].levels > blocks[b].levels and total > best[0])):
                continue
            owner = parents_of(child, parent)
            if owner is None and declared:
                raise ValueError(f"levels of {child.name!r} are not nested in {parent.name!r}")
            if owner is not None and total > best[0]:
                best = (total, b, c, owner)
    return best[1], best[2], best[3]


def parents_of(child: Term, parent: Term) -> Ints | None:
    """The parent level of every child level (-1: a level without rows), or None if not nested."""
    if ((child.codes >= 0) != (parent.codes >= 0)).any():
        return None
    present = child.codes >= 0
    codes, owners = child.codes[present], parent.codes[present]
    owner = np.full(child.levels, -1, dtype=np.intp)
    owner[codes] = owners
    return owner if (owner[codes] == owners).all() else None
