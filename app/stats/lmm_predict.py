"""Conditional modes and predictions of a fitted mixed model, with the uncertainty of beta in both.

The joint precision of the spherical random effects u and the fixed effects is, in block form with the large
factor first, [[D, S], [S', B]] / sigma^2. For a linear combination with coefficient e on a level of the large
factor and c on the border (Henderson 1975, Biometrics 31: the inverse of the mixed-model equations),

    c~   = c - (e / D) S_level
    mean = c~' solution + (e / D) S_y,        variance = sigma^2 (e^2 / D + c~' B^-1 c~).

Variances are those of estimated minus true effect at the estimated variances (not of a new residual).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.linalg import solve_triangular

from app.stats.lmm import LmmFit
from app.stats.lmm_design import Floats, Ints, Term, csr
from app.stats.lmm_elimination import Nested, Scalar
from app.stats.lmm_rows import rows_of
from app.stats.lmm_sparse import SparseFactors

NEW_LEVEL = -1
"""A level that the fit has not seen: predicted at zero, with the term's variance added."""

ABSENT = -2
"""The row has no effect of this term: nothing is added."""

ROWS_AT_ONCE = 1 << 15


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """mean (n,) of the linear predictor with its random effects; variance (n,); units of y, y squared.

    ``variance`` is the prediction error variance of that linear predictor, with the uncertainty of beta.
    For a fresh observation of weight w add ``fit.sigma2 / w``.
    """

    mean: Floats
    variance: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Modes:
    """Predicted random effects of one term: effect (levels, K) in the units of y; covariance (levels, K, K).

    The covariance is that of predicted minus true effect. A level without rows has effect 0 and the term's
    covariance.
    """

    term: str
    effects: tuple[str, ...]
    effect: Floats
    covariance: Floats

    @property
    def standard_errors(self) -> Floats:
        """(levels, K) roots of the variances."""
        return np.asarray(np.sqrt(np.einsum("ljj->lj", self.covariance)))


def predict_lmm(
    fit: LmmFit,
    *,
    X: Any,
    codes: Mapping[str, npt.NDArray[Any]],
    columns: Mapping[str, npt.NDArray[Any]] | None = None,
) -> Prediction:
    """Predict rows: X (n, p_all) as in the fit, ``codes`` {term: (n,)} for every term, slopes' ``columns``.

    A code of -1 is a new level (adds the term's variance), -2 means that the term is absent from the row.
    ``columns`` {term: (n, k)} is needed for terms with slopes, in the units of the fit. Columns that the fit
    dropped count as zero. Raises ValueError for a missing term, a wrong shape or a code out of range.
    """
    engine = fit.engine
    matrix = _dense_or_sparse(X)
    n = matrix.shape[0]
    if matrix.shape[1] != len(fit.names):
        raise ValueError(f"X has {matrix.shape[1]} columns, the fit had {len(fit.names)}")
    checked = [_check_new(t, codes, columns or {}, n) for t in engine.terms]
    sparse: bool = sp.issparse(matrix)
    mean, variance = np.empty(n), np.empty(n)
    for a in range(0, n, ROWS_AT_ONCE):
        part = slice(a, min(a + ROWS_AT_ONCE, n))
        rows: Any = matrix[part][:, fit.kept]
        fixed = np.asarray(rows.toarray() if sparse else rows) @ engine.fixed.back
        mean[part], variance[part] = _predict_rows(fit, fixed, [(c[part], v[part]) for c, v in checked])
    return Prediction(mean=mean, variance=variance)


def conditional_modes(fit: LmmFit, term: str) -> Modes:
    """Predicted random effects (conditional modes, BLUPs) of one term; KeyError if there is none."""
    engine = fit.engine
    index = [t.name for t in engine.terms].index(fit.component(term).term)
    checked = engine.terms[index]
    levels, k = checked.levels, len(checked.effects)
    effect = np.zeros((levels, k))
    covariance = np.zeros((levels, k, k))
    if any(engine.blocks[b].term == index for b in engine.criterion.eliminated):
        for i in range(k):
            effect[:, i], covariance[:, i, i] = _level_moments(fit, index, [i])
        for i in range(k):
            for j in range(i if checked.correlated else 0):
                both = _level_moments(fit, index, [i, j])[1]
                covariance[:, i, j] = (both - covariance[:, i, i] - covariance[:, j, j]) / 2
                covariance[:, j, i] = covariance[:, i, j]
        return Modes(
            term=term,
            effects=checked.effects,
            effect=effect / checked.scale,
            covariance=covariance / np.outer(checked.scale, checked.scale),
        )
    lower = engine.state.lower[:-1, :-1]
    m = len(lower)
    inverse = solve_triangular(lower, np.eye(m), lower=True)
    for b, block in enumerate(engine.blocks):
        if block.term != index:
            continue
        start, size = engine.criterion.offsets[b], block.size
        matrix = engine.criterion.lambdas(engine.state.theta)[b]
        spherical = engine.state.solution[start : start + levels * size].reshape(levels, size)
        columns = inverse[:, start : start + levels * size].reshape(m, levels, size)
        inner = np.einsum("mli,mlj->lij", columns, columns)
        place = np.ix_(range(levels), block.effects, block.effects)
        covariance[place] = fit.sigma2 * matrix @ inner @ matrix.T
        effect[:, list(block.effects)] = engine.y_scale * spherical @ matrix.T
    return Modes(
        term=term,
        effects=checked.effects,
        effect=effect / checked.scale,
        covariance=covariance / np.outer(checked.scale, checked.scale),
    )


