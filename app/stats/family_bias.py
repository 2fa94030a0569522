"""Does a judge favour systems of its own family (or its own model) beyond what it does to systems in general?

Systems differ in how a judge treats them for many reasons, so the effects d_s of single systems
(`judge_effects.system_effects`) are noisy readings of a family's effect even with endless anchors:

    d = alpha + gamma own_s + r_s + error ,   r_s ~ N(0, tau^2) ,  error ~ N(0, V) .

gamma is estimated by generalised least squares with tau^2 by restricted maximum likelihood, and its
variance is scaled by the mean weighted residual, with a t of S - 2 degrees of freedom (Hartung & Knapp
2001; Sidik & Jonkman 2002), never below the unscaled variance, so that a lucky fit cannot
narrow it.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, stats

from app.stats.errors import InsufficientData, NotIdentified
from app.stats.jackknife import Effect
from app.stats.judge_effects import SystemEffects

Floats = NDArray[np.float64]

MIN_SYSTEMS = 4


def own_family_effect(
    effects: SystemEffects,
    *,
    own: NDArray[np.bool_],
    prompts: int,
    level: float = 0.95,
    what: str = "family",
) -> Effect:
    """gamma: what the judge adds to systems of its own family (or model) relative to others.

    Parameters
    ----------
    effects : the judge's effects on S systems.
    own : (S,)
        Whether each system is of the judge's family (or its very model).
    prompts : how many prompts stand behind the effects; only passed on.

    Raises
    ------
    NotIdentified
        If no system, or every system, is of the judge's family.
    InsufficientData
        With fewer than `MIN_SYSTEMS` systems: how systems differ within a family is then unknown.
    """
    if own.all() or not own.any():
        side = "none" if own.all() else "only"
        raise NotIdentified(
            f"own {what}", f"the anchors have {side} of their systems outside the judge's {what}"
        )
    if len(own) < MIN_SYSTEMS:
        raise InsufficientData("systems with anchors", len(own), MIN_SYSTEMS)
    design = np.column_stack([np.ones(len(own)), own.astype(float)])
    tau2 = _between_systems(effects.effect, effects.covariance, design)
    beta, covariance, residual = _gls(effects.effect, effects.covariance + tau2 * np.eye(len(own)), design)
    freedom = float(len(own) - 2)
    scale = max(1.0, residual / freedom)
    std_error = float(np.sqrt(scale * covariance[1, 1]))
    half = float(stats.t.ppf(0.5 + level / 2, freedom)) * std_error
    gamma = float(beta[1])
    return Effect(gamma, gamma - half, gamma + half, std_error, int(effects.anchors.sum()), prompts, freedom)


def _gls(effect: Floats, covariance: Floats, design: Floats) -> tuple[Floats, Floats, float]:
    """Coefficients, their covariance, and the weighted residual sum of squares."""
    root = linalg.cholesky(covariance, lower=True)
    white = linalg.solve_triangular(root, design, lower=True)
    target = linalg.solve_triangular(root, effect, lower=True)
    inverse: Floats = np.asarray(np.linalg.inv(white.T @ white), dtype=np.float64)
    beta = inverse @ (white.T @ target)
    return beta, inverse, float(((target - white @ beta) ** 2).sum())


def _between_systems(effect: Floats, covariance: Floats, design: Floats) -> float:
    """tau^2 by restricted maximum likelihood, on a bounded search over its square root."""
    spread = float(np.sqrt(effect.var() + np.trace(covariance) / len(effect))) or 1.0

    def deviance(tau: float) -> float:
        total = covariance + (tau**2 + 1e-10 * spread**2) * np.eye(len(effect))
        _, inverse, residual = _gls(effect, total, design)
        return float(np.linalg.slogdet(total)[1] - np.linalg.slogdet(inverse)[1] + residual)

    found = optimize.minimize_scalar(deviance, bounds=(0.0, 3 * spread), method="bounded")
    tau = float(found.x) if found.fun < deviance(0.0) else 0.0
    return tau**2 + 1e-10 * spread**2
