"""A folder of recorded verdicts and human grades as arrays, one `Recorded` per criterion.

The format is that of ../shared/data: ``grades.csv.gz`` has a row per judge verdict, ``human.csv.gz`` one per
human grade, with ``item_id``, ``criterion``, and ``system`` with ``score``, ``scale_min`` and ``scale_max``,
or ``system_a``, ``system_b`` (shown first and second) with ``verdict`` (A, B, tie; empty: unparsed).
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Row = dict[str, str]
Key = tuple[str, str, str]
Arrange = Callable[[list[Row], list[Row]], tuple[list[Row], list[Row]]]
_SIGN = {"A": 1.0, "B": -1.0, "tie": 0.0}


class NoHumanGrades(Exception):
    """There is nothing to measure accuracy against; the message says why."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """n units that people graded: answers, or (``pairwise``) canonical pairs of answers.

    ``value`` (n, J): each judge's mean verdict, 0 worst to 1 best, for pairs -1 to 1 (positive: the first
    system is better), NaN where there is none. ``human`` (n,) mean human grade on the same scale.
    ``vote_unit``, ``vote`` (v,): single human grades. ``system``, ``other``, ``prompt``, ``stratum`` (n,)
    codes, ``other`` -1 for an answer, ``stratum`` -1 for none. ``length``, ``other_length`` (n,) words, NaN
    unknown. ``width``: points of the criterion's own scale from worst to best (for pairs 1, a win rate).
    """

    name: str
    criterion: str
    pairwise: bool
    width: float
    judges: tuple[str, ...]
    families: tuple[str, ...]
    systems: tuple[str, ...]
    strata: tuple[str, ...]
    value: Floats
    human: Floats
    vote_unit: Ints
    vote: Floats
    system: Ints
    other: Ints
    prompt: Ints
    stratum: Ints
    length: Floats
    other_length: Floats

    @property
    def units(self) -> int:
        return self.human.size

    def take(self, rows: Ints) -> "Recorded":
        """Copies of ``rows``, every copy a unit and a prompt of its own."""
        position = [np.flatnonzero(self.vote_unit == row) for row in range(self.units)]
        votes = [position[row] for row in rows]
        names = ("value", "human", "system", "other", "stratum", "length", "other_length")
        return replace(
            self,
            prompt=np.arange(rows.size),
            vote_unit=np.repeat(np.arange(rows.size), [v.size for v in votes]),
            vote=self.vote[np.concatenate(votes)],
            **{name: getattr(self, name)[rows] for name in names},
        )

    def seated(self, seats: NDArray[np.bool_]) -> "Recorded":
        """Only the verdicts of judges that sit, bool (n, J)."""
        return replace(self, value=np.where(seats, self.value, np.nan))


def read(folder: Path, arrange: Arrange | None = None) -> dict[str, Recorded]:
    """Every criterion of a folder. ``arrange`` chooses among, or renames, the rows of judges and people.

    Raises
    ------
    NoHumanGrades
        If there are none, or a model made them.
    """
    grades, people = _rows(folder / "grades.csv.gz"), _rows(folder / "human.csv.gz")
    machines = sorted({row["annotator_type"] for row in people if "llm" in row.get("annotator_type", "")})
    if machines:
        raise NoHumanGrades(f"the grades come from {', '.join(machines)}")
    grades = [row for row in grades if row.get("parse", "ok") == "ok"]
    if arrange is not None:
        grades, people = arrange(grades, people)
    if not people or not grades:
        raise NoHumanGrades("there are no human grades or no verdicts")
    criteria = sorted({row["criterion"] for row in people})
    return {name: _criterion(folder.name, name, grades, people) for name in criteria}


def _rows(path: Path) -> list[Row]:
    if not path.exists():
        raise NoHumanGrades(f"there is no {path.name}")
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


def _criterion(name: str, criterion: str, grades: list[Row], people: list[Row]) -> Recorded:
    grades = [row for row in grades if row["criterion"] == criterion]
    people = [row for row in people if row["criterion"] == criterion]
    pairwise = bool(people[0].get("system_a"))
    votes: dict[Key, list[float]] = defaultdict(list)
    for row in people:
        value = _vote(row, pairwise)
        if value is not None:
            votes[_key(row, pairwise)].append(value)
    units = sorted(votes)
    index = {unit: k for k, unit in enumerate(units)}
    judge_of = _judge_names(grades)
    judges = tuple(sorted(set(judge_of.values())))
    cells: dict[tuple[int, int], list[float]] = defaultdict(list)
    for unit, row, value in _verdicts(grades, pairwise, units):
        if unit in index:
            cells[index[unit], judges.index(judge_of[row["judge"], row["judge_params"]])].append(value)
    matrix = np.full((len(units), len(judges)), np.nan)
    for (unit, judge), values in cells.items():
        matrix[unit, judge] = np.mean(values)
    systems = tuple(sorted({unit[1] for unit in units} | {unit[2] for unit in units if unit[2]}))
    prompts = {item: k for k, item in enumerate(sorted({unit[0] for unit in units}))}
    category = {row["item_id"]: row["category"] for row in people if row.get("category")}
    strata = tuple(sorted(set(category.values())))
    lengths = _lengths(grades)
    family = {judge_of[row["judge"], row["judge_params"]]: row["judge_family"] for row in grades}
    scale = people[0]
    width = 1.0 if pairwise else float(scale["scale_max"]) - float(scale["scale_min"])
    return Recorded(
        name=name, criterion=criterion, pairwise=pairwise, width=width,
        judges=judges, families=tuple(family[j] for j in judges), systems=systems, strata=strata,
        value=matrix, human=np.array([np.mean(votes[unit]) for unit in units]),
        vote_unit=np.repeat(np.arange(len(units)), [len(votes[unit]) for unit in units]),
        vote=np.concatenate([votes[unit] for unit in units]),
        system=np.array([systems.index(unit[1]) for unit in units]),
        other=np.array([systems.index(unit[2]) if unit[2] else -1 for unit in units]),
        prompt=np.array([prompts[unit[0]] for unit in units]),
        stratum=np.array([strata.index(category[u[0]]) if u[0] in category else -1 for u in units]),
        length=np.array([lengths.get((unit[0], unit[1]), np.nan) for unit in units]),
        other_length=np.array([lengths.get((unit[0], unit[2]), np.nan) for unit in units]),
    )  # fmt: skip


def _key(row: Row, pairwise: bool) -> Key:
    """Item and system, or item and both systems in the order of their names."""
    if not pairwise:
        return row["item_id"], row["system"], ""
    first, second = sorted((row["system_a"], row["system_b"]))
    return row["item_id"], first, second


def _vote(row: Row, pairwise: bool) -> float | None:
    if pairwise:
        if row["verdict"] not in _SIGN:
            return None
        return _SIGN[row["verdict"]] * (1.0 if row["system_a"] < row["system_b"] else -1.0)
    if not row["score"]:
        return None
    low, high = float(row["scale_min"]), float(row["scale_max"])
    return (float(row["score"]) - low) / (high - low)


def _verdicts(grades: list[Row], pairwise: bool, units: list[Key]) -> list[tuple[Key, Row, float]]:
    """Verdicts with their units; scores of single answers are differenced where people graded pairs."""
    if pairwise and not grades[0].get("system_a"):
        by_item: dict[tuple[str, str, str, str], float] = {}
        rows: dict[tuple[str, str], Row] = {}
        for row in grades:
            by_item[row["item_id"], row["system"], row["judge"], row["judge_params"]] = float(row["score"])
            rows[row["judge"], row["judge_params"]] = row
        return [
            (unit, row, by_item[unit[0], unit[1], *judge] - by_item[unit[0], unit[2], *judge])
            for unit in units
            for judge, row in rows.items()
            if (unit[0], unit[1], *judge) in by_item and (unit[0], unit[2], *judge) in by_item
        ]
    out = []
    for row in grades:
        value = _vote(row, pairwise)
        if value is not None:
            out.append((_key(row, pairwise), row, value))
    return out


def _judge_names(grades: list[Row]) -> dict[tuple[str, str], str]:
    """A judge is a model under one prompt; the prompt is in the name where a model came with several."""
    pairs = sorted({(row["judge"], row["judge_params"]) for row in grades})
    models = [judge for judge, _ in pairs]
    return {pair: pair[0] if models.count(pair[0]) == 1 else "/".join(pair) for pair in pairs}


def _lengths(grades: list[Row]) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for row in grades:
        for system, words in (
            ("system", "len_words"),
            ("system_a", "len_a_words"),
            ("system_b", "len_b_words"),
        ):
            if row.get(system) and row.get(words):
                found[row["item_id"], row[system]] = float(row[words])
    return found
