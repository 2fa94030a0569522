"""Columns of a query straight into arrays, chunk by chunk: no objects, bounded memory."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Select

_CHUNK = 20_000
_IDS_AT_ONCE = 5_000


def fetch(connection: Connection, query: Select[Any], dtypes: Sequence[Any]) -> list[NDArray[Any]]:
    """One array per column of ``query``, of the given types; NULL is NaN in a column of floats."""
    parts: list[list[NDArray[Any]]] = [[np.empty(0, dtype)] for dtype in dtypes]
    result = connection.execution_options(stream_results=True, yield_per=_CHUNK).execute(query)
    for rows in result.partitions():
        for part, column, dtype in zip(parts, zip(*rows, strict=True), dtypes, strict=True):
            part.append(np.array(column, dtype))
    return [np.concatenate(part) for part in parts]


def fetch_for(
    connection: Connection,
    query: Select[Any],
    column: ColumnElement[int],
    ids: NDArray[np.int64],
    dtypes: Sequence[Any],
) -> list[NDArray[Any]]:
    """`fetch` of those rows of ``query`` whose ``column`` is one of ``ids``, in no particular order."""
    parts = [fetch(connection, query.where(column.in_(some)), dtypes) for some in _some_at_a_time(ids)]
    if not parts:
        return [np.empty(0, dtype) for dtype in dtypes]
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]


def _some_at_a_time(ids: NDArray[np.int64]) -> Iterator[list[int]]:
    for start in range(0, len(ids), _IDS_AT_ONCE):
        yield ids[start : start + _IDS_AT_ONCE].tolist()


def look_up(keys: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each key in ``among``, which is sorted; -1 where it is not there."""
    if len(among) == 0:
        return np.full(len(keys), -1)
    place = np.searchsorted(among, keys)
    place[place == len(among)] = 0
    return np.where(among[place] == keys, place, -1)
