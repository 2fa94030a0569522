"""Arrow columns as plain cells, and readers of foreign formats kept from taking the service down."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from app.anchoring.json_lines import plain
from app.anchoring.table import Cell
from app.domain.problems import BadInput


def arrow_cells(column: Any) -> Sequence[Cell]:
    """Numbers and texts as they are, dates and times as ISO text, nested values as their JSON text."""
    from pyarrow import string, timestamp, types

    kind = column.type
    if types.is_dictionary(kind):
        words = plain(column.dictionary.to_pylist())
        return [None if code is None else words[code] for code in column.indices.to_pylist()]
    if types.is_timestamp(kind) and kind.tz is not None:
        column = column.cast(timestamp(kind.unit, "UTC"))
    if types.is_temporal(kind):
        column = column.cast(string())
    return plain(column.to_pylist())


@contextmanager
def refusing_damage(what: str) -> Iterator[None]:
    """Turn whatever a reader raises on a damaged file into `BadInput`: they are not at one about it."""
    try:
        yield
    except BadInput:
        raise
    except BaseException as error:
        # Rust's readers panic with an exception that no `except Exception` catches.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        detail = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise BadInput(f"{what} is damaged and cannot be read ({detail}).") from error
