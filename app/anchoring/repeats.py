"""Which rows of a file say the same thing twice, or contradict each other, in 20 bytes a row."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Names:
    """How many different things there are, by 64-bit hash; 8 bytes for each time one is met in a batch."""

    def __init__(self) -> None:
        self._keys: list[NDArray[np.int64]] = []

    def add(self, keys: Collection[int]) -> None:
        """Take in the hashes met in a batch, each once."""
        self._keys.append(np.fromiter(keys, dtype=np.int64, count=len(keys)))

    def distinct(self) -> int:
        """How many different hashes were met."""
        return _distinct(_joined(self._keys, np.int64))


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

    def repeats(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]:
        """Rows that are not the first of their key, the first row of each, and whether the values differ."""
        keys, rows = _joined(self._keys, np.int64), _joined(self._rows, np.int32)
        if _distinct(keys) == keys.size:
            return rows[:0], rows[:0], np.zeros(0, dtype=bool)
        order = np.argsort(keys, kind="stable")  # rows of one key stay in the file's order
        keys, rows = keys[order], rows[order]
        values = _joined(self._values, np.int64)[order]
        begins = np.r_[True, keys[1:] != keys[:-1]]
        first = np.flatnonzero(begins)[np.cumsum(begins) - 1]
        again = ~begins
        return rows[again], rows[first][again], (values != values[first])[again]


def _distinct(keys: NDArray[np.int64]) -> int:
    if not keys.size:
        return 0
    ordered = np.sort(keys)  # four times faster than numpy's own unique, which hashes
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + 1


def bits(values: Sequence[float]) -> NDArray[np.int64]:
    """Values as integers that are equal only if the values are (NaN equals NaN, -0 equals 0)."""
    return (np.array(values, dtype=np.float64) + 0.0).view(np.int64)


def _joined(parts: list[NDArray[Any]], kind: type) -> NDArray[Any]:
    """The parts as one array; they give way to it, so that both are never held for long."""
    whole = np.concatenate(parts) if parts else np.zeros(0, dtype=kind)
    parts[:] = [whole]
    return whole
