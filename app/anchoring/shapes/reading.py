"""A file that another tool wrote, as a table of grades; and which tool wrote a file."""

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import orjson

from app.anchoring.limits import Limits, show_bytes
from app.anchoring.shapes.argilla import is_argilla, read_argilla
from app.anchoring.shapes.inspect_log import is_inspect, read_inspect
from app.anchoring.shapes.label_studio import is_label_studio, read_label_studio
from app.anchoring.shapes.mt_bench import is_mt_bench, read_mt_bench
from app.anchoring.shapes.promptfoo import is_promptfoo, read_promptfoo
from app.anchoring.shapes.shape import SHAPE_NAMES, Reader, Reading, Row, Shape, rows_of
from app.anchoring.table import Batch, Table
from app.anchoring.text_blocks import Unpacked
from app.domain.problems import BadInput, Problem, TooLarge
from app.domain.rubrics import Rubric

# What is told of a whole document, and of the first object of a list of them.
_WHOLE: dict[Shape, Callable[[Any], bool]] = {Shape.PROMPTFOO: is_promptfoo, Shape.INSPECT: is_inspect}
_FIRST: dict[Shape, Callable[[Any], bool]] = {
    Shape.LABEL_STUDIO: is_label_studio,
    Shape.ARGILLA: is_argilla,
    Shape.MT_BENCH: is_mt_bench,
}
_READERS: dict[Shape, Reader] = {
    Shape.LABEL_STUDIO: read_label_studio,
    Shape.ARGILLA: read_argilla,
    Shape.PROMPTFOO: read_promptfoo,
    Shape.INSPECT: read_inspect,
    Shape.MT_BENCH: read_mt_bench,
}


def find_shape(file: BinaryIO, limits: Limits | None = None) -> Shape:
    """What the file is, by its content; a table if it is none of the others, or cannot be read."""
    limits = limits or Limits()
    file.seek(0)
    head = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith((b"{", b"[", b"\x1f\x8b")):
        return Shape.TABLE
    try:
        document = _first_line(file, limits) if head.startswith(b"{") else None
        return _shape_of(_document(file, limits) if document is None else document)
    except BadInput:
        return Shape.TABLE


def open_shape(file: BinaryIO, shape: Shape, rubric: Rubric, limits: Limits) -> Table:
    """The grades in a file of that shape as a table with our columns, and the tool's own beside them.

    Rows count grades. The file is held in memory.

    Raises
    ------
    BadInput
        If it is no such file, or holds no grades by people.
    TooLarge
        If it is larger than what is held in memory.
    """
    document = _document(file, limits)
    found = _shape_of(document)
    if found is not shape:
        about = f"; it looks like: {SHAPE_NAMES[found]}" if found is not Shape.TABLE else ""
        raise BadInput(f"The file is not what was said: {SHAPE_NAMES[shape]}{about}.")
    reading = Reading(rubric)
    rows, problems = rows_of(list(_READERS[shape](document, reading)), reading)
    if not rows:
        why = " ".join(reading.warnings())
        raise BadInput(f"The file ({SHAPE_NAMES[shape]}) holds no grades by people. {why}".strip())
    return Table(shape.value, None, _batches(rows, problems, limits), list(reading.warnings()))


def _batches(rows: list[Row], problems: list[Problem], limits: Limits) -> Iterator[Batch]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    if len(names) > limits.columns:
        raise BadInput(f"The file has more than {limits.columns:,} different fields.")
    barred = {problem.row for problem in problems}
    for start in range(0, len(rows), limits.batch_rows):
        piece = [
            (number, row)
            for number, row in enumerate(rows[start : start + limits.batch_rows], start + 1)
            if number not in barred
        ]
        ends = start + limits.batch_rows
        yield Batch(
            rows=[number for number, _ in piece],
            columns={name: [row.get(name) for _, row in piece] for name in names},
            problems=[one for one in problems if one.row is not None and start < one.row <= ends],
        )


def _shape_of(document: Any) -> Shape:
    listed = isinstance(document, list)
    first = document[0] if listed and document else document
    if not listed or len(document) == 1:
        for shape, fits in _WHOLE.items():
            if fits(first):
                return shape
    return next((shape for shape, fits in _FIRST.items() if fits(first)), Shape.TABLE)


def _first_line(file: BinaryIO, limits: Limits) -> Any:
    """The object on the first line, as a document; None if it is not whole there."""
    file.seek(0)
    line = file.readline(limits.record)
    try:
        found = orjson.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        return None
    return [found]


def _document(file: BinaryIO, limits: Limits) -> Any:
    """What the JSON or the JSONL file holds; a document of one object by itself."""
    file.seek(0)
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    raw = (Unpacked(file, limits) if packed else file).read(limits.document + 1)
    if len(raw) > limits.document:
        raise TooLarge(f"A file of another tool may have {show_bytes(limits.document)}; send it in parts.")
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        found = _lines(raw)
    if isinstance(found, list) and len(found) == 1 and _is_whole(found[0]):
        return found[0]
    return [found] if isinstance(found, dict) and not _is_whole(found) else found


def _is_whole(found: Any) -> bool:
    return any(fits(found) for fits in _WHOLE.values())


def _lines(raw: bytes) -> list[Any]:
    found = []
    for number, line in enumerate(raw.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            where = [Problem("is not JSON", row=number, value=line[:200].decode("utf-8", "replace"))]
            raise BadInput("The file is neither JSON nor one JSON object per line.", where) from error
    return found
