"""Corrected rows: the wrong rows of a file, as somebody mended them, in place of those in the file.

Rows keep their numbers, so that the wrong ones that are left can be corrected in another round.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import BinaryIO

from app.anchoring.limits import MIB, Limits, show_bytes
from app.anchoring.mapping import text_of
from app.anchoring.reading import open_table
from app.anchoring.table import Batch, Cell, Table
from app.domain.problems import BadInput, Problem, TooLarge

ROW, PROBLEM = "venire_row", "venire_problem"
"""Columns of a file of wrong rows beside those of the file itself."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
MOST = 100_000
"""Rows that may be corrected one by one: who has more of them mends the file, or the mapping."""
_LARGEST = 64 * MIB


@dataclass(frozen=True, slots=True)
class Corrections:
    """``rows``: number of a row of the file -> its cells; a row without any is left out."""

    rows: Mapping[int, Mapping[str, Cell]] = field(default_factory=dict)

    def then(self, later: "Corrections") -> "Corrections":
        """These, and where both correct a row, the later ones."""
        return Corrections({**self.rows, **later.rows})

    def as_json_lines(self) -> str:
        """One row per line, in the order of their numbers."""
        return "".join(
            json.dumps([row, self.rows[row]], ensure_ascii=False, sort_keys=True) + "\n"
            for row in sorted(self.rows)
        )

    @staticmethod
    def from_json_lines(text: str) -> "Corrections":
        """The inverse of `as_json_lines`."""
        return Corrections(dict(json.loads(line) for line in text.split("\n") if line))

    def digest(self) -> str:
        """SHA-256 of the content."""
        return sha256(self.as_json_lines().encode("utf-8", "surrogatepass")).hexdigest()


def read_corrections(file: BinaryIO, limits: Limits | None = None) -> Corrections:
    """The rows of a mended file of wrong rows: its columns are those of the file, and ``venire_row``.

    What stands in ``venire_problem`` is not read. A row whose cells are all empty is to be left out.

    Raises
    ------
    BadInput
        If it cannot be read, does not say which rows it is about, or says one twice.
    TooLarge
        If it is too large to be held in memory.
    """
    file.seek(0, 2)
    if file.tell() > _LARGEST:
        raise TooLarge(
            f"A file of corrected rows may have {show_bytes(_LARGEST)}; mend the whole file instead."
        )
    rows: dict[int, Mapping[str, Cell]] = {}
    problems: list[Problem] = []
    for batch in open_table(file, limits).batches:
        problems += batch.problems
        if batch.rows and ROW not in batch.columns:
            wording = "is missing: it says which rows of the file are meant"
            raise BadInput("The corrected rows cannot be read.", [Problem(wording, column=ROW)])
        names = [name for name in batch.columns if name not in (ROW, PROBLEM)]
        for place, number in enumerate(batch.rows):
            said = text_of(batch.columns[ROW][place])
            if not said.isascii() or not said.isdecimal() or not 1 <= int(said[:12]) < 2**31:
                problems.append(Problem("is no row's number", row=number, column=ROW, value=said))
                continue
            if int(said) in rows:
                problems.append(Problem("is corrected twice", row=number, column=ROW, value=said))
            cells = {name: _unguarded(batch.columns[name][place]) for name in names}
            rows[int(said)] = {name: cell for name, cell in cells.items() if cell is not None and cell != ""}
        if len(rows) > MOST:
            raise TooLarge(f"At most {MOST:,} rows can be corrected one by one; mend the whole file instead.")
    if problems:
        raise BadInput("The corrected rows cannot be read.", problems[:1_000])
    return Corrections(rows)


def guarded(cell: Cell) -> Cell:
    """A cell that no spreadsheet takes for a formula; numbers stay as they are."""
    if isinstance(cell, str) and cell.startswith(FORMULA) and not _is_number(cell):
        return f"'{cell}"
    return cell


def corrected(table: Table, corrections: Corrections) -> Table:
    """The table with the corrected rows in place of its own.

    Raises
    ------
    BadInput
        Here for columns that the table has not, while batches are taken for rows that it has not.
    """
    if table.header is not None:
        named = {name for cells in corrections.rows.values() for name in cells}
        if unknown := sorted(named.difference(table.header)):
            wrong = [Problem("is no column of the file", column=name) for name in unknown]
            raise BadInput("The corrected rows have other columns than the file.", wrong[:100])
    return Table(table.format, table.header, _corrected(table.batches, corrections.rows), table.warnings)


def _corrected(batches: Iterator[Batch], rows: Mapping[int, Mapping[str, Cell]]) -> Iterator[Batch]:
    left = set(rows)
    for batch in batches:
        met = left.intersection(batch.rows)
        met.update(problem.row for problem in batch.problems if problem.row in left)
        left -= met
        yield _patched(batch, met, rows) if met else batch
    if left:
        wrong = [Problem("is no row of the file", row=row) for row in sorted(left)[:100]]
        raise BadInput("The corrected rows are not of this file.", wrong)


def _patched(batch: Batch, met: set[int], rows: Mapping[int, Mapping[str, Cell]]) -> Batch:
    places = {row: place for place, row in enumerate(batch.rows)}
    names = list(batch.columns)
    names += dict.fromkeys(name for row in sorted(met) for name in rows[row] if name not in batch.columns)
    kept = sorted(row for row in {*batch.rows, *met} if row not in met or rows[row])

    def cells(name: str) -> Sequence[Cell]:
        own: Sequence[Cell] = batch.columns.get(name, ())
        return [rows[row].get(name) if row in met else own[places[row]] if own else None for row in kept]

    return Batch(
        rows=kept,
        columns={name: cells(name) for name in names},
        problems=[problem for problem in batch.problems if problem.row not in met],
    )


def _unguarded(cell: Cell) -> Cell:
    if isinstance(cell, str) and cell.startswith("'") and cell[1:].startswith(FORMULA):
        return cell[1:]
    return cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
