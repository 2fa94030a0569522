"""How much of what a calibration leaves open is people's own noise, and what more grades would do to it.

On u anchors, r is the distance of the mean human grade from what the panel predicts, n the grades behind that
mean. With s^2 the variance of one grade around its answer's mean (half the mean squared difference of two
people's grades) and R = E r^2, which is what the widths of intervals rest on,

    share of the residual that is people's noise     q = s^2 E(1/n) / R ,
    widths with one more grade of every anchor       sqrt(1 - s^2 E(1/n - 1/(n+1)) / R) ,
    with as many grades given to new anchors         sqrt(1/2 + s^2 (1 - E(1/n)) / (4 R)) ,

each over the widths of now: u more anchors with one grade each have residual variance R + s^2 (1 - E(1/n)),
and the mean over both halves is a quarter of the sum of their variances over u. All moments go through one
jackknife over items, so that the error of s^2 is in the intervals too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from app.stats.errors import InsufficientData
from app.stats.grouped import sum_by
from app.stats.jackknife import Effect, cluster_jackknife, sums_by_prompt

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]
MIN_ANCHORS = 20


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio with its 95% interval; ``n`` anchors are behind it."""

    estimate: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class NoiseShare:
    """``share`` of the residual variance that is people's noise, in [0, 1]; widths, over those of now, with
    ``one_more`` grade of every anchor, or with as many on ``new_anchors``."""

    share: Ratio
    one_more: Ratio
    new_anchors: Ratio


def noise_share(
    *, half_squares: Floats, weight: Floats, pair_item: Ints, residual: Floats, grades: Floats, item: Ints
) -> NoiseShare:
    """Estimate all three.

    Parameters
    ----------
    half_squares, weight, pair_item : (k,)
        Half the squared difference of each pair of grades, its weight, and the code of its item.
    residual, grades, item : (u,)
        Per anchor the distance from the prediction in the same unit, the human grades it has, and its
        item's code among those of ``pair_item``.

    Raises
    ------
    InsufficientData
        With fewer than `MIN_ANCHORS` anchors, or `jackknife.MIN_PROMPTS` items.
    """
    if len(residual) < MIN_ANCHORS:
        raise InsufficientData("anchors that the panel predicts", len(residual), MIN_ANCHORS)
    k, u = len(weight), len(residual)
    moments = np.zeros((k + u, 6))
    moments[:k, :2] = np.column_stack([weight, weight * half_squares])
    moments[k:, 2:] = np.column_stack([np.ones(u), residual**2, 1 / grades, 1 / (grades + 1)])
    sums = sums_by_prompt(moments, np.concatenate([pair_item, item]))

    def of(function: Callable[[Floats, Floats, Floats], Floats]) -> Effect:
        def value(total: Floats) -> Floats:
            with np.errstate(divide="ignore", invalid="ignore"):
                noise = total[:, 1] / total[:, 0] / (total[:, 3] / total[:, 2])
                return function(noise, total[:, 4] / total[:, 2], total[:, 5] / total[:, 2])

        return cluster_jackknife(sums, value, n=u, what="items with anchors")

    return NoiseShare(
        share=_through(of(lambda noise, now, _: noise * now), lambda one: min(max(one, 0.0), 1.0)),
        one_more=_through(of(lambda noise, now, then: 1 - noise * (now - then)), _root),
        new_anchors=_through(of(lambda noise, now, _: 0.5 + noise * (1 - now) / 4), _root),
    )


def residuals(value: Floats, prediction: Floats, group: Ints, trust: float) -> Floats:
    """(u,) distance of human grades from ``trust`` times a prediction, each around its group's mean.

    Scaled by sqrt(u / (u - G)) for the G means; an anchor without a prediction (NaN) has its group's mean.
    """
    _, code, count = np.unique(group, return_inverse=True, return_counts=True)
    known = np.isfinite(prediction)
    seen = np.maximum(np.bincount(code[known], minlength=len(count)), 1)
    mean = sum_by(code[known], prediction[known], len(count)) / seen
    x = np.where(known, prediction - mean[code], 0.0)
    y = value - (sum_by(code, value, len(count)) / count)[code]
    return np.asarray((y - trust * x) * np.sqrt(len(value) / max(len(value) - len(count), 1)))


def _root(variance: float) -> float:
    """A ratio of widths from one of variances."""
    return sqrt(max(variance, 0.0))


def _through(effect: Effect, rises: Callable[[float], float]) -> Ratio:
    return Ratio(rises(effect.estimate), rises(effect.low), rises(effect.high), effect.n)
