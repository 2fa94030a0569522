"""The general case: two or more large crossed factors, or random slopes by item.

Where the border of the arrowhead would be too wide for a dense factor, every random effect goes into one
sparse symmetric matrix A = Lambda'Z'Z Lambda + I (the penalised least squares of Bates et al. 2015, section
3), factored by SuperLU under a minimum-degree ordering, and only [X, y] stay in the border. log det A is
differentiated by central differences: the selected inverse of an exact derivative is not in scipy.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from app.stats.lmm_design import Block, Floats, Ints, Sparse, csr

STEP = 1e-4
"""Relative step of the central difference of log det A: truncation and rounding are both near 1e-8 of it."""


class SparseFactors:
    """All random effects eliminated at once; an `Elimination` whose border is [X, y].

    gram (d, d) of [X, y]; zz (Q, Q) = Z'Z; zw (Q, d) = Z'[X, y]; rows times the root of their weights.
    """

    def __init__(self, gram: Floats, zz: Sparse, zw: Floats, blocks: Sequence[Block]) -> None:
        self.gram, self.zz, self.zw, self.blocks = gram, zz, zw, tuple(blocks)
        self.parameters = sum(b.parameters for b in blocks)
        self.starts = np.concatenate([[0], np.cumsum([b.levels * b.size for b in blocks])]).astype(int)
        self._places = self._pattern()
        self._eye: Any = sp.eye_array(zz.shape[0], format="csc")
        self._kept: tuple[bytes, Any, Floats] | None = None

    def _pattern(self) -> tuple[Ints, Ints, Ints]:
        """Of Lambda as CSR: which theta each entry holds, its column, and the row pointer."""
        which: list[Ints] = []
        column: list[Ints] = []
        length: list[Ints] = []
        at = 0
        for block, start in zip(self.blocks, self.starts, strict=False):
            rows, columns = np.tril_indices(block.size)
            which.append(np.tile(at + np.arange(block.parameters), block.levels))
            place = start + block.size * np.arange(block.levels)[:, None] + columns[None, :]
            column.append(place.ravel())
            length.append(np.tile(np.bincount(rows), block.levels))
            at += block.parameters
        return np.concatenate(which), np.concatenate(column), np.concatenate([[0], *length]).cumsum()

    def lambda_of(self, theta: Floats) -> Sparse:
        """Lambda (Q, Q), block diagonal, for any values of theta (also for a unit vector: its derivative)."""
        which, column, pointer = self._places
        return csr((theta[which], column, pointer), shape=self.zz.shape)

    def factor(self, theta: Floats) -> Any:
        """SuperLU factor of A."""
        scaled = self.lambda_of(theta)
        A: Any = (scaled.T @ self.zz @ scaled).tocsc() + self._eye
        return splu(A, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})

    def _log_det(self, theta: Floats) -> float:
        return float(np.log(np.abs(self.factor(theta).U.diagonal())).sum())

    def solved(self, theta: Floats) -> tuple[Any, Floats]:
        """The factor and A^-1 Lambda'Z'[X, y] (Q, d); the last answer is kept."""
        key = theta.tobytes()
        if self._kept is None or self._kept[0] != key:
            factor = self.factor(theta)
            right = np.asarray(self.lambda_of(theta).T @ self.zw)
            self._kept = (key, factor, np.asarray(factor.solve(right)))
        return self._kept[1], self._kept[2]

    def schur(self, theta: Floats) -> tuple[Floats, float]:
        factor, solution = self.solved(theta)
        right = np.asarray(self.lambda_of(theta).T @ self.zw)
        B0 = self.gram - right.T @ solution
        return (B0 + B0.T) / 2, float(np.log(np.abs(factor.U.diagonal())).sum())

    def gradient(self, theta: Floats, weight: Floats) -> Floats:
        _, solution = self.solved(theta)
        weighted = solution @ weight
        scaled = np.asarray(self.lambda_of(theta) @ solution)
        crossed = np.asarray(self.zz @ scaled)
        out = np.zeros(self.parameters)
        for k in range(self.parameters):
            unit = np.zeros(self.parameters)
            unit[k] = 1.0
            moved = self.lambda_of(unit)
            along = np.asarray(moved @ weighted)
            out[k] = 2 * float((crossed * along).sum()) - 2 * float((self.zw * along).sum())
            h = STEP * max(abs(float(theta[k])), 0.1)
            out[k] += (self._log_det(theta + h * unit) - self._log_det(theta - h * unit)) / (2 * h)
        return out

    def second_moments(self, inverse: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """What `lmm_identify` needs: tr(P Z_s Z_s'P Z_t Z_t'), tr(P Z_s Z_s'), |Z_s'P y|^2, |Z_s'Z_s|^2.

        One entry per random effect of each block; inverse (d, d) is that of X'X, zero elsewhere.
        """
        columns = [
            self.starts[b] + j + block.size * np.arange(block.levels)
            for b, block in enumerate(self.blocks)
            for j in range(block.size)
        ]
        count = len(columns)
        off = np.eye(len(inverse)) - inverse @ self.gram
        pairs, single, moments, own = (
            np.zeros((count, count)),
            np.zeros(count),
            np.zeros(count),
            np.zeros(count),
        )
        zw = [self.zw[c] for c in columns]
        for s in range(count):
            moments[s] = float(((zw[s] @ off[:, -1]) ** 2).sum())
            rows = csr(self.zz[columns[s]])
            single[s] = float(rows[:, columns[s]].diagonal().sum() - np.sum(inverse * (zw[s].T @ zw[s])))
            for t in range(s, count):
                block = csr(rows[:, columns[t]])
                square = float((block.data**2).sum())
                if s == t:
                    own[s] = square
                cross = zw[s].T @ np.asarray(block @ zw[t])
                a, b = inverse @ (zw[s].T @ zw[s]), inverse @ (zw[t].T @ zw[t])
                pairs[s, t] = square - 2 * float(np.sum(inverse * cross)) + float(np.trace(a @ b))
                pairs[t, s] = pairs[s, t]
        return pairs, single, moments, own
