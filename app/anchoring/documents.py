"""A file as the texts in it: training data, few-shot examples, whatever anchors may stand in."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from app.anchoring.limits import Limits
from app.anchoring.reading import open_table
from app.anchoring.table import Batch, Cell
from app.domain.problems import BadInput, Problem

_LEAST_LETTERS = 12  # a shorter cell ("en", "train", an id) is no text
_MOST_PROBLEMS = 100


def read_documents(
    file: BinaryIO, columns: Sequence[str] | None = None, limits: Limits | None = None
) -> Iterator[tuple[str, str]]:
    """(where it stands, text) of every text in the file, a batch of rows at a time.

    A table of any format that is read here, or plain UTF-8 text with one text per line.

    ``columns`` are read whatever they hold; without them every cell that looks like text. Chat messages
    kept as JSON (``[{"role": ..., "content": ...}]``) are read as what was said, one text per message.

    Raises
    ------
    BadInput
        If the file cannot be read, rows of it cannot, or it has no such column.
    """
    if _is_plain(file):
        yield from _lines(file)
        return
    table = open_table(file, limits)
    missing = set(columns or ())
    for batch in table.batches:
        if batch.problems:
            raise BadInput("The corpus cannot be read.", list(batch.problems)[:_MOST_PROBLEMS])
        missing -= batch.columns.keys()
        if missing and table.header is not None:
            break
        yield from _texts(batch, columns)
    if missing:
        wrong = [Problem("is no column of the file", column=name) for name in sorted(missing)]
        raise BadInput("The corpus has other columns.", wrong)


def _is_plain(file: BinaryIO) -> bool:
    """Whether the first line holds no separator of columns, and the file is of no other format."""
    file.seek(0)
    head = file.read(4_096)
    file.seek(0)
    first = head.partition(b"\n")[0]
    binary = head.startswith((b"PAR1", b"PK", b"\x1f\x8b", b"{", b"[", b"\xef\xbb\xbf{")) or b"\x00" in head
    return bool(first.strip()) and not binary and not any(mark in first for mark in b",;\t|")


def _lines(file: BinaryIO) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(file, 1):
        text = line.decode("utf-8", "replace").strip()
        if len(text) >= _LEAST_LETTERS:
            yield f"line {number}", text


def _texts(batch: Batch, columns: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    chosen = [(name, cells) for name, cells in batch.columns.items() if columns is None or name in columns]
    for place, row in enumerate(batch.rows):
        for name, cells in chosen:
            cell = cells[place]
            if not isinstance(cell, str):
                continue
            where = f"row {row}, {name}" if len(batch.columns) > 1 else f"row {row}"
            for text in _said(cell):
                if columns is not None or (len(text) >= _LEAST_LETTERS and " " in text):
                    yield where, text


def _said(cell: Cell) -> Sequence[str]:
    """The texts within a cell."""
    text = str(cell)
    if not text.startswith(("[", "{")):
        return (text,)
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return (text,)
    found: list[str] = []
    _gather(parsed, found)
    return found or (text,)


def _gather(value: Any, found: list[str]) -> None:
    """Every text within nested JSON, in its order."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, dict):
            waiting.extend(reversed(one.values()))
        elif isinstance(one, list):
            waiting.extend(reversed(one))
