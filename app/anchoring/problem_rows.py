"""Every wrong row of a file as a table of its own, to be mended and sent back as corrections."""

import csv
import io
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from app.anchoring.corrections import PROBLEM, ROW, guarded
from app.anchoring.mapping import text_of
from app.anchoring.table import Cell
from app.anchoring.upload import Upload, look_through, open_upload
from app.domain.problems import BadInput, Problem

MOST = 500_000
"""Problems that are kept by row; a file with more of them has something wrong with it as a whole."""


@dataclass(slots=True)
class ProblemRows:
    """Which rows are wrong and why: 12 bytes a problem, beside each wording once.

    ``columns`` are those of the file, in its order; ``unplaced`` problems belong to no row.
    """

    columns: dict[str, None] = field(default_factory=dict)
    unplaced: list[Problem] = field(default_factory=list)
    more: int = 0
    _rows: "array[int]" = field(default_factory=lambda: array("q"))
    _codes: "array[int]" = field(default_factory=lambda: array("i"))
    _wordings: dict[str, int] = field(default_factory=dict)

    def add(self, one: Problem) -> None:
        """Take a problem in."""
        if one.row is None:
            self.unplaced.append(one)
        elif len(self._rows) >= MOST:
            self.more += 1
        else:
            # What contradicts an earlier row says which.
            other = f" ({one.value})" if isinstance(one.value, str) and one.value.startswith("row ") else ""
            words = f"{one.column} {one.problem}{other}" if one.column else f"{one.problem}{other}"
            self._rows.append(one.row)
            self._codes.append(self._wordings.setdefault(words, len(self._wordings)))

    def by_row(self) -> dict[int, str]:
        """Row -> everything that is wrong with it, in the order of the file."""
        wordings = list(self._wordings)
        found: dict[int, str] = {}
        for row, code in sorted(zip(self._rows, self._codes, strict=True)):
            found[row] = f"{found[row]}; {wordings[code]}" if row in found else wordings[code]
        return found


def find_problem_rows(upload: Upload) -> ProblemRows:
    """Read the whole file and note every problem.

    Raises
    ------
    BadInput
        If what is wrong is not wrong with rows: the file, its columns, the mapping.
    """
    found = ProblemRows()
    survey, table = look_through(upload, every=found.add)
    found.columns = survey.columns
    try:
        survey.finish(table.format, table.warnings)
    except BadInput:
        if not found.by_row():
            raise
    return found


def problem_rows_csv(upload: Upload, found: ProblemRows) -> Iterator[str]:
    """The wrong rows as CSV, piece by piece: the row's number, its problems, and its cells as they stand.

    A row that could not be read at all has no cells. Cells that a spreadsheet would take for formulas begin
    with an apostrophe, which `read_corrections` takes off again.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow((ROW, PROBLEM, *map(guarded, found.columns)))
    wrong = found.by_row()
    for batch in open_upload(upload).batches:
        there = {row: place for place, row in enumerate(batch.rows) if row in wrong}
        unread = {one.row: None for one in batch.problems if one.row in wrong}
        for row in sorted({**there, **unread}):
            place = there.get(row)
            table.writerow((row, wrong[row], *(_cell(batch.columns.get(n), place) for n in found.columns)))
        yield _taken(text)
    if found.more:
        table.writerow(("", f"{found.more:,} more problems are not listed"))
    yield _taken(text)


def _cell(column: Sequence[Cell] | None, place: int | None) -> Cell:
    if place is None or not column:
        return ""
    cell = column[place]
    return guarded(cell) if isinstance(cell, str) else text_of(cell)


def _taken(text: io.StringIO) -> str:
    said = text.getvalue()
    text.seek(0)
    text.truncate()
    return said