def _level_moments(fit: LmmFit, term: int, effects: list[int]) -> tuple[Floats, Floats]:
    """Mean and variance (levels,) of the sum of some scaled effects of every level of an eliminated term."""
    engine = fit.engine
    levels = engine.terms[term].levels
    mean, variance = np.empty(levels), np.empty(levels)
    for a in range(0, levels, ROWS_AT_ONCE):
        part = np.arange(a, min(a + ROWS_AT_ONCE, levels))
        rows = [(np.full(len(part), ABSENT), np.zeros((len(part), len(t.effects)))) for t in engine.terms]
        values = np.zeros((len(part), len(engine.terms[term].effects)))
        values[:, effects] = 1.0
        rows[term] = (part, values)
        mean[part], variance[part] = _predict_rows(fit, np.zeros((len(part), fit.p)), rows, offset=False)
    return mean, variance


def _dense_or_sparse(X: Any) -> Any:
    if sp.issparse(X):
        return csr(X)
    matrix = np.asarray(X, dtype=np.float64)
    if matrix.ndim == 1:
        matrix = matrix[:, None]
    if not np.isfinite(matrix).all():
        raise ValueError("X holds values that are not finite")
    return matrix


def _check_new(
    term: Term, codes: Mapping[str, npt.NDArray[Any]], columns: Mapping[str, npt.NDArray[Any]], n: int
) -> tuple[Ints, Floats]:
    """Codes and scaled columns (n, K) of one term for new rows."""
    if term.name not in codes:
        raise ValueError(f"no codes for random term {term.name!r}; give -1 for a new level, -2 for none")
    new = np.asarray(codes[term.name])
    if new.shape != (n,) or new.dtype.kind not in "iu":
        raise ValueError(f"codes of {term.name!r} must be {n} integers")
    if new.max(initial=-1) >= term.levels or new.min(initial=0) < ABSENT:
        raise ValueError(f"codes of {term.name!r} must lie between -2 and {term.levels - 1}")
    values = np.ones((n, len(term.effects)))
    if term.values is not None:
        slopes = len(term.effects) - (term.effects[0] == "intercept")
        if term.name not in columns:
            raise ValueError(f"random term {term.name!r} needs its {slopes} columns")
        given = np.asarray(columns[term.name], dtype=np.float64).reshape(n, -1)
        if given.shape[1] != slopes:
            raise ValueError(f"random term {term.name!r} needs {slopes} columns, not {given.shape[1]}")
        values[:, len(term.effects) - slopes :] = given / term.scale[len(term.effects) - slopes :]
        values[new == ABSENT] = 0.0
        if not np.isfinite(values).all():
            raise ValueError(f"columns of random term {term.name!r} hold values that are not finite")
    return new.astype(np.intp), values


def _predict_rows(
    fit: LmmFit, fixed: Floats, rows: list[tuple[Ints, Floats]], offset: bool = True
) -> tuple[Floats, Floats]:
    """Mean and variance for rows with scaled fixed columns and (codes, scaled columns) of every term."""
    engine = fit.engine
    criterion, state = engine.criterion, engine.state
    n, m = len(fixed), criterion.d - 1
    lambdas = criterion.lambdas(state.theta)
    border = np.zeros((n, m))
    border[:, criterion.q :] = fixed
    added = np.zeros(n)  # variance in units of sigma^2
    for b, block in enumerate(engine.blocks):
        codes, values = rows[block.term]
        part = values[:, list(block.effects)] @ lambdas[b]  # (n, size)
        fresh = codes == NEW_LEVEL
        added[fresh] += (part[fresh] ** 2).sum(axis=1)
        if b in criterion.offsets:
            known = np.flatnonzero(codes >= 0)
            for j in range(block.size):
                border[known, criterion.offsets[b] + codes[known] * block.size + j] += part[known, j]
    mean = fixed @ engine.offset if offset else np.zeros(n)
    direct = np.zeros(n)
    if isinstance(criterion.elimination, Scalar):
        _through_scalar(fit, rows, border, added, direct)
    elif isinstance(criterion.elimination, Nested):
        _through_nested(fit, rows, border, added, direct)
    elif isinstance(criterion.elimination, SparseFactors):
        _through_sparse(fit, rows, border, added, direct)
    spread = solve_triangular(state.lower[:m, :m], border.T, lower=True) if m else np.zeros((0, n))
    added += (spread**2).sum(axis=0)
    mean = mean + engine.y_scale * (border @ state.solution + direct)
    return mean, fit.sigma2 * added


