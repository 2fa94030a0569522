"""Cumulative-link mixed models: ordinal scales, win / tie / loss, and, with two categories, the binary logit.

    logit P(Y_i <= k) = alpha_{g(i), k} - x_i'beta - z_i'b,     b ~ N(0, Lambda Lambda')

fitted by the Laplace approximation (`clmm_criterion`). A higher beta means higher categories. The thresholds
may differ by group (by judge): that is a judge's severity and its use of the scale in one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize

from app.stats.clmm_criterion import LaplaceCriterion, Mode
from app.stats.clmm_likelihood import tau_of, thresholds
from app.stats.errors import InsufficientData
from app.stats.lmm import SINGULAR, VarianceComponent
from app.stats.lmm_design import Floats, Ints, RandomTerm, blocks_of, check_outcome, check_term, csr
from app.stats.lmm_fixed import FixedPart, prepare_fixed
from app.stats.lmm_optimise import DECREMENT, OptimiserRecord

FLAT = 1e-7
"""Curvature below this part of a parameter's own is none: the parameters cannot be told apart."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClmmFit:
    """A fitted cumulative-link mixed model; K categories, G threshold groups, p estimable fixed effects.

    thresholds      (G, K-1) ascending, logits; thresholds_se their standard errors
    beta            (p,) log odds ratios of a higher category per unit of the column; standard_errors (p,)
    covariance      (G (K-1) + p) square: thresholds row by row, then beta; from the criterion's Hessian
    components      covariance of each term's random effects (logit scale), as in `fit_lmm`
    log_sd_se       per random effect in the order of components: standard error of log sd, inf at zero
    deviance        -2 times the Laplace log likelihood
    singular, converged, identified, reasons, optimiser: as in `LmmFit`
    """

    n: int
    p: int
    categories: int
    names: tuple[str, ...]
    kept: Ints
    dropped: tuple[str, ...]
    thresholds: Floats
    thresholds_se: Floats
    beta: Floats
    standard_errors: Floats
    covariance: Floats
    components: tuple[VarianceComponent, ...]
    log_sd_se: Floats
    deviance: float
    log_likelihood: float
    singular: bool
    converged: bool
    identified: bool
    reasons: tuple[str, ...]
    optimiser: OptimiserRecord
    criterion: LaplaceCriterion = field(repr=False)
    psi: Floats = field(repr=False)

    def component(self, term: str) -> VarianceComponent:
        """The component of one term by name; KeyError if there is none."""
        for candidate in self.components:
            if candidate.term == term:
                return candidate
        raise KeyError(term)


def fit_clmm(
    *,
    category: Any,
    categories: int,
    X: Any,
    groups: Sequence[RandomTerm] = (),
    weights: Any = None,
    names: Sequence[str] | None = None,
    threshold_codes: Any = None,
) -> ClmmFit:
    """Fit by maximum likelihood (Laplace).

    category         (n,) integers 0..categories-1; two categories give the binary logit of category 1
    X                (n, p_all) without an intercept: a constant is aliased with the thresholds and dropped
    groups, weights, names   as in `fit_lmm`; a weight multiplies the row's log likelihood
    threshold_codes  (n,) integers 0..G-1: rows with thresholds of their own; None for one set

    Raises ValueError for arrays that make no model and for more random effects beside the largest factor (and
    the cells nested in it) than a dense factorisation can hold, InsufficientData for a category that never
    occurs (in a threshold group).
    """
    given, prior, used = check_outcome(category, weights)
    if not used.all():
        raise ValueError("leave rows of weight 0 out")
    n = len(given)
    codes = given.astype(np.intp)
    if (
        categories < 2
        or (codes != given).any()
        or codes.min(initial=0) < 0
        or codes.max(initial=0) >= categories
    ):
        raise ValueError(f"category must hold integers from 0 to {categories - 1}")
    group = (
        np.zeros(n, dtype=np.intp) if threshold_codes is None else np.asarray(threshold_codes, dtype=np.intp)
    )
    if group.shape != (n,) or group.min(initial=0) < 0:
        raise ValueError(f"threshold_codes must be {n} codes from 0")
    shape = (int(group.max(initial=0)) + 1, categories - 1)
    counts: Any = np.bincount(group * categories + codes, weights=prior, minlength=shape[0] * categories)
    counts = counts.reshape(shape[0], categories)
    if (counts == 0).any():
        g, k = (int(v[0]) for v in np.nonzero(counts == 0))
        raise InsufficientData(f"rows of category {k} in threshold group {g}", 0, 1)
    fixed, part = _fixed(X, names, group, shape[0], prior, n)
    terms = tuple(check_term(g, n, used) for g in groups)
    criterion = LaplaceCriterion(
        category=codes, group=group, shape=shape, X=part, weights=prior, terms=terms, blocks=blocks_of(terms)
    )
    start = _start(criterion, counts)
    psi, record = _minimise(criterion, start)
    return _assemble(criterion, psi, record, fixed, shape)


