"""Sums over groups given by codes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SPARSE = 16  # possible values per number, past which sorting beats counting


def sum_by(
    code: NDArray[np.integer[Any]], values: NDArray[np.float64], groups: int = 0
) -> NDArray[np.float64]:
    """(groups,) or longer: sums of ``values`` (n,) per non-negative ``code`` (n,); 0 for an empty group."""
    return np.bincount(code, weights=values, minlength=groups).astype(np.float64, copy=False)


def coded(values: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct ``values`` (n,), ascending, and the place of each among them, (n,).

    `numpy.unique` with its inverse, by counting in place of sorting where the values are dense.
    """
    if not values.size or values.min() < 0 or values.max() >= _SPARSE * values.size:
        present, place = np.unique(values, return_inverse=True)
        return present.astype(np.int64), place.astype(np.int64)
    there = np.bincount(values) > 0
    return np.flatnonzero(there), (np.cumsum(there) - 1)[values]
