"""How a file's columns become ours: told by the caller in JSON, checked before a row is read."""

import json
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

from app.anchoring.table import Cell
from app.domain.problems import BadInput, Problem
from app.domain.rubrics import RubricKind

STRATUM = "stratum."
_SHARED = (
    "item_id",
    "prompt",
    "context",
    "reference",
    "criterion",
    "score",
    "graded_at",
    "scale_min",
    "scale_max",
)
_ONE = ("system", "system_family", "answer", "len_words")
_TWO = (
    "system_a", "system_b", "system_family_a", "system_family_b",
    "answer_a", "answer_b", "len_words_a", "len_words_b", "verdict",
)  # fmt: skip
_OF_PEOPLE = ("annotator", "annotator_type", "source", "blind", "inclusion_probability")
_OF_JUDGES = ("judge", "judge_family", "judge_params", "draw", "order", "unscored")


class Uploaded(StrEnum):
    """What the rows of a file are."""

    ANCHORS = "anchors"
    VERDICTS = "verdicts"


class Repeats(StrEnum):
    """What to do when one annotator (or draw of a judge) gives one answer two different values."""

    REFUSE = "refuse"
    FIRST = "first"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class Mapping:
    """From the file's columns and words to ours.

    ``columns``: our name -> the file's column, or None to leave a column of our name unread.
    ``constants``: our name -> one value for every row. ``where``: the file's column -> the values
    (as text) of rows to keep. ``values``: our name -> {the file's value as text: ours}, with ``*``
    for every other value. ``repeats``: see `Repeats`.
    """

    columns: MappingType[str, str | None] = field(default_factory=dict)
    constants: MappingType[str, Cell] = field(default_factory=dict)
    where: MappingType[str, frozenset[str]] = field(default_factory=dict)
    values: MappingType[str, MappingType[str, Cell]] = field(default_factory=dict)
    repeats: Repeats = Repeats.REFUSE

    def canonical_json(self) -> str:
        """The mapping as JSON with sorted keys: equal mappings, equal text."""
        return json.dumps(
            {
                "columns": dict(self.columns),
                "constants": dict(self.constants),
                "where": {column: sorted(kept) for column, kept in self.where.items()},
                "values": {name: dict(words) for name, words in self.values.items()},
                "repeats": self.repeats.value,
            },
            sort_keys=True,
            ensure_ascii=False,
        )


def our_columns(what: Uploaded, kind: RubricKind) -> tuple[str, ...]:
    """The columns a file may have, ``stratum.*`` aside."""
    about = _TWO if kind is RubricKind.PAIRWISE else _ONE
    return (*_SHARED, *about, *(_OF_PEOPLE if what is Uploaded.ANCHORS else _OF_JUDGES))


def text_of(cell: Cell) -> str:
    """A cell as the text a person would type: no blanks around it, 4 rather than 4.0, empty for nothing."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return str(cell)


def read_mapping(text: str | None, what: Uploaded, kind: RubricKind) -> Mapping:
    """The mapping in a JSON text; without one, every column is read under its own name.

    Raises
    ------
    BadInput
        Naming every key, column or value that does not fit.
    """
    if text is None or not text.strip():
        return Mapping()
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(
            "The mapping is not JSON.", [Problem(f"is not JSON: {error}", path="mapping")]
        ) from error
    problems: list[Problem] = []
    mapping = _read(raw, what, kind, problems)
    if problems:
        raise BadInput("The mapping does not fit.", problems)
    return mapping


def _read(raw: Any, what: Uploaded, kind: RubricKind, problems: list[Problem]) -> Mapping:
    if not isinstance(raw, dict):
        problems.append(Problem("must be a JSON object", path="mapping", value=raw))
        return Mapping()
    parts = ("columns", "constants", "where", "values")
    problems.extend(
        Problem("is not a part of a mapping", path=f"mapping.{key}", value=raw[key])
        for key in raw.keys() - {*parts, "repeats"}
    )
    for part in parts:
        if not isinstance(raw.get(part, {}), dict):
            problems.append(Problem("must be an object", path=f"mapping.{part}", value=raw[part]))
            raw = {**raw, part: {}}
    for part in ("columns", "constants", "values"):
        for name in raw.get(part, {}):
            _check_name(name, f"mapping.{part}", our_columns(what, kind), problems)
    problems.extend(
        Problem("has both a column and a constant", path=f"mapping.constants.{name}")
        for name in raw.get("columns", {}).keys() & raw.get("constants", {}).keys()
    )
    repeats = raw.get("repeats", "refuse")
    if repeats not in list(Repeats):
        problems.append(Problem("must be refuse, first or last", path="mapping.repeats", value=repeats))
        repeats = "refuse"
    return Mapping(
        columns={name: _column(name, their, problems) for name, their in raw.get("columns", {}).items()},
        constants={
            name: _cell(value, f"mapping.constants.{name}", problems)
            for name, value in raw.get("constants", {}).items()
        },
        where={
            column: frozenset(
                text_of(_cell(value, f"mapping.where.{column}", problems))
                for value in (kept if isinstance(kept, list) else [kept])
            )
            for column, kept in raw.get("where", {}).items()
        },
        values={
            name: {
                key: _cell(value, f"mapping.values.{name}.{key}", problems) for key, value in words.items()
            }
            if isinstance(words, dict)
            else _no_object(f"mapping.values.{name}", words, problems)
            for name, words in raw.get("values", {}).items()
        },
        repeats=Repeats(repeats),
    )


def _check_name(name: str, path: str, ours: tuple[str, ...], problems: list[Problem]) -> None:
    if name in ours or (name.startswith(STRATUM) and len(name) > len(STRATUM)):
        return
    near = get_close_matches(name, ours, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; columns are {', '.join(ours)} and stratum.*"
    problems.append(Problem(f"is no column of ours here{hint}", path=f"{path}.{name}"))


def _column(name: str, their: Any, problems: list[Problem]) -> str | None:
    if their is None or isinstance(their, str):
        return their
    problems.append(
        Problem("must name a column of the file, or be null", path=f"mapping.columns.{name}", value=their)
    )
    return None


def _cell(value: Any, path: str, problems: list[Problem]) -> Cell:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, str | int | float):
        return value
    problems.append(Problem("must be text, a number or null", path=path, value=value))
    return None


def _no_object(path: str, value: Any, problems: list[Problem]) -> dict[str, Cell]:
    problems.append(Problem("must be an object from the file's values to ours", path=path, value=value))
    return {}
