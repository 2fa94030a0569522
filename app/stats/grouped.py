"""Sums over groups given by codes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def sum_by(
    code: NDArray[np.integer[Any]], values: NDArray[np.float64], groups: int = 0
) -> NDArray[np.float64]:
    """(groups,) or longer: sums of ``values`` (n,) per non-negative ``code`` (n,); 0 for an empty group."""
    return np.bincount(code, weights=values, minlength=groups).astype(np.float64, copy=False)
