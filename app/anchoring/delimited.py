"""CSV and its relatives: the delimiter found by reading, never by guessing on one line."""

import csv
import io
from collections.abc import Iterator
from itertools import chain

from app.anchoring.limits import Limits, show_bytes
from app.anchoring.table import Batch, Cell, Table, named_columns
from app.domain.problems import BadInput, Problem

DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
_SAMPLE = 64 * 1024
_SAMPLE_ROWS = 200


def open_delimited(blocks: Iterator[str], limits: Limits) -> Table:
    """A table of the CSV, TSV, semicolon or bar separated text in ``blocks`` (see `text_blocks`).

    Raises
    ------
    BadInput
        If the file is empty, has no one delimiter, or its header names a column twice. Rows with too
        few or too many fields are problems of their batch; broken quoting raises while batches are read.
    """
    sample, size, complete = [], 0, True
    for block in blocks:
        sample.append(block)
        size += len(block)
        if size >= _SAMPLE:
            complete = False
            break
    delimiter = find_delimiter("".join(sample), complete)
    groups = _groups(chain(sample, blocks), delimiter, limits)
    header = next(groups, None)
    if header is None:
        raise BadInput("The file is empty.")
    names = named_columns(header[0], limits.columns)
    return Table(
        format="tsv" if delimiter == "\t" else "csv",
        header=names,
        batches=_batches(groups, names, delimiter),
    )


def find_delimiter(sample: str, complete: bool) -> str:
    """The one character that splits the header, and the rows like it.

    ``complete`` says that the sample is the whole file; otherwise its last record is left out.
    """
    if not sample.strip():
        raise BadInput("The file is empty.")
    records = {mark: _sample_records(sample, mark, complete) for mark in DELIMITERS}
    widths = {mark: [len(record) for record in found] for mark, found in records.items() if found}
    splitting = {mark: found for mark, found in widths.items() if found[0] > 1}
    if not splitting:
        raise BadInput(
            "The first line holds one column only. Columns are separated by a comma, tab, semicolon or bar."
        )
    even = {mark: found[0] for mark, found in splitting.items() if set(found) == {found[0]}}
    best = max(
        even or {mark: found[0] for mark, found in splitting.items()}, key=lambda mark: splitting[mark][0]
    )
    rivals = [mark for mark in even if mark != best and even[mark] == even[best]]
    if rivals:
        raise BadInput(
            f"Columns could be separated by {DELIMITERS[best]} or by {DELIMITERS[rivals[0]]}; use one."
        )
    if not even and (mixed := _other_delimiter(records[best], best)):
        row, other = mixed
        raise BadInput(
            f"The delimiters are mixed: the header is separated by {DELIMITERS[best]},"
            f" row {row} by {DELIMITERS[other]}."
        )
    return best


def _sample_records(sample: str, mark: str, complete: bool) -> list[list[str]]:
    records = []
    try:
        for record in csv.reader(io.StringIO(sample, newline=""), delimiter=mark):
            if record:
                records.append(record)
            if len(records) > _SAMPLE_ROWS:
                return records
    except csv.Error:
        return records
    return records if complete else records[:-1] or records


def _other_delimiter(records: list[list[str]], mark: str) -> tuple[int, str] | None:
    width = len(records[0])
    for row, record in enumerate(records[1:], 1):
        for other in DELIMITERS:
            if (
                other != mark
                and len(record) < width
                and sum(cell.count(other) for cell in record) >= width - 1
            ):
                return row, other
    return None


def _groups(blocks: Iterator[str], delimiter: str, limits: Limits) -> Iterator[list[list[str]]]:
    """Records, blank lines left out: the header alone, then groups that fit the limits of a batch."""
    csv.field_size_limit(limits.cell)
    fed = mark = 0

    def lines() -> Iterator[str]:
        nonlocal fed
        for block in blocks:
            fed += len(block)
            # One record may span many lines inside quotes, each of them short.
            if fed - mark > 2 * limits.record:
                raise BadInput(f"A row is longer than {show_bytes(limits.record)}; a quote may be left open.")
            yield from io.StringIO(block, newline="")

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    held: list[list[str]] = []
    size, most, start = 0, 1, 0
    try:
        for fields in reader:
            mark = fed
            if fields:
                held.append(fields)
                size += 1
                if size >= most or fed - start > limits.batch:
                    yield held
                    held, size, most, start = [], 0, limits.batch_rows, fed
    except csv.Error as error:
        raise BadInput(f"Line {reader.line_num} cannot be read: {_in_words(str(error))}.") from error
    if held:
        yield held


def _in_words(error: str) -> str:
    if "unexpected end of data" in error:
        return "the file ends inside a quoted value (a quote is left open)"
    if "expected after" in error:
        return (
            "a closing quote must be followed by the delimiter or the line's end (inside a value, double it)"
        )
    if "field larger than field limit" in error:
        return "one value is longer than two million characters, or a quote is left open"
    return error


def _batches(groups: Iterator[list[list[str]]], names: tuple[str, ...], delimiter: str) -> Iterator[Batch]:
    first = 1
    for held in groups:
        yield _batch(held, first, names, delimiter)
        first += len(held)
    if first == 1:
        raise BadInput("The file has a header but no rows.")


def _batch(held: list[list[str]], first: int, names: tuple[str, ...], delimiter: str) -> Batch:
    width = len(names)
    rows: range | list[int] = range(first, first + len(held))
    problems: list[Problem] = []
    if set(map(len, held)) != {width}:
        problems = [
            _ragged(fields, row, width, delimiter)
            for row, fields in zip(rows, held, strict=True)
            if len(fields) != width
        ]
        rows = [row for row, fields in zip(rows, held, strict=True) if len(fields) == width]
        held = [fields for fields in held if len(fields) == width]
    columns: dict[str, tuple[Cell, ...]] = (
        dict(zip(names, zip(*held, strict=True), strict=True)) if held else {}
    )
    return Batch(rows=rows, columns=dict(columns) or dict.fromkeys(names, ()), problems=problems)


def _ragged(fields: list[str], row: int, width: int, delimiter: str) -> Problem:
    mixed = next(
        (
            other
            for other in DELIMITERS
            if other != delimiter and len(fields) == 1 and fields[0].count(other) == width - 1
        ),
        None,
    )
    if mixed:
        return Problem(
            f"is separated by {DELIMITERS[mixed]}, the header by {DELIMITERS[delimiter]}",
            row=row,
            value=fields[0],
        )
    fewer = "fewer" if len(fields) < width else "more"
    return Problem(f"has {fewer} fields than the header ({width})", row=row, value=f"{len(fields)} fields")