def _scaled_sums(fit: LmmFit, sums: Floats) -> tuple[Floats, Floats]:
    """Border part times Lambda, and the y part, of level sums (n, d)."""
    criterion = fit.engine.criterion
    scaled = criterion.times_lambda(sums, criterion.lambdas(fit.engine.state.theta))
    return scaled[:, :-1], scaled[:, -1]


def _through_scalar(
    fit: LmmFit, rows: list[tuple[Ints, Floats]], border: Floats, added: Floats, direct: Floats
) -> None:
    criterion = fit.engine.criterion
    elimination = criterion.elimination
    if not isinstance(elimination, Scalar) or criterion.big is None:
        raise AssertionError("a scalar large factor was expected")
    block = fit.engine.blocks[criterion.big]
    codes, values = rows[block.term]
    known = np.flatnonzero(codes >= 0)
    theta = float(criterion.large_theta(fit.engine.state.theta)[0])
    e = theta * values[known, block.effects[0]]
    level = codes[known]
    precision = 1 + theta**2 * elimination.m[level]
    sums, sums_y = _scaled_sums(fit, rows_of(elimination.s, level))
    border[known] -= (e * theta / precision)[:, None] * sums
    direct[known] += e * theta / precision * sums_y
    added[known] += e**2 / precision


def _through_nested(
    fit: LmmFit, rows: list[tuple[Ints, Floats]], border: Floats, added: Floats, direct: Floats
) -> None:
    """Cells first, then items. A known cell brings its item; a new cell of a known item is a new level."""
    criterion = fit.engine.criterion
    elimination = criterion.elimination
    if not isinstance(elimination, Nested) or criterion.big is None or criterion.cell is None:
        raise AssertionError("a nested large factor was expected")
    theta, phi = (float(v) for v in criterion.large_theta(fit.engine.state.theta))
    item_codes, item_values = rows[fit.engine.blocks[criterion.big].term]
    cell_codes, cell_values = rows[fit.engine.blocks[criterion.cell].term]
    items = np.where(item_codes >= 0, item_codes, -1)
    e = np.where(item_codes >= 0, theta * item_values[:, 0], 0.0)
    known = np.flatnonzero(cell_codes >= 0)
    if len(known):
        cells = cell_codes[known]
        coefficient = phi * cell_values[known, 0]
        owner = elimination.parent[cells]
        seen = owner >= 0
        clash = seen & (items[known] >= 0) & (owner != items[known])
        if clash.any():
            raise ValueError("a row names a cell of another item")
        precision = 1 + phi**2 * elimination.m[cells]
        sums, sums_y = _scaled_sums(fit, rows_of(elimination.s, cells))
        share = coefficient * phi / precision
        border[known] -= share[:, None] * sums
        direct[known] += share * sums_y
        added[known] += coefficient**2 / precision
        # The cell's data also speak of its item: the coefficient on the item that is left.
        e[known] -= share * theta * elimination.m[cells]
        items[known] = np.where(seen, owner, items[known])
    through = np.flatnonzero((items >= 0) & (e != 0))
    if len(through):
        totals, sums_all = elimination.item_sums(np.array([theta, phi]))
        sums, sums_y = _scaled_sums(fit, sums_all[items[through]])
        precision = 1 + theta**2 * totals[items[through]]
        share = e[through] * theta / precision
        border[through] -= share[:, None] * sums
        direct[through] += share * sums_y
        added[through] += e[through] ** 2 / precision


def _through_sparse(
    fit: LmmFit, rows: list[tuple[Ints, Floats]], border: Floats, added: Floats, direct: Floats
) -> None:
    """All random effects at once: e A^-1 e' by sparse solves, a few hundred rows at a time."""
    criterion = fit.engine.criterion
    elimination = criterion.elimination
    if not isinstance(elimination, SparseFactors):
        raise AssertionError("a general sparse factor was expected")
    theta = fit.engine.state.theta
    factor, solution = elimination.solved(theta)
    scaled = elimination.lambda_of(theta)
    right = np.asarray(scaled.T @ elimination.zw)
    step = max(1, 20_000_000 // max(len(solution), 1))
    for a in range(0, len(border), step):
        part = slice(a, a + step)
        e = np.zeros((len(border[part]), len(solution)))
        for b, block in enumerate(elimination.blocks):
            codes, values = rows[block.term][0][part], rows[block.term][1][part]
            known = np.flatnonzero(codes >= 0)
            for j, effect in enumerate(block.effects):
                e[known, elimination.starts[b] + codes[known] * block.size + j] = values[known, effect]
        e = np.asarray((scaled.T @ e.T).T)
        solved = np.asarray(factor.solve(np.ascontiguousarray(e.T)))
        through = solved.T @ right
        border[part] -= through[:, :-1]
        direct[part] += through[:, -1]
        added[part] += np.einsum("ij,ji->i", e, solved)
