"""Columns of a file, as they stand, become columns of ours, as they are meant; or cells are found wrong."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress, repeat
from typing import Any

from app.anchoring import cells
from app.anchoring.cells import Remembered, WrongCell
from app.anchoring.findings import Findings
from app.anchoring.mapping import STRATUM, Mapping, Uploaded, our_columns, text_of
from app.anchoring.table import Batch, Cell
from app.anchoring.values import value_reader
from app.domain.problems import BadInput, Problem
from app.domain.rubrics import Rubric, RubricKind

_MEMOISED: dict[str, Callable[[Any], Any]] = {
    "item_id": cells.optional_name,
    "system": cells.name,
    "system_a": cells.name,
    "system_b": cells.name,
    "system_family": cells.optional_name,
    "system_family_a": cells.optional_name,
    "system_family_b": cells.optional_name,
    "len_words": cells.count,
    "len_words_a": cells.count,
    "len_words_b": cells.count,
    "annotator": cells.annotator,
    "annotator_type": cells.annotator_type,
    "source": cells.source,
    "blind": cells.yes_or_no,
    "inclusion_probability": cells.probability,
    "graded_at": cells.moment,
    "judge": cells.name,
    "judge_family": cells.name,
    "judge_params": cells.params,
    "draw": cells.draw,
    "order": cells.order,
    "unscored": cells.reason,
    "scale_min": cells.number,
    "scale_max": cells.number,
}
_TEXTS = ("prompt", "context", "reference", "answer", "answer_a", "answer_b")
_VALUES = ("score", "verdict")  # read together with criterion, scale and reason
_DEFAULTS: dict[str, Any] = {"draw": 1, "judge_params": "{}"}


@dataclass(slots=True)
class Rows:
    """Rows of one batch. Every list in ``columns`` is as long as ``rows``; ``bad`` are places to leave out.

    ``values`` are on the criterion's scale, or signed for pairs; None where a judge gave none.
    """

    rows: Sequence[int]
    columns: dict[str, list[Any]]
    values: list[float | None]
    bad: set[int] = field(default_factory=set)


class ColumnReader:
    """Reads batches of one file under one mapping and one rubric; remembers cells between batches."""

    def __init__(self, what: Uploaded, rubric: Rubric, mapping: Mapping, findings: Findings) -> None:
        self._what, self._rubric, self._mapping, self._findings = what, rubric, mapping, findings
        self._ours = our_columns(what, rubric.kind)
        self._pairwise = rubric.kind is RubricKind.PAIRWISE
        self._readers: dict[str, Remembered] = {}
        self._values = Remembered(value_reader(rubric, what, mapping.values))
        self._kept = {column: Remembered(_among(allowed)) for column, allowed in mapping.where.items()}
        self._their: dict[str, str] = {}
        self._seen: set[str] = set()
        self.left_out = 0

    def read(self, batch: Batch) -> Rows:
        """The batch's rows; wrong cells go to the findings and their places to ``bad``.

        Raises
        ------
        BadInput
            If a column that is needed is in neither file nor mapping.
        """
        if new := batch.columns.keys() - self._seen:
            self._meet(list(batch.columns), new)
        rows, columns = self._where(batch)
        found = Rows(rows=rows, columns={}, values=[])
        for name in (
            *self._ours,
            *(n for n in self._their if n.startswith(STRATUM)),
            *self._constant_strata(),
        ):
            if name not in _VALUES and name != "criterion":
                self._column(name, columns, found)
        self._criteria(columns, found)
        self._value(columns, found)
        return found

    def unused(self) -> list[str]:
        """Columns of the file that nothing reads, in the order of their names."""
        return sorted(self._seen - set(self._their.values()) - self._mapping.where.keys())

    def never_seen(self) -> list[Problem]:
        """Columns that the mapping names and no row had."""
        asked = {
            **{f"mapping.columns.{name}": their for name, their in self._mapping.columns.items() if their},
            **{f"mapping.where.{their}": their for their in self._mapping.where},
        }
        return [
            Problem("is no column of the file", path=path, column=their)
            for path, their in asked.items()
            if their not in self._seen
        ]

    def _meet(self, columns: list[str], new: set[str]) -> None:
        """Settle which column is which, once for every new set of columns."""
        self._seen |= new
        mapped = self._mapping.columns
        for name in (*self._ours, *(column for column in columns if column.startswith(STRATUM))):
            if name in self._seen and name not in mapped and name not in self._mapping.constants:
                self._their[name] = name
        self._their.update({name: their for name, their in mapped.items() if their in self._seen})
        if self._seen == new:  # the first batch: a later one of a JSONL file may add columns, not need fewer
            missing = [*self.never_seen(), *self._missing()]
            if missing:
                raise BadInput(
                    "The file's columns do not fit; it has: "
                    + ", ".join(name[:60] for name in columns)[:2000],
                    missing,
                )

    def _has(self, name: str) -> bool:
        return name in self._their or name in self._mapping.constants

    def _missing(self) -> list[Problem]:
        sides = ("system_a", "system_b") if self._pairwise else ("system",)
        people = (
            ("annotator", "annotator_type") if self._what is Uploaded.ANCHORS else ("judge", "judge_family")
        )
        needed: list[tuple[str, ...]] = [("item_id", "prompt"), *((name,) for name in (*sides, *people))]
        needed.append(("verdict", "score") if self._pairwise else ("score",))
        if len(self._rubric.criteria) > 1:
            needed.append(("criterion",))
        problems = [
            Problem(
                "is missing: add the column, or name it in mapping.columns or mapping.constants",
                column=" or ".join(names),
            )
            for names in needed
            if not any(self._has(name) for name in names)
        ]
        graded = self._pairwise and self._has("score") and not self._has("verdict")
        if graded and not (self._has("scale_min") and self._has("scale_max")):
            problems.append(
                Problem(
                    "needs scale_min (the score that says B is better by most) and scale_max (A by most)",
                    column="score",
                )
            )
        return problems

    def _where(self, batch: Batch) -> tuple[Sequence[int], dict[str, Sequence[Cell]]]:
        if not self._kept:
            return batch.rows, batch.columns
        nothing = [None] * len(batch.rows)
        keep = [True] * len(batch.rows)
        for column, reader in self._kept.items():
            answers = reader.column(batch.columns.get(column, nothing))
            keep = [before and answer for before, answer in zip(keep, answers, strict=True)]
        if all(keep):
            return batch.rows, batch.columns
        rows = list(compress(batch.rows, keep))
        self.left_out += len(batch.rows) - len(rows)
        return rows, {name: list(compress(column, keep)) for name, column in batch.columns.items()}

    def _constant_strata(self) -> list[str]:
        return [name for name in self._mapping.constants if name.startswith(STRATUM)]

    def _raw(self, name: str, columns: dict[str, Sequence[Cell]], size: int) -> Sequence[Cell]:
        """The file's cells for our column, or its constant; absent columns are empty."""
        if name in self._mapping.constants:
            return [self._mapping.constants[name]] * size
        return columns.get(self._their.get(name, ""), ()) or [None] * size

    def _column(self, name: str, columns: dict[str, Sequence[Cell]], found: Rows) -> None:
        size = len(found.rows)
        if not self._has(name):
            found.columns[name] = [_DEFAULTS.get(name)] * size
            return
        raw = self._raw(name, columns, size)
        if name in _TEXTS and name not in self._mapping.values:
            read = self._texts(raw)
            any_wrong = any(type(value) is WrongCell for value in read)
        else:
            reader = self._readers.get(name) or self._readers.setdefault(
                name, Remembered(self._reading(name))
            )
            read = reader.column(raw)
            any_wrong = reader.any_wrong
        if any_wrong:
            found.bad |= self._findings.cells(self._shown(name), found.rows, raw, read)
        found.columns[name] = read

    def _texts(self, raw: Iterable[Cell]) -> list[Any]:
        read: list[Any] = []
        for cell in raw:  # long and rarely the same: reading costs less than remembering
            try:
                read.append(cells.text(cell))
            except WrongCell as wrong:
                read.append(wrong)
        return read

    def _reading(self, name: str) -> Callable[[Any], Any]:
        read = cells.text if name in _TEXTS else _MEMOISED.get(name, cells.optional_name)
        words = self._mapping.values.get(name)
        if words is None:
            return read
        return lambda cell: read(translated(cell, words))

    def _criteria(self, columns: dict[str, Sequence[Cell]], found: Rows) -> None:
        names = {criterion.name for criterion in self._rubric.criteria}
        only = self._rubric.criteria[0].name if len(names) == 1 else None
        words = self._mapping.values.get("criterion", {})

        def read(cell: Cell) -> str:
            name = text_of(translated(cell, words))
            if name in names:
                return name
            if not name and only:
                return only
            if not name:
                raise WrongCell("is missing")
            raise WrongCell(f"is no criterion of the rubric; it has {', '.join(sorted(names))[:300]}")

        if not self._has("criterion"):
            found.columns["criterion"] = [only] * len(found.rows)
            return
        reader = self._readers.get("criterion") or self._readers.setdefault("criterion", Remembered(read))
        raw = self._raw("criterion", columns, len(found.rows))
        found.columns["criterion"] = reader.column(raw)
        if reader.any_wrong:
            found.bad |= self._findings.cells(
                self._shown("criterion"), found.rows, raw, found.columns["criterion"]
            )

    def _value(self, columns: dict[str, Sequence[Cell]], found: Rows) -> None:
        size = len(found.rows)
        name = "verdict" if self._pairwise and self._has("verdict") else "score"
        raw = self._raw(name, columns, size)
        reasons = found.columns.get("unscored") or repeat(None, size)
        keys = zip(
            repeat(name, size), found.columns["criterion"], raw, found.columns["scale_min"],
            found.columns["scale_max"], reasons, strict=True,
        )  # fmt: skip
        found.values = self._values.column(keys)
        if self._values.any_wrong:
            found.bad |= self._findings.cells(self._shown(name), found.rows, raw, found.values)

    def _shown(self, name: str) -> str:
        """How a column is called towards the caller: as in the caller's file."""
        return self._their.get(name, name)


def _among(allowed: frozenset[str]) -> Callable[[Cell], bool]:
    return lambda cell: text_of(cell) in allowed


def translated(cell: Cell, words: Any) -> Cell:
    """The cell, or what the mapping says it means."""
    if not words:
        return cell
    text = text_of(cell)
    if text in words:
        found: Cell = words[text]
        return found
    rest: Cell = words.get("*", cell) if text else cell
    return rest
