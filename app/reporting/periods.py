"""Days, weeks and months in which answers were first seen, as groups of a quality table (UTC)."""

import numpy as np
from numpy.typing import NDArray

PERIODS = ("period.day", "period.week", "period.month")


def periods_of(day: NDArray[np.int32], name: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Code (n,) of each unit's period, ascending in time, and the periods by code.

    day    (n,) days from 1970-01-01
    name   one of `PERIODS`

    A week is named by its Monday, a month as ``2026-11``.
    """
    # 1970-01-01 was a Thursday.
    first = day - (day.astype(np.int64) + 3) % 7 if name == "period.week" else day
    unit = "M" if name == "period.month" else "D"
    starts, code = np.unique(first.astype("datetime64[D]").astype(f"datetime64[{unit}]"), return_inverse=True)
    return code.astype(np.int64), tuple(str(start) for start in starts)
