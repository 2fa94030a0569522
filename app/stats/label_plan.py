"""How wide intervals will be after more human grades: the planner's promise.

The variance of a group's rectified mean is a residual part, which falls with the prompts its own grades are
on, a slope part, which falls with the group's grades and with all grades together, and a traffic part, which
no grade lowers (`rectifier`). With m_g more prompts in group g, of M over all N_a, and n_g effective ones so
far,

    residual ~ 1 / (n_g + m_g e),   e = n_g / prompts so far,
    slope    ~ n_g / (n_g + m_g e) N_a / (N_a + M),

put into the very interval that reports use (`fab`), with its degrees of freedom grown by m_g. What an
interval is today is taken as it stands: only the ratio of the two is predicted, so what the formula leaves
out (shared prompts, the prior) is left out on both sides.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from app.stats.fab import fab_intervals
from app.stats.group_quality import GroupQuality

Floats = NDArray[np.float64]

GUESSED_SPREAD = 0.28
"""Standard deviation of human grades on the unit scale, where there are none to measure it by."""


def planned_half_widths(quality: GroupQuality, more: Floats, level: float = 0.95) -> Floats:
    """Half of every group's interval with ``more`` grades in it, on other prompts than before.

    Parameters
    ----------
    quality : GroupQuality
        What is known now, at the same ``level``.
    more : (G,)
        Further graded prompts per group.

    Returns
    -------
    (G,) on the unit scale, NaN where there is no interval now.
    """
    now = 0.5 * (quality.upper - quality.lower)
    before, after = _half(quality, np.zeros_like(more), level), _half(quality, more, level)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(now * after / before)


def grades_for_half_width(
    quality: GroupQuality, share: Floats, target: float, most: int, level: float = 0.95
) -> int | None:
    """Fewest further grades, handed out by ``share`` (G,), with which the mean half-width is ``target``.

    None if ``most`` are not enough: part of the variance is the traffic's, which no grade lowers.
    """
    portions = share / max(float(share.sum()), 1e-12)

    def mean_half(count: int) -> float:
        return float(np.nanmean(planned_half_widths(quality, count * portions, level)))

    if mean_half(most) > target:
        return None
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if mean_half(middle) <= target else (middle + 1, high)
    return low


def guessed_grades(
    *, target: float, spread: float = GUESSED_SPREAD, correlation: float = 0.6, level: float = 0.95
) -> int:
    """Grades of one group for a half-width before there are any: (z s / w)^2 (1 - rho^2).

    ``spread`` is of human grades, ``correlation`` of the panel with them, both guesses; many answers are
    taken to have panel scores.
    """
    z = float(ndtri(0.5 + level / 2))
    return int(np.ceil((z * spread / target) ** 2 * (1.0 - correlation**2)))


def _half(quality: GroupQuality, more: Floats, level: float) -> Floats:
    means, dispersions = quality.means, quality.dispersions
    if dispersions is None:
        return np.full(more.shape, np.nan)
    n = means.effective_prompts
    efficiency = np.where(means.n_prompts > 0, n / np.maximum(means.n_prompts, 1), 1.0)
    grown = n + more * efficiency
    all_now = float(means.n_anchors.sum())
    shrinks = np.where(grown > 0, n / np.maximum(grown, 1e-12), 0.0) * all_now / (all_now + more.sum())
    # Where the units are all there is, what is graded leaves nothing to be estimated.
    drawn = (means.n_anchors + more) / np.maximum(means.n_units, 1)
    finite = np.where(means.finite_factor < 1.0, np.maximum(1.0 - drawn, 0.0), 1.0)
    pooled = quality.shrunk is not None
    lower, upper = fab_intervals(
        estimate=np.nan_to_num(quality.estimate, nan=0.5),
        flat_variance=means.slope_variance * shrinks + means.traffic_variance,
        curve=finite / np.maximum(grown, 1e-12) * dispersions.dispersion,
        degrees_of_freedom=np.maximum(dispersions.degrees_of_freedom + more, 1.0),
        prior_mean=quality.shrunk.prior_mean if quality.shrunk else np.full(n.size, 0.5),
        prior_variance=quality.shrunk.prior_variance if quality.shrunk else np.full(n.size, np.inf),
        level=level,
    )
    known = (n > 0) & np.isfinite(quality.lower) & (pooled | np.isfinite(dispersions.dispersion))
    return np.where(known, 0.5 * (upper - lower), np.nan)
