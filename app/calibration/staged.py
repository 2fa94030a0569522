"""Units whose panels had two stages: what their first stages said alone, and how the second counts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.storage.evidence import Evidence

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Staged:
    """t units that a second stage was drawn for with a chance below 1.

    Attributes
    ----------
    unit : (t,) ascending.
    weight : (t,) 1 / chance of the second stage. 0 where several grades of a unit had one: what their draws
        were together is not known, so that the first stages speak alone.
    cell_unit, cell_judge, cell_value, cell_draws : (c,) cells of their first stages, as `Design` has them
        of all verdicts.
    raw_mean : (t,) of the first stage, before position is removed.
    """

    unit: Ints
    weight: Floats
    cell_unit: Ints
    cell_judge: Ints
    cell_value: Floats
    cell_draws: Ints
    raw_mean: Floats


def weights_of_second_stages(evidence: Evidence, keep: Bools) -> tuple[Ints, Floats]:
    """``unit`` and ``weight`` of `Staged`, of the verdicts to ``keep``."""
    unit = evidence.v_unit[keep].astype(np.int64)
    chance, grade = evidence.v_chance[keep], evidence.v_grade[keep]
    drawn = np.isfinite(chance)
    panels = np.unique(np.column_stack([unit[drawn], grade[drawn]]), axis=0)[:, 0]
    lowest = np.full(len(evidence.unit_id), np.inf)
    np.minimum.at(lowest, unit[drawn], chance[drawn])
    found = np.flatnonzero(lowest < 1.0)
    once = np.bincount(panels, minlength=len(lowest))[found] == 1
    return found, np.where(once, 1.0 / lowest[found], 0.0)
