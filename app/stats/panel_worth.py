"""Whether a panel is worth having: how its scores follow people, and what that saves of their grades.

With x and y the panel's prediction and the human grade of an anchor, each less its row's weighted mean, the
rectified mean at its best slope has a variance of (1 - r^2) s^2 / n where the traffic is far larger than what
people grade, the mean of the human grades alone s^2 / n (`rectifier`), r being the correlation of x and y. So

    ratio of widths = sqrt(1 - r^2),      share of human grades saved = r^2 :

without the panel so many more would be needed for the same interval. Predictions saw no human grade of the
unit's prompt, so r is an honest one, and a panel of noise has an r around 0, negative as often as not (then
it saves nothing).

r's interval: atanh r by deleting one prompt at a time (`jackknife`), widened for the row means that were
fitted. The limits of `Worth` are on the ratio, because that is what a user pays for.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from app.stats.errors import InsufficientData, NotIdentified
from app.stats.grouped import sum_by
from app.stats.jackknife import cluster_jackknife, sums_by_prompt

Floats = NDArray[np.float64]

USEFUL_RATIO = 0.90  # intervals a tenth shorter: a fifth of the human grades saved, r of .44
USELESS_RATIO = 0.975  # a twentieth of the grades saved, r of .22
LEAST_PROMPTS = 20  # with human grades, below which nothing is said
_CERTAIN = 1.0 - 1e-9


class Worth(StrEnum):
    """Useful: intervals shorter by a tenth, and shown to follow people. Useless: shorter by less than 2.5%.
    Weak: in between, or not shown yet."""

    USEFUL = "useful"
    WEAK = "weak"
    USELESS = "useless"
    INSUFFICIENT_DATA = "insufficient_data"


@dataclass(frozen=True, slots=True)
class PanelWorth:
    """What a panel is worth on one criterion.

    Attributes
    ----------
    status : see `Worth`.
    correlation, interval : r within rows, with its interval; None where they cannot be had.
    width_ratio : of an interval with the panel to one from human grades alone, at r; 1 saves nothing.
    width_interval : the same at the ends of r's interval, best first.
    grades_saved : share of human grades that the panel stands in for.
    n, prompts : anchors that the panel scored, and prompts they belong to.
    why : in place of numbers where there are none.
    """

    status: Worth
    correlation: float | None
    interval: tuple[float, float] | None
    width_ratio: float | None
    width_interval: tuple[float, float] | None
    grades_saved: float | None
    n: int
    prompts: int
    why: str | None = None


def panel_worth(
    *,
    group: NDArray[np.integer],
    prompt: NDArray[np.integer],
    prediction: Floats,
    human: Floats,
    inclusion: Floats | None = None,
    level: float = 0.95,
) -> PanelWorth:
    """Judge the panel by its anchors.

    Parameters
    ----------
    group, prompt, prediction, human, inclusion : (n,)
        As in `rectifier.rectified_means`.
    level : float
        Coverage of the interval.
    """
    used = (group >= 0) & np.isfinite(prediction) & np.isfinite(human)
    n, prompts = int(used.sum()), int(np.unique(prompt[used]).size)
    if prompts < LEAST_PROMPTS:
        why = f"{prompts} prompts that the panel scored have human grades, {LEAST_PROMPTS} are needed"
        return _unknown(Worth.INSUFFICIENT_DATA, n, prompts, why)
    g = np.unique(group[used], return_inverse=True)[1].astype(np.int64)
    weight = np.ones(n) if inclusion is None else 1.0 / inclusion[used]
    x, y = _centred(prediction[used], weight, g), _centred(human[used], weight, g)
    if (weight * y**2).sum() <= 1e-12 * weight.sum():
        why = "the human grades of each row are all the same: there is nothing to follow"
        return _unknown(Worth.INSUFFICIENT_DATA, n, prompts, why)
    if (weight * x**2).sum() <= 1e-12 * weight.sum():
        return _unknown(Worth.USELESS, n, prompts, "the panel's scores do not differ within rows")
    sums = sums_by_prompt(weight[:, None] * np.column_stack([x * x, y * y, x * y]), prompt[used])
    try:
        found = cluster_jackknife(sums, _transformed, n=n, level=level)
    except (InsufficientData, NotIdentified) as error:
        return _unknown(Worth.INSUFFICIENT_DATA, n, prompts, str(error))
    rows = int(g.max()) + 1
    widen = np.sqrt(n / max(n - rows, 1))
    r = float(np.tanh(found.estimate))
    low, high = (
        float(np.tanh(found.estimate + widen * (end - found.estimate))) for end in (found.low, found.high)
    )
    ratio, worst, best = (_width_ratio(one) for one in (r, low, high))
    if ratio > USELESS_RATIO:
        status = Worth.USELESS
    else:
        status = Worth.USEFUL if ratio <= USEFUL_RATIO and low > 0 else Worth.WEAK
    return PanelWorth(status, r, (low, high), ratio, (best, worst), 1.0 - ratio**2, n, prompts)


def _unknown(status: Worth, n: int, prompts: int, why: str) -> PanelWorth:
    return PanelWorth(status, None, None, None, None, None, n, prompts, why)


def _width_ratio(r: float) -> float:
    return float(np.sqrt(1.0 - max(r, 0.0) ** 2))


def _centred(values: Floats, weight: Floats, g: NDArray[np.int64]) -> Floats:
    mean = sum_by(g, weight * values) / sum_by(g, weight)
    return np.asarray(values - mean[g])


def _transformed(sums: Floats) -> Floats:
    """(b,) atanh of the correlation from sums of (xx, yy, xy)."""
    scale = np.sqrt(sums[:, 0] * sums[:, 1])
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.where(scale > 1e-15, sums[:, 2] / scale, np.nan)
    return np.asarray(np.arctanh(np.clip(r, -_CERTAIN, _CERTAIN)), dtype=np.float64)
