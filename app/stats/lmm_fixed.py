"""The fixed part X: which columns can be estimated, their scaling, and the least-squares start.

Columns are centred (dense X with a constant) and scaled, so that the normal equations of the mixed model
keep their digits; results are carried back to the caller's columns. A zero or aliased column is dropped, the
first of a set stays, as in R.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import cho_factor, cho_solve, lapack, solve_triangular

from app.stats.errors import NotIdentified
from app.stats.lmm_design import Floats, Ints, Sparse, csr
from app.stats.lmm_rows import weighted_gram

ALIAS_TOLERANCE = 1e-7
"""A column is aliased if less than this part of its norm is left after the columns before it (R's `qr`)."""

GRAM_TOLERANCE = 1e-5
"""The same where X'X is formed: squaring halves the digits. A dense X that fails this is looked at again."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FixedPart:
    """Fixed effects after aliased columns were dropped, centred (dense X with a constant) and scaled.

    matrix     (n, p) dense array or CSR matrix, scaled
    gram       (p, p) matrix' diag(w) matrix
    back       (p, p) with beta = back @ beta_scaled
    kept       (p,) indices of the kept columns in the caller's X
    alias      (p, p_all): column j of the caller's X equals X_kept @ alias[:, j] on these data
    names      (p_all,) the caller's names
    log_scale  log |det back^-1|: what scaling X added to the REML criterion's log det(X'V^-1 X) / 2
    """

    matrix: Floats | Sparse
    gram: Floats
    back: Floats
    kept: Ints
    alias: Floats
    names: tuple[str, ...]
    log_scale: float


def prepare_fixed(X: Any, names: Sequence[str] | None, weights: Floats, n: int) -> FixedPart:
    """Check X (n, p_all), drop zero and aliased columns, centre and scale the rest. ValueError for bad X."""
    matrix, labels = _checked(X, names, n)
    sparse = bool(sp.issparse(matrix))
    scaled, centre, scale, constant = (_scale_sparse if sparse else _scale_dense)(matrix, weights)
    gram = weighted_gram(scaled, weights)
    kept, alias = _alias_from_gram(gram)
    if not sparse and len(kept) < gram.shape[0]:
        kept, alias = _alias_dense(scaled, weights)  # squaring halved the digits: look again with all
    # scaled = X @ back: centring subtracts a multiple of the constant column.
    back = np.diag(1.0 / scale)
    if constant is not None:
        back[constant, :] -= centre / (float(matrix[0, constant]) * scale)
    alias_raw = back[np.ix_(kept, kept)] @ alias @ np.linalg.inv(back)
    if len(kept) < gram.shape[0]:
        scaled = csr(scaled[:, kept]) if sparse else scaled[:, kept]
    return FixedPart(
        matrix=scaled,
        gram=gram[np.ix_(kept, kept)],
        back=back[np.ix_(kept, kept)],
        kept=kept,
        alias=alias_raw,
        names=labels,
        log_scale=float(np.log(scale[kept]).sum()),
    )


def _checked(X: Any, names: Sequence[str] | None, n: int) -> tuple[Any, tuple[str, ...]]:
    sparse = bool(sp.issparse(X))
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
    return matrix, labels


def _scale_sparse(matrix: Sparse, weights: Floats) -> tuple[Sparse, Floats, Floats, int | None]:
    """Columns to root mean square 1; centring would fill the zeros."""
    p = matrix.shape[1]
    rows = np.repeat(weights, np.diff(matrix.indptr))
    square = np.bincount(matrix.indices, weights=matrix.data**2 * rows, minlength=p)
    scale = np.sqrt(square / weights.sum())
    scale = np.where(scale > 0, scale, 1.0)
    scaled = csr((matrix.data / scale[matrix.indices], matrix.indices, matrix.indptr), shape=matrix.shape)
    return scaled, np.zeros(p), scale, None


def _scale_dense(matrix: Floats, weights: Floats) -> tuple[Floats, Floats, Floats, int | None]:
    """Columns to mean 0 (if there is a constant column) and root mean square 1."""
    p = matrix.shape[1]
    total = float(weights.sum())
    centre = np.zeros(p)
    flat = [j for j in range(p) if matrix[0, j] != 0 and (matrix[:, j] == matrix[0, j]).all()]
    constant = flat[0] if flat else None
    if constant is not None:
        centre = weights @ matrix / total
        centre[constant] = 0.0
    scaled = matrix - centre
    scale: Floats = np.sqrt(np.einsum("ij,ij,i->j", scaled, scaled, weights) / total)
    # A column equal to its mean up to rounding is a second constant: what is left of it is zero.
    gone = scale <= 1e-13 * np.abs(centre)
    scaled[:, gone] = 0.0
    scale = np.where(gone | (scale == 0), 1.0, scale)
    scaled /= scale
    return scaled, centre, scale, constant


def _alias_from_gram(gram: Floats) -> tuple[Ints, Floats]:
    """Cholesky of X'WX in column order, skipping columns of which nothing is left."""
    p = gram.shape[0]
    lower, failed = lapack.dpotrf(gram, lower=1)
    if failed == 0 and (np.diag(lower) ** 2 > GRAM_TOLERANCE**2 * np.diag(gram)).all():
        return np.arange(p), np.eye(p)
    kept: list[int] = []
    factor = np.zeros((p, p))
    for j in range(p):
        k = len(kept)
        cross: Any = solve_triangular(factor[:k, :k], gram[kept, j], lower=True) if k else np.zeros(0)
        rest = gram[j, j] - cross @ cross
        if gram[j, j] > 0 and rest > GRAM_TOLERANCE**2 * gram[j, j]:
            factor[k, :k] = cross
            factor[k, k] = np.sqrt(rest)
            kept.append(j)
    index = np.array(kept, dtype=np.intp)
    alias: Floats = np.zeros((len(kept), p))
    if len(kept):
        alias = np.asarray(np.linalg.solve(gram[np.ix_(index, index)], gram[index, :]), dtype=np.float64)
        alias[:, index] = np.eye(len(kept))
    return index, alias


