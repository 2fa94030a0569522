"""JSONL: one JSON object per line, every key once."""

import json
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

import orjson

from app.anchoring.limits import Limits
from app.anchoring.table import Batch, Cell, Table
from app.domain.problems import BadInput, Problem

_GAPS = (" :", "\t:", "\r:")  # a key's colon may stand apart from its quote
_PLAIN = frozenset({str, int, float, type(None)})


def open_json_lines(blocks: Iterator[str], limits: Limits) -> Table:
    """A table of the JSON objects in ``blocks`` (see `text_blocks`), one per line; blank lines are skipped.

    A key that a row lacks is an empty cell. Booleans become text, nested values their JSON text.

    Raises
    ------
    BadInput
        While batches are read: for an empty file or more than ``limits.columns`` keys in all. Lines
        that are no object, or name a key twice, are problems of their batch.
    """
    return Table(format="jsonl", header=None, batches=_batches(blocks, limits))


def _batches(blocks: Iterator[str], limits: Limits) -> Iterator[Batch]:
    row = 1
    seen: set[str] = set()
    for block in blocks:
        lines = [line for line in block.split("\n") if line and not line.isspace()]
        for start in range(0, len(lines), limits.batch_rows):
            group = lines[start : start + limits.batch_rows]
            yield _batch(group, range(row, row + len(group)), seen, limits)
            row += len(group)
    if row == 1:
        raise BadInput("The file is empty.")


def _batch(lines: list[str], rows: Sequence[int], seen: set[str], limits: Limits) -> Batch:
    objects: list[Any] | None = _all_at_once(lines)
    problems: list[Problem] = []
    if objects is None:
        objects = [_object(line) for line in lines]
        problems = [
            Problem(found, row=row, value=line[:200])
            for row, line, found in zip(rows, lines, objects, strict=True)
            if type(found) is str
        ]
        rows = [row for row, found in zip(rows, objects, strict=True) if type(found) is dict]
        objects = [found for found in objects if type(found) is dict]
    columns = dict(_columns(objects, seen, limits)) if objects else {}
    return Batch(
        rows=rows, columns={key: plain(values) for key, values in columns.items()}, problems=problems
    )


def _all_at_once(lines: list[str]) -> list[Any] | None:
    """The objects on all lines, read in one go; None if anything asks for a closer look."""
    text = ",".join(lines)
    try:
        objects: list[Any] = orjson.loads(f"[{text}]")
    except orjson.JSONDecodeError:
        return None
    if len(objects) != len(lines) or set(map(type, objects)) != {dict}:
        return None
    # Every pair has its own colon after a quote, so with as many as there are keys no key stands twice.
    # The reader itself keeps the last of two silently.
    certain = text.count('":') == sum(map(len, objects)) and not any(gap in text for gap in _GAPS)
    return objects if certain else None


def _object(line: str) -> dict[str, Any] | str:
    """The object on ``line``, or what is wrong with it."""
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return _not_json(line)
    if type(found) is not dict:
        return "is not a JSON object (one object per line)"
    certain = line.count('":') == len(found) and not any(gap in line for gap in _GAPS)
    if not certain and line.count(":") != len(found):
        twice = _key_twice(line)
        if twice is not None:
            return f"names the key {twice!r} twice"
    return found


def _key_twice(line: str) -> str | None:
    found: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in items]
        if len(set(keys)) != len(keys):
            found.extend(key for place, key in enumerate(keys) if key in keys[:place])
        return dict(items)

    try:
        json.loads(line, object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        return None
    return found[0] if found else None


def _not_json(line: str) -> str:
    bare = line.strip()
    for word in ("NaN", "Infinity"):
        if word in bare and _reads_as_python_json(bare):
            return f"holds {word}, which is not JSON; leave the value out or use null"
    if bare in ("{", "[") or (bare.startswith("{") and not bare.endswith("}")):
        return "is not one whole JSON object; each row must stand on one line"
    return "is not JSON"


def _reads_as_python_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _columns(
    objects: list[dict[str, Any]], seen: set[str], limits: Limits
) -> Iterator[tuple[str, Sequence[Any]]]:
    first = objects[0]
    alike = set(map(len, objects)) == {len(first)}
    try:
        columns = [list(map(itemgetter(key), objects)) for key in first] if alike else None
    except KeyError:
        columns = None
    keys = list(first) if columns else list({key: None for found in objects for key in found})
    seen.update(keys)
    if len(seen) > limits.columns:
        raise BadInput(f"The rows name more than {limits.columns:,} different keys.")
    for place, key in enumerate(keys):
        yield key, columns[place] if columns else [found.get(key) for found in objects]


def plain(values: Sequence[Any]) -> Sequence[Cell]:
    """``values`` with booleans as the text true or false, and nested or foreign values as JSON text."""
    if set(map(type, values)) <= _PLAIN:
        return values
    return [value if type(value) in _PLAIN else _as_text(value) for value in values]


def _as_text(value: Any) -> Cell:
    if isinstance(value, bool):
        return "true" if value else "false"
    return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()
