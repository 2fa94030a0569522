"""Which rows of a file say the same thing twice, or contradict each other, in 20 bytes a row."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Sayings:
    """Rows as (64-bit hash of what they are about, value).

    Two hashes of a file of 10^6 rows are equal by chance once in 10^7 files.
    """

    def __init__(self) -> None:
        self._keys: list[NDArray[np.int64]] = []
        self._values: list[NDArray[np.int64]] = []
        self._rows: list[NDArray[np.int32]] = []

    def add(self, rows: Sequence[int], keys: Sequence[int], values: NDArray[np.int64]) -> None:
        """Add rows: their numbers, the hash of what each is about, and the bits (or hash) of its value."""
        self._rows.append(np.array(rows, dtype=np.int32))
        self._keys.append(np.array(keys, dtype=np.int64))
        self._values.append(values)

    def distinct(self) -> int:
        """How many different things the rows are about."""
        return int(np.unique(_joined(self._keys, np.int64)).size)

    def repeats(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]:
        """Rows that are not the first of their key, the first row of each, and whether the values differ."""
        keys, rows = _joined(self._keys, np.int64), _joined(self._rows, np.int32)
        if np.unique(keys).size == keys.size:
            return rows[:0], rows[:0], np.zeros(0, dtype=bool)
        order = np.argsort(keys, kind="stable")  # rows of one key stay in the file's order
        keys, rows = keys[order], rows[order]
        values = _joined(self._values, np.int64)[order]
        begins = np.r_[True, keys[1:] != keys[:-1]]
        first = np.flatnonzero(begins)[np.cumsum(begins) - 1]
        again = ~begins
        return rows[again], rows[first][again], (values != values[first])[again]


def bits(values: Sequence[float]) -> NDArray[np.int64]:
    """Values as integers that are equal only if the values are (NaN equals NaN, -0 equals 0)."""
    return (np.array(values, dtype=np.float64) + 0.0).view(np.int64)


def _joined(parts: list[NDArray[np.int64]] | list[NDArray[np.int32]], kind: type) -> NDArray:  # type: ignore[type-arg]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=kind)