def _alias_dense(matrix: Floats, weights: Floats) -> tuple[Ints, Floats]:
    """Gram-Schmidt, twice, in column order; kept columns and the alias coefficients (p, p_all)."""
    n, p = matrix.shape
    root = np.sqrt(weights)
    basis = np.empty((n, p), order="F")
    kept: list[int] = []
    for j in range(p):
        column = matrix[:, j] * root
        norm = float(np.linalg.norm(column))
        for _ in range(2):
            column = column - basis[:, : len(kept)] @ (basis[:, : len(kept)].T @ column)
        rest = float(np.linalg.norm(column))
        if norm > 0 and rest > ALIAS_TOLERANCE * norm:
            basis[:, len(kept)] = column / rest
            kept.append(j)
    index = np.array(kept, dtype=np.intp)
    alias = np.zeros((len(kept), p))
    alias[np.arange(len(kept)), index] = 1.0
    dropped = np.setdiff1d(np.arange(p), index)
    if len(dropped) and len(kept):
        target = matrix[:, dropped] * root[:, None]
        alias[:, dropped] = np.linalg.lstsq(matrix[:, index] * root[:, None], target, rcond=None)[0]
    return index, alias


def residualise(y: Floats, fixed: FixedPart, weights: Floats) -> tuple[Floats, Floats, float]:
    """Weighted least-squares residual of y on the scaled X, its coefficients, and its weighted rms.

    Subtracting X b leaves the REML and ML criteria as they are and keeps all digits for the variances.
    Raises NotIdentified if X explains y exactly: there is then no variance to divide.
    """
    matrix: Any = fixed.matrix
    coefficients = np.zeros(len(fixed.kept))
    rest = y.copy()
    if len(fixed.kept):
        factor = cho_factor(fixed.gram)
        for _ in range(2):  # the second pass removes what rounding left of the first
            step = cho_solve(factor, np.asarray(matrix.T @ (weights * rest)))
            coefficients += step
            rest -= np.asarray(matrix @ step)
    total = float(weights.sum())
    size = float(np.sqrt(weights @ rest**2 / total))
    spread = float(np.sqrt(weights @ y**2 / total))
    if size <= 1e-12 * spread or size == 0.0:
        raise NotIdentified("the residual variance", "the fixed effects reproduce the outcome exactly")
    return rest / size, coefficients, size
