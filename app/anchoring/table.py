"""What every file format becomes: named columns of plain cells, a batch of rows at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from app.domain.problems import BadInput, Problem

Cell = str | int | float | None
"""A value as a file holds it. Booleans are the text true or false, nested JSON is its text."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows, column by column.

    ``rows`` are 1-based data rows of the file (the header is not counted), one per entry of every
    column; rows that could not be read at all stand in ``problems`` instead.
    """

    rows: Sequence[int]
    columns: dict[str, Sequence[Cell]]
    problems: Sequence[Problem] = ()


@dataclass(slots=True)
class Table:
    """An open file. ``batches`` is read once; ``warnings`` may grow while it is.

    ``header`` is None where rows name their own columns (JSONL).
    """

    format: str
    header: tuple[str, ...] | None
    batches: Iterator[Batch]
    warnings: list[str] = field(default_factory=list)


def named_columns(header: Sequence[Cell], limit: int) -> tuple[str, ...]:
    """Names of a header row; a column without one becomes ``(column 3)``.

    Raises
    ------
    BadInput
        If two columns share a name, no column has one, or there are more than ``limit`` columns.
    """
    if len(header) > limit:
        raise BadInput(f"The header has {len(header):,} columns; at most {limit:,} are read.")
    names = tuple(
        str(name).strip() if name is not None and str(name).strip() else f"(column {place})"
        for place, name in enumerate(header, 1)
    )
    if all(name == f"(column {place})" for place, name in enumerate(names, 1)):
        raise BadInput("The first row must name the columns; it is blank.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(
            "Two columns have the same name, so it is unclear which one counts.",
            [Problem("is the name of more than one column", row=0, column=name) for name in twice],
        )
    return names
