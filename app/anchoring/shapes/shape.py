"""Shapes of files that other tools write, beside plain tables; and what their readers share."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.anchoring.json_lines import plain
from app.anchoring.table import Cell
from app.domain.problems import Problem
from app.domain.rubrics import Rubric, RubricKind

Row = dict[str, Cell]


class Shape(StrEnum):
    """What a file is: a table with one row per grade, or what another tool exports."""

    TABLE = "table"
    LABEL_STUDIO = "label-studio"
    ARGILLA = "argilla"
    PROMPTFOO = "promptfoo"
    INSPECT = "inspect"
    MT_BENCH = "mt-bench"


SHAPE_NAMES = {
    Shape.TABLE: "a table, one row per grade",
    Shape.LABEL_STUDIO: "Label Studio export",
    Shape.ARGILLA: "Argilla records",
    Shape.PROMPTFOO: "promptfoo results",
    Shape.INSPECT: "Inspect eval log",
    Shape.MT_BENCH: "MT-Bench votes",
}


@dataclass(frozen=True, slots=True)
class Said:
    """One grade as a tool wrote it: the question it answers, its row, and what bars it, if anything."""

    question: str
    row: Row
    barred: str | None = None


@dataclass(slots=True)
class Reading:
    """What a reader needs to know, and what it left out: why -> how often."""

    rubric: Rubric
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def value(self) -> str:
        """The column of ours that a grade stands in."""
        return "verdict" if self.rubric.kind is RubricKind.PAIRWISE else "score"

    def warnings(self) -> Iterator[str]:
        """What was left out, in sentences."""
        for why, number in self.left_out.most_common():
            yield f"{number:,} left out: {why}."


Reader = Callable[[Any, Reading], Iterator[Said]]

BY_A_MODEL = "was written by a model and taken over unchanged: anchors are human grades"


def rows_of(said: list[Said], reading: Reading) -> tuple[list[Row], list[Problem]]:
    """Grades of the rubric's criteria, each with its criterion; rows are numbered over both lists.

    Where no question is called as a criterion is, all are kept for a mapping to translate
    (``values.criterion``); the only question under a rubric with one criterion is that criterion.
    """
    names = {one.name for one in reading.rubric.criteria}
    asked = {one.question for one in said}
    known = asked & names
    alone = len(names) == 1 and len(asked) == 1
    rows: list[Row] = []
    problems: list[Problem] = []
    for one in said:
        if known and one.question not in known:
            reading.left_out[f"answers to {one.question!r}, which is no criterion of the rubric"] += 1
            continue
        row = one.row if alone else {**one.row, "criterion": one.question}
        if one.barred:
            problems.append(Problem(one.barred, row=len(rows) + 1, value=one.question))
        rows.append(row)
    return rows, problems


def extras(fields: Any, taken: Mapping[str, Any]) -> Row:
    """A tool's own fields as cells, but for those whose names are taken."""
    if not isinstance(fields, dict):
        return {}
    names = [name for name in fields if isinstance(name, str) and name not in taken]
    return dict(zip(names, plain([fields[name] for name in names]), strict=True))


def listed(value: Any) -> list[Any]:
    """The value, if it is a list; none otherwise: files are not always as their tool writes them."""
    return value if isinstance(value, list) else []


def mapped(value: Any) -> dict[str, Any]:
    """The value, if it is an object; an empty one otherwise."""
    return value if isinstance(value, dict) else {}


def texts_of(content: Any) -> str | None:
    """The text of a message: itself, its ``content``, or its parts of type text."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return texts_of(
            content.get("text") if isinstance(content.get("text"), str) else content.get("content")
        )
    if isinstance(content, list):
        return "\n".join(part for part in map(texts_of, content) if part) or None
    return None


def a_value(value: Any) -> Cell:
    """A grade as a cell; yes and no become 1 and 0."""
    if isinstance(value, bool):
        return 1 if value else 0
    return plain([value])[0]
