"""What is known of a file once all its rows went by: hashes, counts, and every problem found."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.anchoring.columns import ColumnReader, Rows
from app.anchoring.findings import Findings
from app.anchoring.mapping import STRATUM, Mapping, Repeats, Uploaded
from app.anchoring.repeats import Names, Sayings, bits
from app.domain.anchors import SIMULATED_PEOPLE
from app.domain.problems import BadInput, Problem
from app.domain.rubrics import Rubric, RubricKind

_MOST_NAMES = 10_000
_MADE_UP = (
    "says that nobody graded: anchors are human grades (made-up people are let in only where the judges are "
    "simulated too)"
)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file without problems holds.

    ``rows`` counts rows that count, ``read`` all rows of the file. ``repeated`` are rows (1-based) that
    say again what an earlier one said and are left out. ``voices`` are annotators or judges. ``columns``
    are the file's.
    """

    format: str
    columns: tuple[str, ...]
    read: int
    rows: int
    items: int
    voices: int
    unscored: int
    criteria: dict[str, int]
    repeated: frozenset[int]
    warnings: tuple[str, ...]


class Survey:
    """What `check` remembers between batches: hashes, counts and the problems found."""

    def __init__(
        self,
        what: Uploaded,
        rubric: Rubric,
        mapping: Mapping,
        *,
        simulated_people: bool = False,
        every: Callable[[Problem], None] | None = None,
    ) -> None:
        self.findings = Findings(every)
        self.columns: dict[str, None] = {}
        self._simulated_people, self._simulated_rows = simulated_people, 0
        self.reader = ColumnReader(what, rubric, mapping, self.findings)
        self.read = 0
        self._what, self._repeats_are, self._rows, self._unscored = what, mapping.repeats, 0, 0
        self._pairwise = rubric.kind is RubricKind.PAIRWISE
        self._verdicts, self._items = Sayings(), Names()
        self._prompts, self._strata = Sayings(), dict[str, Sayings]()
        self._criteria, self._voices = Counter[str](), set[str]()
        self._families: dict[tuple[str, str], tuple[str, int]] = {}

    def add(self, rows_read: Sequence[int], unreadable: Sequence[Problem], rows: Rows | None) -> None:
        """Take a batch in."""
        self.findings.add(unreadable)
        self.read += len(rows_read) + len(unreadable)
        if rows is not None:
            self._pairs_differ(rows)
            self._items_are_named(rows)
            self._people_are_real(rows)
            good = _without(rows, rows.bad)
            self._count(good)
            self._remember(good)
        self.findings.settle()

    def finish(self, format_: str, warnings: list[str]) -> Checked:
        """The result, once all rows are in."""
        unseen = self.reader.never_seen()
        if unseen and self.read:
            raise BadInput("The mapping names columns that no row of the file has.", unseen)
        self._one_prompt_each()
        again, differs = self._repeats()
        self.findings.refuse()
        if not self._rows:
            raise BadInput("No row is left to store: mapping.where leaves out every one.")
        return Checked(
            format=format_,
            columns=tuple(self.columns),
            read=self.read,
            rows=self._rows - len(again),
            items=self._items.distinct(),
            voices=len(self._voices),
            unscored=self._unscored,
            criteria=dict(self._criteria),
            repeated=again,
            warnings=(*warnings, *self._warnings(len(again), differs)),
        )

    def _pairs_differ(self, rows: Rows) -> None:
        if not self._pairwise:
            return
        first, second = _sides(rows.columns)
        same = [place for place, (a, b) in enumerate(zip(first, second, strict=True)) if a == b]
        self._wrong(rows, same, "system_b", "is the same answer as side A")

    def _items_are_named(self, rows: Rows) -> None:
        ids, prompts = rows.columns["item_id"], rows.columns["prompt"]
        if not all(ids):
            blank = [p for p, (a, b) in enumerate(zip(ids, prompts, strict=True)) if a is None and b is None]
            self._wrong(rows, blank, "item_id", "is missing, and there is no prompt in its stead")

    def _people_are_real(self, rows: Rows) -> None:
        if self._what is not Uploaded.ANCHORS:
            return
        types = rows.columns["annotator_type"]
        made_up = [place for place, type_ in enumerate(types) if type_ == SIMULATED_PEOPLE]
        if self._simulated_people:
            self._simulated_rows += len(made_up)
        else:
            self._wrong(rows, made_up, "annotator_type", _MADE_UP)

    def _wrong(self, rows: Rows, places: list[int], column: str, problem: str) -> None:
        new = [place for place in places if place not in rows.bad]
        self.findings.add(
            Problem(problem, row=rows.rows[place], column=column, value=rows.columns[column][place])
            for place in new
        )
        rows.bad.update(new)

    def _count(self, rows: Rows) -> None:
        columns = rows.columns
        self._rows += len(rows.rows)
        self._criteria.update(columns["criterion"])
        self._unscored += rows.values.count(None)
        voice = "annotator" if self._what is Uploaded.ANCHORS else "judge"
        self._voices.update(columns[voice])
        sides = ("_a", "_b") if self._pairwise else ("",)
        named = [("system", columns[f"system{side}"], columns[f"system_family{side}"]) for side in sides]
        if voice == "judge":
            named.append(("judge", columns["judge"], columns["judge_family"]))
        for kind, names, families in named:
            if any(families) and len(self._families) < _MOST_NAMES:
                self._meet_families(kind, rows.rows, names, families)

    def _meet_families(
        self, kind: str, rows: Sequence[int], names: Sequence[str], families: Sequence[str | None]
    ) -> None:
        for (name, family), row in dict(zip(zip(names, families, strict=True), rows, strict=True)).items():
            if family is None:
                continue
            known, first = self._families.setdefault((kind, name), (family, row))
            if known != family:
                self.findings.add(
                    [
                        Problem(
                            f"of a {kind} is not the same in every row",
                            row=max(row, first),
                            column="family",
                            value=f"{name}: {known}, {family}",
                        )
                    ]
                )

    def _remember(self, rows: Rows) -> None:
        columns = rows.columns
        items = _item_keys(columns)
        item_hashes = list(map(hash, items))
        self._items.add(set(item_hashes))
        keys, signs = self._verdict_keys(columns, items)
        values = [np.nan if value is None else value for value in rows.values]
        self._verdicts.add(rows.rows, list(map(hash, keys)), bits(np.asarray(values) * signs))
        if any(columns["prompt"]) and any(columns["item_id"]):
            both = [
                p for p, name in enumerate(columns["item_id"]) if name and columns["prompt"][p] is not None
            ]
            self._prompts.add(
                [rows.rows[p] for p in both],
                [item_hashes[p] for p in both],
                np.array([hash(columns["prompt"][p]) for p in both], dtype=np.int64),
            )
        for name, column in columns.items():
            if name.startswith(STRATUM):
                # Rows of one item mostly stand together, so this keeps far fewer entries than rows.
                said = dict.fromkeys(zip(item_hashes, map(hash, column), strict=True))
                hashes = np.fromiter((value for _, value in said), dtype=np.int64, count=len(said))
                about = [key for key, _ in said]
                self._strata.setdefault(name, Sayings()).add([0] * len(said), about, hashes)

    def _verdict_keys(self, columns: dict[str, list[Any]], items: Sequence[Any]) -> tuple[Any, Any]:
        """What each row is about, and the sign that turns its value into that of a fixed orientation."""
        from_people = self._what is Uploaded.ANCHORS
        signs: Any = 1.0
        sides: list[Any]
        if not self._pairwise:
            sides = [zip(columns["system"], columns["answer"], strict=True)]
        else:
            first, second = map(list, _sides(columns))
            if from_people:  # A against B is B against A; for a judge the order shown is part of the question
                turned = [a > b for a, b in zip(first, second, strict=True)]
                signs = np.where(turned, -1.0, 1.0)
                ordered = [
                    (b, a) if turn else (a, b) for a, b, turn in zip(first, second, turned, strict=True)
                ]
                sides = [ordered]
            else:
                sides = [first, second]
        if from_people:
            voice = [columns["annotator"]]
        else:
            orders = columns["order"]
            merged = [order == 0 for order in orders] if self._pairwise else orders
            voice = [columns["judge"], columns["judge_params"], columns["draw"], merged]
        return zip(items, *sides, columns["criterion"], *voice, strict=True), signs

    def _repeats(self) -> tuple[frozenset[int], int]:
        rows, firsts, differs = self._verdicts.repeats()
        policy = self._repeats_are
        if policy is Repeats.REFUSE and differs.any():
            who = "annotator" if self._what is Uploaded.ANCHORS else "judge (with these parameters, and draw)"
            hint = "" if who == "annotator" else "; number repeats in the column draw"
            self.findings.add(
                Problem(
                    f"contradicts an earlier row of the same {who}, answer and criterion{hint}",
                    row=int(row),
                    value=f"row {int(first)}",
                )
                for row, first in zip(rows[differs], firsts[differs], strict=True)
            )
        if policy is not Repeats.LAST:
            return frozenset(rows.tolist()), int(differs.sum())
        last = dict(zip(firsts.tolist(), rows.tolist(), strict=True))  # later rows overwrite earlier ones
        left_out = (set(firsts.tolist()) | set(rows.tolist())) - set(last.values())
        return frozenset(left_out), int(differs.sum())

    def _one_prompt_each(self) -> None:
        rows, firsts, differs = self._prompts.repeats()
        self.findings.add(
            Problem(
                "has another prompt in an earlier row",
                row=int(row),
                column="item_id",
                value=f"row {int(first)}",
            )
            for row, first in zip(rows[differs], firsts[differs], strict=True)
        )

    def _warnings(self, repeated: int, differing: int) -> Iterator[str]:
        if unused := self.reader.unused():
            yield f"Columns that were not read: {', '.join(unused)[:2000]}."
        if self._simulated_rows:
            yield f"SIMULATED: {self._simulated_rows:,} grades come from made-up people, not from people."
        if self.reader.left_out:
            yield f"{self.reader.left_out:,} rows were left out by mapping.where."
        if repeated - differing > 0 or (repeated and not differing):
            yield f"{repeated - differing:,} rows repeat an earlier row word for word; each counts once."
        if differing:
            kept = self._repeats_are.value
            yield f"{differing:,} rows contradict an earlier one; the {kept} counts (mapping.repeats)."
        for name, sayings in self._strata.items():
            conflicts = int(sayings.repeats()[2].sum())
            if conflicts:
                yield f"{conflicts:,} items have another {name} in a later row; the first counts."


def _without(rows: Rows, bad: set[int]) -> Rows:
    if not bad:
        return rows
    good = [place for place in range(len(rows.rows)) if place not in bad]
    return Rows(
        rows=[rows.rows[place] for place in good],
        columns={name: [column[place] for place in good] for name, column in rows.columns.items()},
        values=[rows.values[place] for place in good],
    )


def _item_keys(columns: dict[str, list[Any]]) -> list[Any]:
    """The caller's id of each item, or its texts."""
    ids: list[Any] = columns["item_id"]
    if all(ids):
        return ids
    texts = zip(columns["prompt"], columns["context"], columns["reference"], strict=True)
    return [text if name is None else name for name, text in zip(ids, texts, strict=True)]


def _sides(columns: dict[str, list[Any]]) -> tuple[Any, Any]:
    """Each side of a pair as (system, answer or nothing)."""
    return tuple(  # type: ignore[return-value]
        list(zip(columns[f"system_{side}"], [text or "" for text in columns[f"answer_{side}"]], strict=True))
        for side in "ab"
    )