def _fixed(
    X: Any, names: Sequence[str] | None, group: Ints, groups: int, weights: Floats, n: int
) -> tuple[FixedPart, Any]:
    """X beside the indicators of the threshold groups, which come first and so alias what they span."""
    sparse = bool(sp.issparse(X))
    matrix: Any = csr(X, dtype=np.float64) if sparse else np.asarray(X, dtype=np.float64).reshape(n, -1)
    p = matrix.shape[1]
    labels = tuple(f"x{j}" for j in range(p)) if names is None else tuple(names)
    indicator = csr((np.ones(n), group, np.arange(n + 1)), shape=(n, groups))
    both = csr(sp.hstack([indicator, matrix])) if sparse else np.hstack([indicator.toarray(), matrix])
    fixed = prepare_fixed(both, [f"threshold {g}" for g in range(groups)] + list(labels), weights, n)
    scaled: Any = fixed.matrix
    return fixed, (csr(scaled[:, groups:]) if sparse else np.ascontiguousarray(scaled[:, groups:]))


def _start(criterion: LaplaceCriterion, counts: Floats) -> Floats:
    """Thresholds of the observed shares, no effects, standard deviations of one half."""
    share = np.cumsum(counts, axis=1)[:, :-1] / counts.sum(axis=1, keepdims=True)
    psi = np.zeros(criterion.parameters)
    psi[: criterion.count] = tau_of(np.log(share / (1 - share))).ravel()
    for block, part in zip(criterion.blocks, criterion.slices, strict=True):
        psi[part] = (0.5 * np.eye(block.size))[np.tril_indices(block.size)]
    return psi


def _minimise(criterion: LaplaceCriterion, start: Floats) -> tuple[Floats, OptimiserRecord]:
    # Unit curvature, roughly: a fixed effect is known to sqrt(n / 5), a standard deviation to sqrt(levels).
    scale = np.full(len(start), np.sqrt(criterion.weights.sum() / 5))
    for block, part in zip(criterion.blocks, criterion.slices, strict=True):
        scale[part] = np.sqrt(2 * block.levels)
    first = criterion.value_and_gradient(start)
    if first is None:
        raise np.linalg.LinAlgError("the criterion cannot be evaluated at the start")
    level = first[0]
    last = [first[1] / scale]

    def shifted(phi: Floats) -> tuple[float, Floats]:
        found = criterion.value_and_gradient(phi / scale)
        if found is None or not np.isfinite(found[0]):
            return 1e10, last[0]
        last[0] = found[1] / scale
        return found[0] - level, last[0]

    options: Any = {"ftol": 1e-10, "gtol": 1e-4, "maxiter": 500, "maxcor": 20}
    result = minimize(shifted, start * scale, jac=True, method="L-BFGS-B", options=options)
    psi = np.asarray(result.x) / scale
    psi = _settle_zeros(criterion, psi)
    psi, hessian, gradient, decrement = _polish(criterion, psi)
    for block, part in zip(criterion.blocks, criterion.slices, strict=True):
        matrix = np.zeros((block.size, block.size))
        matrix[np.tril_indices(block.size)] = psi[part]
        psi[part] = (matrix * np.where(np.diag(matrix) < 0, -1.0, 1.0))[np.tril_indices(block.size)]
    return psi, OptimiserRecord(
        start=start,
        end=psi,
        evaluations=criterion.evaluations,
        gradient_norm=float(np.abs(gradient).max(initial=0.0)),
        decrement=decrement,
        code=int(result.status),
        message=str(result.message),
        deviances=(float(result.fun) + level,),
        hessian=hessian,
    )


