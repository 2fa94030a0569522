"""Contrasts of fixed effects with Satterthwaite degrees of freedom, and intervals for variances.

Satterthwaite (1946) as in lmerTest (Kuznetsova et al. 2017, J. Stat. Softw. 82(13)): with f(psi) = l'C(psi) l
the contrast's variance as a function of psi = (theta, sigma) and A = 2 H^-1, H the Hessian of the deviance
that is not profiled over sigma,   df = 2 f^2 / (grad f' A grad f).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from app.stats.errors import NotIdentified
from app.stats.lmm import LmmFit
from app.stats.lmm_criterion import symmetric_inverse
from app.stats.lmm_design import Floats
from app.stats.lmm_kenward_roger import kenward_roger
from app.stats.lmm_optimise import hessian_of

EIGEN_TOLERANCE = 1e-8
"""Directions of psi with less curvature than this part of the largest carry no information."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contrast:
    """Estimates (k,) of linear combinations of fixed effects with their t intervals.

    estimate, se, df, low, high, p (k,), units of y; df may be as large as the residual degrees of freedom;
    level     coverage of the interval;  method "satterthwaite", "kenward-roger" or "normal"
    """

    estimate: Floats
    se: Floats
    df: Floats
    low: Floats
    high: Floats
    p: Floats
    level: float
    method: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SdInterval:
    """One standard deviation of a random effect (or the residual: term "residual") with its interval."""

    term: str
    effect: str
    sd: float
    low: float
    high: float
    method: str


def contrast(fit: LmmFit, *, L: Any, level: float = 0.95, method: str = "satterthwaite") -> Contrast:
    """Inference for L (k, p_all) or (p_all,) over the caller's columns of X.

    Raises NotIdentified if a combination involves dropped columns in a way the data cannot estimate,
    ValueError for shapes and unknown methods.
    """
    matrix = estimable(fit, L)
    estimate = matrix @ fit.beta
    if method == "satterthwaite":
        covariance = fit.covariance
        df = satterthwaite_df(fit, matrix)
    elif method == "kenward-roger":
        adjusted = kenward_roger(fit)
        covariance = adjusted.covariance
        df = adjusted.df(fit, matrix)
    elif method == "normal":
        covariance = fit.covariance
        df = np.full(len(matrix), np.inf)
    else:
        raise ValueError(f"unknown method {method!r}")
    return _t_interval(
        estimate, np.sqrt(np.einsum("ij,jk,ik->i", matrix, covariance, matrix)), df, level, method
    )


def _t_interval(estimate: Floats, se: Floats, df: Floats, level: float, method: str) -> Contrast:
    half = stats.t.ppf(0.5 + level / 2, df) * se
    return Contrast(
        estimate=estimate,
        se=se,
        df=df,
        low=estimate - half,
        high=estimate + half,
        p=np.asarray(2 * stats.t.sf(np.abs(estimate) / np.where(se > 0, se, np.inf), df)),
        level=level,
        method=method,
    )


def estimable(fit: LmmFit, L: Any) -> Floats:
    """L (k, p_all) rewritten on the kept columns (k, p); NotIdentified if the data cannot estimate it."""
    matrix = np.atleast_2d(np.asarray(L, dtype=np.float64))
    if matrix.ndim != 2 or matrix.shape[1] != len(fit.names):
        raise ValueError(f"L has shape {matrix.shape}, expected (k, {len(fit.names)})")
    # X = X_kept @ alias, so l'beta is estimable exactly if l = alias' l_kept.
    kept = matrix[:, fit.kept]
    gap = np.abs(matrix - kept @ fit.engine.fixed.alias)
    size = np.abs(matrix).max(initial=0.0)
    if (gap > 1e-6 * max(size, 1e-300)).any():
        column = fit.names[int(np.argmax(gap.max(axis=0)))]
        raise NotIdentified("the contrast", f"column {column} is zero or aliased with others")
    return np.asarray(kept)


def satterthwaite_df(fit: LmmFit, L: Floats) -> Floats:
    """Degrees of freedom (k,) for rows of L (k, p) over the kept columns."""
    information, gradient = _psi_information(fit, L)
    spread = _inverse_psd(information) * 2
    variance = np.einsum("ij,jk,ik->i", L, fit.covariance, L)
    denominator = np.einsum("ki,ij,kj->k", gradient, spread, gradient)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = 2 * variance**2 / denominator
    return np.asarray(np.where(np.isfinite(df), df, fit.df))


