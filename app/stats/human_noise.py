"""How noisy single human grades are, from answers that several people graded.

sigma^2 = sum_i sum_r (Y_ir - Ybar_i)^2 / sum_i (m_i - 1): the variance of one grade around the unit's
mean over annotators, differences in severity between annotators included. It is what errors-in-
variables estimates subtract, and what bounds any judge's agreement with a single person.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

MIN_DOUBLE_GRADED = 20


@dataclass(frozen=True, slots=True)
class GradedUnits:
    """Human grades summed up by unit.

    ``unit`` (u,) codes of graded units; ``mean`` (u,), ``count`` (u,) grades; ``within`` (u,) sum of squares
    around the unit's mean, 0 for a single grade.
    """

    unit: NDArray[np.int64]
    mean: Floats
    count: Floats
    within: Floats

    @property
    def double_graded(self) -> int:
        """Units with at least two grades."""
        return int((self.count >= 2).sum())


def graded_units(*, grade: Floats, graded_unit: Ints) -> GradedUnits:
    """Sum up grades (k,) of units (k,); a unit appears once in the result, in the order of its code."""
    unit, row = np.unique(graded_unit, return_inverse=True)
    count = np.bincount(row).astype(float)
    mean = np.bincount(row, weights=grade) / count
    within = np.asarray(np.bincount(row, weights=(grade - mean[row]) ** 2), dtype=np.float64)
    return GradedUnits(unit.astype(np.int64), mean, count, within)