def _settle_zeros(criterion: LaplaceCriterion, psi: Floats) -> Floats:
    """Standard deviations near zero are set to zero if that is no worse, as in `lmm_optimise`."""
    for block, part in zip(criterion.blocks, criterion.slices, strict=True):
        for j in range(block.size):
            k = part.start + j * (j + 3) // 2
            if abs(psi[k]) < 0.02:
                trial = psi.copy()
                trial[k] = 0.0
                here, there = criterion.value_and_gradient(psi), criterion.value_and_gradient(trial)
                if here is not None and there is not None and there[0] <= here[0] + 1e-8:
                    psi = trial
    return psi


def _hessian(criterion: LaplaceCriterion, psi: Floats) -> tuple[Floats, Floats]:
    """Central differences of the exact gradient, and the gradient."""
    k = len(psi)
    middle = criterion.value_and_gradient(psi)
    gradient = np.full(k, np.nan) if middle is None else middle[1]
    out = np.zeros((k, k))
    for j in range(k):
        h = 1e-4 * max(abs(psi[j]), 0.3)
        sides = []
        for sign in (1.0, -1.0):
            moved = psi.copy()
            moved[j] += sign * h
            found = criterion.value_and_gradient(moved)
            sides.append(gradient if found is None else found[1])
        out[j] = (sides[0] - sides[1]) / (2 * h)
    return (out + out.T) / 2, gradient


def _polish(criterion: LaplaceCriterion, psi: Floats) -> tuple[Floats, Floats, Floats, float]:
    """Newton steps with the Hessian that the standard errors need anyway."""
    hessian, gradient = _hessian(criterion, psi)
    found = criterion.value_and_gradient(psi)
    value = np.inf if found is None else found[0]
    for _ in range(6):
        step, decrement = _step(hessian, gradient)
        if decrement < 1e-15 * max(abs(value), 1.0):
            break
        trial = psi - step
        found = criterion.value_and_gradient(trial)
        if found is None or not found[0] <= value + 1e-9 * max(abs(value), 1.0):
            break
        far = decrement > 1e-4
        psi, value, gradient = trial, found[0], found[1]
        if far:
            hessian, gradient = _hessian(criterion, psi)
    return psi, hessian, gradient, _step(hessian, gradient)[1]


def _step(hessian: Floats, gradient: Floats) -> tuple[Floats, float]:
    scale = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-12))
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    good = values > FLAT
    along = vectors.T @ (gradient / scale)
    step = (vectors[:, good] @ (along[good] / values[good])) / scale
    return step, float(0.5 * (along[good] ** 2 / values[good]).sum())


def _assemble(
    criterion: LaplaceCriterion,
    psi: Floats,
    record: OptimiserRecord,
    fixed: FixedPart,
    shape: tuple[int, int],
) -> ClmmFit:
    count, p, groups = criterion.count, criterion.p, shape[0]
    found = criterion.value_and_gradient(psi)
    deviance = record.deviances[0] if found is None else found[0]
    components, singular, free = _components(criterion, psi)
    covariance_psi, identified = _covariance(record.hessian, free)
    # The caller's thresholds and coefficients are linear in (alpha, scaled beta); alpha is not in tau.
    tau = psi[:count].reshape(shape)
    to_alpha = np.zeros((count, count))
    for j in range(count):
        unit = np.zeros(count)
        unit[j] = 1.0
        unit = unit.reshape(shape)
        growth = np.concatenate([np.ones((groups, 1)), np.exp(tau[:, 1:])], axis=1)
        to_alpha[:, j] = np.cumsum(unit * growth, axis=1).ravel()
    back = fixed.back[:, groups:]
    jacobian = np.zeros((count + p, count + p))
    jacobian[:count, :count] = to_alpha
    jacobian[:count, count:] = -np.repeat(back[:groups], shape[1], axis=0)
    jacobian[count:, count:] = back[groups:]
    part = covariance_psi[: count + p, : count + p]
    covariance = jacobian @ part @ jacobian.T
    scaled_beta = psi[count : count + p]
    alpha = thresholds(tau) - (back[:groups] @ scaled_beta)[:, None]
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    kept = fixed.kept[groups:] - groups
    labels = fixed.names[groups:]
    dropped = tuple(name for j, name in enumerate(labels) if j not in set(kept.tolist()))
    converged = record.decrement < DECREMENT
    reasons = [f"the covariance of {c.term} is singular" for c in components if c.singular]
    reasons += [f"fixed effect {name} is zero or aliased and was dropped" for name in dropped]
    if not identified:
        reasons.append("the criterion is flat in some direction: effects or variances cannot be told apart")
    if not converged:
        reasons.append("the search did not converge")
    return ClmmFit(
        n=len(criterion.category),
        p=p,
        categories=shape[1] + 1,
        names=labels,
        kept=kept,
        dropped=dropped,
        thresholds=alpha,
        thresholds_se=errors[:count].reshape(shape),
        beta=back[groups:] @ scaled_beta,
        standard_errors=errors[count:],
        covariance=covariance,
        components=components,
        log_sd_se=_log_sd_errors(criterion, psi, covariance_psi),
        deviance=float(deviance),
        log_likelihood=float(-deviance / 2),
        singular=singular,
        converged=converged,
        identified=identified,
        reasons=tuple(reasons),
        optimiser=record,
        criterion=criterion,
        psi=psi,
    )


