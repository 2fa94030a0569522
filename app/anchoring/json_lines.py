"""JSONL: one JSON object per line, every key once."""

import json
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

import orjson

from app.anchoring.limits import Limits
from app.anchoring.table import Batch, Cell, Table
from app.domain.problems import BadInput, Problem

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
    row, held_bytes, seen = 0, 0, set[str]()
    rows: list[int] = []
    objects: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for block in blocks:
        for line in block.split("\n"):
            if not line or line.isspace():
                continue
            row += 1
            found = _object(line)
            if isinstance(found, dict):
                rows.append(row)
                objects.append(found)
            else:
                problems.append(Problem(found, row=row, value=line[:200]))
            if len(objects) >= limits.batch_rows or len(problems) >= limits.batch_rows:
                yield _batch(rows, objects, problems, seen, limits)
                rows, objects, problems, held_bytes = [], [], [], 0
        held_bytes += len(block)
        if held_bytes > limits.batch and rows:
            yield _batch(rows, objects, problems, seen, limits)
            rows, objects, problems, held_bytes = [], [], [], 0
    if rows or problems:
        yield _batch(rows, objects, problems, seen, limits)
    if not row:
        raise BadInput("The file is empty.")


def _object(line: str) -> dict[str, Any] | str:
    """The object on ``line``, or what is wrong with it."""
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return _not_json(line, error)
    if type(found) is not dict:
        return "is not a JSON object (one object per line)"
    # Every pair has its own colon after a quote, so with as many as there are keys no key stands twice.
    # The reader itself keeps the last of two silently.
    if line.count(":") != len(found) and not (
        line.count('":') == len(found) and " :" not in line and "\t:" not in line and "\r:" not in line
    ):
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


def _not_json(line: str, error: orjson.JSONDecodeError) -> str:
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


def _batch(
    rows: list[int], objects: list[dict[str, Any]], problems: list[Problem], seen: set[str], limits: Limits
) -> Batch:
    if not objects:
        return Batch(rows=(), columns={}, problems=problems)
    keys = list(objects[0])
    for found in objects:
        if found.keys() != objects[0].keys():
            keys = list({key: None for one in objects for key in one})
            break
    seen.update(keys)
    if len(seen) > limits.columns:
        raise BadInput(f"The rows name more than {limits.columns:,} different keys.")
    return Batch(
        rows=rows, columns={key: plain(values) for key, values in _columns(keys, objects)}, problems=problems
    )


def _columns(keys: list[str], objects: list[dict[str, Any]]) -> Iterator[tuple[str, Sequence[Any]]]:
    if len(keys) > 1:
        try:
            yield from zip(keys, zip(*map(itemgetter(*keys), objects), strict=True), strict=True)
            return
        except KeyError:
            pass
    for key in keys:
        yield key, [found.get(key) for found in objects]


def plain(values: Sequence[Any]) -> Sequence[Cell]:
    """``values`` with booleans as the text true or false, and nested or foreign values as JSON text."""
    if set(map(type, values)) <= _PLAIN:
        return values
    return [value if type(value) in _PLAIN else _as_text(value) for value in values]


def _as_text(value: Any) -> Cell:
    if isinstance(value, bool):
        return "true" if value else "false"
    return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()
