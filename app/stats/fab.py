"""Frequentist intervals that lean on a prior: exact coverage whatever the prior, short where it is right.

Yu & Hoff (2018), "Adaptive multigroup confidence intervals with constant coverage", arXiv:1612.08287.
For y ~ N(theta, sigma^2), with w(theta) = g^-1(2 s (theta - m) / tau^2) and
g(w) = Phi^-1(alpha w) - Phi^-1(alpha (1 - w)), the set

    { theta : t_{alpha (1 - w(theta))} < (theta - y) / sigma < t_{1 - alpha w(theta)} }

has coverage 1 - alpha for every theta, because at each theta the two tails sum to alpha; m, tau^2 and s are
arbitrary as long as they do not depend on y. It tends to y +- t_{1 - alpha/2} sigma as tau^2 grows.

Two extensions. *Bounded grades*: sigma^2(theta) = flat + unit(theta) * curve with unit(theta) =
theta (1 - theta), the score interval of a (quasi-)binomial mean: with a flat prior it is Wilson's
interval. *Shared errors*: if the prior mean m moves by kappa when y does (the other groups' anchors share
prompts with this one's), then m - kappa (y - theta) is independent of y under theta, so theta - m is replaced
by (1 - kappa)(theta - m') with m' = (m - kappa y) / (1 - kappa), whose distance to theta has the variance
tau^2 / (1 - kappa)^2.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

Floats = NDArray[np.float64]


def fab_intervals(
    *,
    estimate: Floats,
    flat_variance: Floats,
    curve: Floats,
    degrees_of_freedom: Floats,
    prior_mean: Floats,
    prior_variance: Floats,
    shared: Floats | None = None,
    level: float = 0.95,
    bounds: tuple[float, float] = (0.0, 1.0),
    steps: int = 50,
) -> tuple[Floats, Floats]:
    """Lower and upper ends (S,), each; within ``bounds``.

    Parameters
    ----------
    estimate : (S,)
        Unbiased estimates, on a scale with the given bounds.
    flat_variance, curve : (S,)
        sigma^2(theta) = flat_variance + curve * u (1 - u), u = theta's place between the bounds. Set
        ``curve`` to 0 for a constant variance.
    degrees_of_freedom : (S,)
        Of the variance; infinity gives normal quantiles.
    prior_mean, prior_variance : (S,)
        What the *other* groups say of this one; an infinite variance gives the equal-tailed interval.
    shared : (S,)
        kappa above, cut to [-0.9, 0.9]; 0 by default.
    steps : int
        Halvings of the range: 50 find an end to 1e-15 of it.
    """
    alpha = 1.0 - level
    low, high = bounds
    kappa = np.zeros_like(estimate) if shared is None else np.clip(shared, -0.9, 0.9)
    centre = (prior_mean - kappa * estimate) / (1.0 - kappa)
    finite = np.isfinite(prior_variance)
    # m' is theta plus a prior error that was stretched by 1 / (1 - kappa)
    reach = np.where(finite, prior_variance, 0.0) / (1.0 - kappa) ** 2

    def sigma(theta: Floats) -> Floats:
        u = np.clip((theta - low) / (high - low), 0.0, 1.0)
        return np.sqrt(flat_variance + curve * u * (1.0 - u))

    # The scale s inside w must not hang on y: the prior mean stands in for theta.
    inner = np.maximum(sigma(np.where(finite, np.clip(centre, low, high), estimate)), 1e-12)

    def tail_share(theta: Floats) -> Floats:
        target = np.where(finite, 2.0 * inner * (theta - centre) / np.maximum(reach, 1e-12), 0.0)
        return _inverse_g(target, alpha)

    side = np.array([[1.0], [-1.0]])

    def excluded(theta: Floats) -> NDArray[np.bool_]:  # (2, S): still under the lower, over the upper end
        w = tail_share(theta)
        tail = np.stack([1.0 - w[0], w[1]])
        return side * (theta - estimate) <= sigma(theta) * _quantile(alpha * tail, degrees_of_freedom)

    ends = np.array([[low], [high]]) + np.zeros_like(estimate)
    lower, upper = _edges(ends, np.clip(estimate, low, high) + np.zeros_like(ends), excluded, steps)
    return lower, upper


def _edges(
    outside: Floats, inside: Floats, excluded: Callable[[Floats], NDArray[np.bool_]], steps: int
) -> Floats:
    """Bisect between the ends of the scale and the estimates for where ``excluded`` turns false."""
    out, kept = outside.copy(), inside.copy()
    for _ in range(steps):
        middle = 0.5 * (out + kept)
        gone = excluded(middle)
        out, kept = np.where(gone, middle, out), np.where(gone, kept, middle)
    return np.where(excluded(outside), kept, outside)


def _quantile(probability: Floats, df: Floats) -> Floats:
    """t quantile, normal where df is infinite; probabilities below 1e-300 count as that."""
    p = np.maximum(probability, 1e-300)
    infinite = np.isinf(df)
    if not infinite.any():
        return np.asarray(stdtrit(df, p))
    return np.where(infinite, ndtri(p), stdtrit(np.where(infinite, 1e9, df), p))


def _inverse_g(target: Floats, alpha: float) -> Floats:
    """w in (0, 1) with Phi^-1(alpha w) - Phi^-1(alpha (1 - w)) = target, from a table in logit(w)."""
    table_g, table_w = _table(alpha)
    return np.interp(target, table_g, table_w)


_tables: dict[float, tuple[Floats, Floats]] = {}


def _table(alpha: float) -> tuple[Floats, Floats]:
    if alpha not in _tables:
        logit = np.linspace(-600.0, 600.0, 24001)
        w = 1.0 / (1.0 + np.exp(-logit))
        rest = 1.0 / (1.0 + np.exp(logit))
        _tables[alpha] = (ndtri(alpha * w) - ndtri(alpha * rest), w)
    return _tables[alpha]