def _inverse_psd(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    good = values > EIGEN_TOLERANCE * max(float(values.max(initial=0.0)), 1e-300)
    return np.asarray((vectors[:, good] / values[good]) @ vectors[:, good].T)


def psi_hessian(fit: LmmFit) -> Floats:
    """Hessian (k + 1, k + 1) of log_det + rss / s^2 + df log(2 pi s^2) in (theta, s), scaled y."""
    criterion, state = fit.engine.criterion, fit.engine.state
    k = criterion.parameters
    sigma = fit.engine.sigma_scaled
    out = np.zeros((k + 1, k + 1))
    if k:
        out[:k, :k], _ = hessian_of(criterion, state.theta, 1 / sigma**2)
        residual = np.concatenate([state.solution, [-1.0]])
        by_theta = criterion.gradient_of(state, np.outer(residual, residual), log_det=False)
        out[:k, k] = out[k, :k] = -2 / sigma**3 * by_theta
    out[k, k] = 4 * criterion.df / sigma**2
    return out


def _psi_information(fit: LmmFit, L: Floats) -> tuple[Floats, Floats]:
    """The Hessian in psi and the gradient (rows of L, k + 1) of each contrast's variance, in y squared."""
    engine = fit.engine
    criterion, state = engine.criterion, engine.state
    m, k = criterion.d - 1, criterion.parameters
    inverse = symmetric_inverse(state.lower[:m, :m])
    scaled = L @ engine.fixed.back  # rows over the scaled columns
    variance = np.einsum("ij,jk,ik->i", L, fit.covariance, L)
    gradient = np.zeros((len(L), k + 1))
    for i, row in enumerate(scaled):
        # l'C l with C the inverse's lower right block: its derivative is -(w' dB w), w = B^-1 [0, l].
        w = np.concatenate([inverse[:, criterion.q :] @ row, [0.0]])
        gradient[i, :k] = -fit.sigma2 * criterion.gradient_of(state, np.outer(w, w), log_det=False)
    gradient[:, k] = 2 * variance / engine.sigma_scaled
    return psi_hessian(fit), gradient


def sd_intervals(fit: LmmFit, *, level: float = 0.95) -> tuple[SdInterval, ...]:
    """Wald intervals on the log standard deviation for every random effect, the residual last.

    With the covariance 2 H^-1 of (theta, sigma) and the delta method, sd exp(+- z se(log sd)). At a standard
    deviation of zero there is no such interval: its low end is 0 and its high end comes from the profile, the
    largest sd at which the criterion is within the chi-square quantile of its minimum (method "profile").
    """
    engine = fit.engine
    criterion = engine.criterion
    theta, sigma = engine.state.theta, engine.sigma_scaled
    hessian = psi_hessian(fit)
    z = float(stats.norm.ppf(0.5 + level / 2))
    out: list[SdInterval] = []
    k = criterion.parameters
    for b, block in enumerate(engine.blocks):
        term = engine.terms[block.term]
        matrix = criterion.lambdas(theta)[b]
        rows, columns = np.tril_indices(block.size)
        for j, effect in enumerate(block.effects):
            ratio = float(np.linalg.norm(matrix[j]))
            unit = fit.sigma / float(term.scale[effect])
            if ratio < 1e-4:
                low, high, method = 0.0, _profile_upper(fit, b, j, level) * unit, "profile"
            else:
                gradient = np.zeros(k + 1)
                mine = rows == j
                gradient[engine.criterion.slices[b]][mine] = matrix[j, columns[mine]] / ratio**2
                gradient[k] = 1 / sigma
                low, high = _wald(ratio * unit, z * _root_variance(hessian, gradient))
                method = "wald"
            out.append(
                SdInterval(
                    term=term.name,
                    effect=term.effects[effect],
                    sd=ratio * unit,
                    low=low,
                    high=high,
                    method=method,
                )
            )
    gradient = np.zeros(k + 1)
    gradient[k] = 1 / sigma
    low, high = _wald(fit.sigma, z * _root_variance(hessian, gradient))
    out.append(
        SdInterval(
            term="residual",
            effect="residual",
            sd=fit.sigma,
            low=low,
            high=high,
            method="wald",
        )
    )
    return tuple(out)


def _wald(sd: float, half: float) -> tuple[float, float]:
    """sd exp(+- half); a half-width past every use reads as 0 to infinity."""
    return (sd * float(np.exp(-half)), sd * float(np.exp(half))) if half < 50 else (0.0, float("inf"))


def _root_variance(hessian: Floats, gradient: Floats) -> float:
    """Standard error of a function of psi; infinite if it moves along a direction without curvature."""
    scale = np.sqrt(np.maximum(np.diag(hessian), 1e-300))
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    flat = values <= EIGEN_TOLERANCE * max(float(values.max(initial=0.0)), 1e-300)
    along = vectors.T @ (gradient / scale)
    if (np.abs(along[flat]) > 1e-6 * np.linalg.norm(along)).any():
        return float("inf")
    return float(np.sqrt(2 * (along[~flat] ** 2 / values[~flat]).sum()))


def _profile_upper(fit: LmmFit, b: int, effect: int, level: float) -> float:
    """The ratio sd / sigma above zero at which the deviance has risen by the chi-square quantile.

    The other parameters stay at their estimates and sigma is profiled, so the end is slightly too small where
    other components trade with this one; it is reported as "profile".
    """
    criterion, state = fit.engine.criterion, fit.engine.state
    target = criterion.deviance(state) + float(stats.chi2.ppf(level, 1))
    entry = criterion.slices[b].start + effect * (effect + 3) // 2

    def excess(value: float) -> float:
        theta = state.theta.copy()
        theta[entry] = value
        moved = criterion.factor(theta)
        return np.inf if moved is None else criterion.deviance(moved) - target

    low, high = 0.0, 0.1
    while excess(high) < 0 and high < 1e4:
        low, high = high, high * 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return high
