"""What one judge adds to the panels that it sat on: held-out R^2 with it and without it.

With Y the mean human grade of a unit, f its calibrated score from all judges that sat and f_ the score from
all but one, each by a fit that saw no human grade of the unit's prompt,

    R^2 = 1 - sum (Y - f)^2 / sum (Y - Ybar)^2 ,   gain = sum [(Y - f_)^2 - (Y - f)^2] / sum (Y - Ybar)^2 .

People's noise is in every square alike and cancels from the difference; it stays in the denominator, so that
a gain is a share of what varies in mean grades as they are. Pairs have no level: their Ybar is 0.
The fits themselves are held fixed; what is clustered by prompt is the error of held-out grades.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.stats.errors import InsufficientData, NotIdentified
from app.stats.jackknife import Effect, cluster_jackknife, sums_by_prompt

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

MIN_UNITS = 30


@dataclass(frozen=True, slots=True)
class PanelGain:
    """``gain`` of R^2 with its interval; ``with_it`` and ``without_it``: the two R^2, same units."""

    gain: Effect
    with_it: float
    without_it: float


def panel_gain(
    *, human: Floats, with_it: Floats, without_it: Floats, prompt: Ints, centred: bool, level: float = 0.95
) -> PanelGain:
    """The gain over units (n,), all on one scale; ``centred``: grades have a level (answers, not pairs).

    Raises
    ------
    InsufficientData
        With fewer than `MIN_UNITS` units or too few prompts.
    NotIdentified
        If the human grades do not differ.
    """
    if len(human) < MIN_UNITS:
        raise InsufficientData(
            "answers that people, this judge and another judge of the panel graded", len(human), MIN_UNITS
        )
    whole, part = (human - with_it) ** 2, (human - without_it) ** 2
    sums = sums_by_prompt(np.column_stack([np.ones_like(human), human, human**2, whole, part]), prompt)

    def spread(total: Floats) -> Floats:
        found = total[:, 2] - (total[:, 1] ** 2 / total[:, 0] if centred else 0.0)
        return np.where(found > 1e-12, found, np.nan)

    total = sums.sum(axis=0)[None, :]
    varies = float(spread(total)[0])
    if not np.isfinite(varies):
        raise NotIdentified("what the judge adds", "the human grades do not differ")
    gain = cluster_jackknife(
        sums,
        lambda left: (left[:, 4] - left[:, 3]) / spread(left),
        n=len(human),
        level=level,
        what="prompts of such answers",
    )
    return PanelGain(gain, 1.0 - float(total[0, 3]) / varies, 1.0 - float(total[0, 4]) / varies)
