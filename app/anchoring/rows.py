"""The rows of an upload: those of its file, without a template's notes, and as they were corrected since."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from app.anchoring.corrections import Corrections, corrected
from app.anchoring.limits import Limits
from app.anchoring.reading import open_table
from app.anchoring.shapes.reading import open_shape
from app.anchoring.shapes.shape import Shape
from app.anchoring.table import Batch, Cell, Table
from app.domain.problems import BadInput
from app.domain.rubrics import Rubric

NOTE = "#venire"
"""A row whose first cell begins so is a note to people: templates explain their columns in such rows."""


def open_rows(
    file: BinaryIO,
    rubric: Rubric,
    *,
    shape: Shape = Shape.TABLE,
    limits: Limits | None = None,
    corrections: Corrections | None = None,
) -> Table:
    """The table of an upload; raises as `open_table` and `open_shape` do, here or while batches are taken."""
    limits = limits or Limits()
    table = open_table(file, limits) if shape is Shape.TABLE else open_shape(file, shape, rubric, limits)
    table.batches = _without_notes(table.batches)
    return table if corrections is None else corrected(table, corrections)


def _without_notes(batches: Iterator[Batch]) -> Iterator[Batch]:
    notes = rows = 0
    for batch in batches:
        first: Sequence[Cell] = next(iter(batch.columns.values()), ())
        noted = [place for place, cell in enumerate(first) if isinstance(cell, str) and cell.startswith(NOTE)]
        if noted:
            notes += len(noted)
            batch = _left(batch, noted)
        rows += len(batch.rows) + len(batch.problems)
        yield batch
    if notes and not rows:
        raise BadInput("The file holds a template's notes and examples, but no grades yet.")


def _left(batch: Batch, noted: Sequence[int]) -> Batch:
    out = set(noted)
    kept = [place for place in range(len(batch.rows)) if place not in out]
    return Batch(
        rows=[batch.rows[place] for place in kept],
        columns={name: [cells[place] for place in kept] for name, cells in batch.columns.items()},
        problems=batch.problems,
    )
