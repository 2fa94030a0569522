"""The first rows of a file as they stand in it, before anything is made of them."""

from dataclasses import dataclass
from typing import BinaryIO

from app.anchoring.limits import Limits
from app.anchoring.mapping import text_of
from app.anchoring.reading import open_table

_LONGEST = 160  # characters of a cell that are shown


@dataclass(frozen=True, slots=True)
class Preview:
    """``header`` names the columns, ``rows`` has the first rows' cells as text, shortened; both in the
    file's order. ``unreadable`` says what is wrong with rows among them that could not be read."""

    format: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    unreadable: tuple[str, ...]


def preview(file: BinaryIO, *, rows: int = 8, limits: Limits | None = None) -> Preview:
    """Read the first rows.

    Raises
    ------
    BadInput
        If the file is empty, of another kind or cannot be read.
    """
    table = open_table(file, limits)
    batch = next(iter(table.batches), None)
    if batch is None:
        return Preview(table.format, table.header or (), (), ())
    header = table.header or tuple(batch.columns)
    count = min(rows, len(batch.rows))
    blank: list[None] = [None] * count
    columns = [list(batch.columns.get(name, blank))[:count] for name in header]
    return Preview(
        format=table.format,
        header=header,
        rows=tuple(tuple(_short(text_of(cell)) for cell in row) for row in zip(*columns, strict=True)),
        unreadable=tuple(f"row {one.row}: {one.problem}" for one in batch.problems[:5]),
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