def _covariance(hessian: Floats, free: list[int]) -> tuple[Floats, bool]:
    """2 H^-1 over the parameters off their boundary, and whether H has curvature in every direction."""
    out = np.zeros_like(hessian)
    sub = hessian[np.ix_(free, free)]
    scale = np.sqrt(np.maximum(np.abs(np.diag(sub)), 1e-12))
    values, vectors = np.linalg.eigh(sub / np.outer(scale, scale))
    good = values > FLAT
    inverse = (vectors[:, good] / values[good]) @ vectors[:, good].T
    out[np.ix_(free, free)] = 2 * inverse / np.outer(scale, scale)
    return out, bool(good.all())


def _components(
    criterion: LaplaceCriterion, psi: Floats
) -> tuple[tuple[VarianceComponent, ...], bool, list[int]]:
    """Components, whether any is singular, and the parameters off their boundary."""
    lambdas = criterion.lambdas(psi)
    free = list(range(criterion.count + criterion.p))
    out = []
    for t, term in enumerate(criterion.terms):
        k = len(term.effects)
        scaled = np.zeros((k, k))
        singular = False
        for block, part, matrix in zip(criterion.blocks, criterion.slices, lambdas, strict=True):
            if block.term != t:
                continue
            scaled[np.ix_(block.effects, block.effects)] = matrix @ matrix.T
            small = bool(np.linalg.svd(matrix, compute_uv=False).min() < SINGULAR)
            singular |= small
            if not small:
                free += list(range(part.start, part.stop))
        covariance = scaled / np.outer(term.scale, term.scale)
        sd = np.sqrt(np.diag(covariance))
        divisor = np.where(sd > 0, sd, 1.0)
        correlation = covariance / np.outer(divisor, divisor)
        np.fill_diagonal(correlation, 1.0)
        used = int(np.count_nonzero(np.bincount(term.codes[term.codes >= 0])))
        out.append(
            VarianceComponent(
                term=term.name,
                effects=term.effects,
                sd=sd,
                correlation=correlation,
                covariance=covariance,
                levels=term.levels,
                used=used,
                singular=singular,
                identified=used >= 2,
            )
        )
    return tuple(out), any(c.singular for c in out), sorted(free)


def _log_sd_errors(criterion: LaplaceCriterion, psi: Floats, covariance: Floats) -> Floats:
    out = []
    for block, part, matrix in zip(criterion.blocks, criterion.slices, criterion.lambdas(psi), strict=True):
        rows, columns = np.tril_indices(block.size)
        for j in range(block.size):
            norm2 = float(matrix[j] @ matrix[j])
            gradient = np.zeros(block.parameters)
            if norm2 > 0:
                gradient[rows == j] = matrix[j, columns[rows == j]] / norm2
            variance = float(gradient @ covariance[part, part] @ gradient)
            out.append(np.sqrt(variance) if variance > 0 else np.inf)
    return np.array(out)


def clmm_modes(fit: ClmmFit, term: str) -> Floats:
    """Conditional modes (levels, K) of one term's random effects, logit scale; KeyError if there is none."""
    criterion = fit.criterion
    index = [t.name for t in criterion.terms].index(fit.component(term).term)
    mode: Mode | None = criterion.mode(fit.psi)
    if mode is None:
        raise np.linalg.LinAlgError("the conditional modes were not found")
    checked = criterion.terms[index]
    out = np.zeros((checked.levels, len(checked.effects)))
    for b, (block, matrix) in enumerate(zip(criterion.blocks, criterion.lambdas(fit.psi), strict=True)):
        if block.term == index:
            spherical = mode.u[criterion.random.part(b)].reshape(block.levels, block.size)
            out[:, list(block.effects)] = spherical @ matrix.T
    return out / checked.scale
