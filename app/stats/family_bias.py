"""Does a judge favour systems of its own family (or its own model) beyond what it does to systems in general?

Systems differ in how a judge treats them for many reasons, so the effects d_s of single systems
(`judge_effects.system_effects`) are noisy readings of a family's effect even with endless anchors:

    d_s = alpha + gamma own_s + r_s + error_s ,   r_s ~ N(0, tau^2) ,   error ~ N(0, V) .

Systems are what is counted, not answers: gamma is the plain difference of two means of systems, g = c'd with
c_s = 1/k on the k own systems and -1/(S - k) on the others, and its error is read off the systems' spread
around these means. With M = I - X (X'X)^-1 X', X = (1, own),

    s^2 = d'M d / (S - 2) ,                  E s^2 = tau^2 + tr(M V) / (S - 2) ,
    Var g = tau^2 c'c + c'V c = c'c E s^2 + D ,   D = c'V c - c'c tr(M V) / (S - 2) .

D is what the prompts' errors do to the contrast beyond what they do to the spread: above all the error of the
slope b times the true gap in quality, which all systems of a family share. Where D = 0 the interval is
Student's of two samples of systems, exact with S - 2 degrees of freedom whatever tau is. D is a variance over
G prompts; the sum of both has Satterthwaite's degrees of freedom (1946). A D below 0 counts as 0, and the
interval is never narrower than that of the prompts' errors alone, c'V c with G - 1.

The weights c are not fitted to V, which would be more efficient if V were known: where people's noise makes b
come out too small V comes out too small too, so that fitted weights trust the comparison across the gap most
in just those cases, and better systems seem favoured, the more the fewer prompts there are to a system.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from app.stats.errors import InsufficientData, NotIdentified
from app.stats.jackknife import Effect
from app.stats.judge_effects import SystemEffects

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIN_SYSTEMS = 4
MIN_OF_FAMILY = 2  # and of the others: where one system is an outlier, one alone is it once in S times
_ROUNDING = 1e-12


def own_family_effect(effects: SystemEffects, *, own: Bools, prompts: int, level: float = 0.95) -> Effect:
    """gamma: what the judge adds to systems of its own family relative to others.

    Parameters
    ----------
    effects : the judge's effects on S systems.
    own : (S,)
        Whether each system is of the judge's family.
    prompts : how many prompts stand behind the effects.

    Raises
    ------
    NotIdentified
        If no system or one alone, or all or all but one, are of the judge's family: what a judge does to a
        family cannot be told from what it does to a single system.
    InsufficientData
        With fewer than `MIN_SYSTEMS` systems: how systems differ within a family is then unknown.
    """
    _on_both_sides(own, "family")
    for side, where in ((own, "of"), (~own, "outside")):
        if side.sum() < MIN_OF_FAMILY:
            raise NotIdentified(
                "own family",
                f"only one system with anchors is {where} the judge's family: what the judge does to the "
                "family cannot be told from what it does to that system",
            )
    return _difference(effects, own, prompts, level)


def own_model_effect(effects: SystemEffects, *, own: Bools, prompts: int, level: float = 0.95) -> Effect:
    """What the judge adds to systems that are its very model, relative to others; as `own_family_effect`.

    That is one system as a rule. The interval then tells how far it is from where a system drawn like the
    others would be, not why.

    Raises
    ------
    NotIdentified
        If no system, or every system, is the judge's model.
    InsufficientData
        With fewer than `MIN_SYSTEMS` systems.
    """
    _on_both_sides(own, "model")
    return _difference(effects, own, prompts, level)


def _on_both_sides(own: Bools, what: str) -> None:
    if own.all() or not own.any():
        side = "none" if own.all() else "only"
        raise NotIdentified(
            f"own {what}", f"the anchors have {side} of their systems outside the judge's {what}"
        )
    if len(own) < MIN_SYSTEMS:
        raise InsufficientData("systems with anchors", len(own), MIN_SYSTEMS)


def _difference(effects: SystemEffects, own: Bools, prompts: int, level: float) -> Effect:
    """g with the wider of its two intervals."""
    g, *variances = _contrast(effects, own, prompts)

    def half_width(one: tuple[float, float]) -> float:
        variance, freedom = one
        return float(stats.t.ppf(0.5 + level / 2, freedom) * np.sqrt(variance))

    variance, freedom = wider = max(variances, key=half_width)
    half, n = half_width(wider), int(effects.anchors.sum())
    return Effect(g, g - half, g + half, float(np.sqrt(variance)), n, prompts, freedom)


def _contrast(
    effects: SystemEffects, own: Bools, prompts: int
) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """g, and its variance with degrees of freedom: s^2 c'c + D, and c'V c of the prompts' errors alone."""
    d, V = effects.effect, effects.covariance
    X = np.column_stack([np.ones(len(own)), own.astype(float)])
    to_means = np.linalg.pinv(X)
    c, M = to_means[1], np.eye(len(own)) - X @ to_means
    g, residual, freedom = float(c @ d), M @ d, len(own) - 2
    if abs(g) < _ROUNDING * np.abs(d).max():
        g = 0.0  # a judge that gives every answer the same has neither effects nor errors
    of_prompts = max(float(c @ V @ c), 0.0)
    of_systems = float(c @ c * (residual @ residual) / freedom)
    beyond = max(of_prompts - float(c @ c * np.trace(M @ V) / freedom), 0.0)
    share = beyond / (of_systems + beyond) if beyond else 0.0
    satterthwaite = 1 / ((1 - share) ** 2 / freedom + share**2 / (prompts - 1))
    return g, (of_systems + beyond, satterthwaite), (of_prompts, float(prompts - 1))
