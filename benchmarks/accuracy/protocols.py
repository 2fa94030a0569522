"""How each set is drawn: which verdicts count, which judges sit, how many anchors, and from what.

hanna
    the task1 prompt; per answer chatgpt, mistral-7b and one of the three Llama-family judges at random;
    anchors drawn from the 1,056 answers.
llmbar
    the items whose answers differ in length (characters) and on which all six judges decided in both orders
    under the Vanilla prompt; the "systems" are the longer and the shorter answer; a judge's verdict is the
    mean over its orders. Each draw takes 1,000 items with replacement, every copy its own prompt, the
    first n as anchors; the truth is the pool's share.
others
    every judge and prompt that was recorded; anchors drawn uniformly from the answers (pairs) that people
    graded. Truth is the mean over all of them, so intervals are for ``these_units``.

Strata: the recorded categories of at least `LEAST_IN_STRATUM` units; thirds of length where there are none.
Pairs of more than two systems have none.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.stats.rectifier import Population
from benchmarks.accuracy.recorded import Arrange, Recorded, Row, read

Ints = NDArray[np.int64]
LEAST_IN_STRATUM = 30
LLAMA = ("beluga-13b", "llama-13b", "orcaplatypus-13b")


@dataclass(frozen=True, slots=True)
class Protocol:
    """``resample``: units drawn with replacement per draw (0: none); ``seed`` starts every draw's stream.

    ``lonely_stratum``: one that anchors are taken from to see whether the service objects.
    """

    anchors: tuple[int, ...] = (60, 120, 240)
    seed: int = 7
    resample: int = 0
    arrange: Arrange | None = None
    lonely_stratum: str | None = None
    seats: Callable[[Recorded, np.random.Generator], NDArray[np.bool_]] | None = None

    @property
    def population(self) -> Population:
        return "stream" if self.resample else "these_units"

    def load(self, folder: Path) -> dict[str, Recorded]:
        return {name: _with_strata(data) for name, data in read(folder, self.arrange).items()}

    def anchor_counts(self, data: Recorded) -> tuple[int, ...]:
        """At most half of the units are graded."""
        return self.anchors if self.resample else tuple(k for k in self.anchors if 2 * k <= data.units)

    def draw(self, data: Recorded, number: int) -> tuple[Recorded, np.random.Generator]:
        """What is judged in draw ``number``, and the stream of chance that then picks the anchors."""
        rng = np.random.default_rng([self.seed, number])
        if self.resample:
            return data.take(rng.integers(0, data.units, self.resample)), rng
        return (data if self.seats is None else data.seated(self.seats(data, rng))), rng

    def pick(self, data: Recorded, anchors: int, rng: np.random.Generator) -> Ints:
        """Rows that people grade; a pair resampled is in random order already."""
        return np.arange(anchors) if self.resample else rng.choice(data.units, anchors, replace=False)


def _hanna_seats(data: Recorded, rng: np.random.Generator) -> NDArray[np.bool_]:
    seats = np.ones(data.value.shape, bool)
    llama = np.array([data.judges.index(name) for name in LLAMA])
    seats[:, llama] = False
    seats[np.arange(data.units), llama[rng.integers(0, 3, data.units)]] = True
    return seats


def _first_prompt_only(grades: list[Row], people: list[Row]) -> tuple[list[Row], list[Row]]:
    return [row for row in grades if row["judge_params"].startswith("task1")], people


def _expectations_only(grades: list[Row], people: list[Row]) -> tuple[list[Row], list[Row]]:
    return [row for row in grades if row["judge_params"].startswith("expected")], people


def _longer_against_shorter(grades: list[Row], people: list[Row]) -> tuple[list[Row], list[Row]]:
    """Decided pairs of unequal length under one prompt, systems renamed for their length in characters."""
    grades = [
        row
        for row in grades
        if row["judge_params"] == "Vanilla" and row["verdict"] and row["len_a_chars"] != row["len_b_chars"]
    ]
    decided = Counter(row["item_id"] for row in grades)
    grades = [row for row in grades if decided[row["item_id"]] == max(decided.values())]
    names: dict[tuple[str, str], str] = {}
    for row in grades:
        ordered = (
            ("longer", "shorter")
            if int(row["len_a_chars"]) > int(row["len_b_chars"])
            else ("shorter", "longer")
        )
        names[row["item_id"], row["system_a"]], names[row["item_id"], row["system_b"]] = ordered

    def renamed(row: Row) -> Row:
        return row | {end: names[row["item_id"], row[end]] for end in ("system_a", "system_b")}

    judged = {row["item_id"] for row in grades}
    return [renamed(row) for row in grades], [renamed(row) for row in people if row["item_id"] in judged]


def _with_strata(data: Recorded) -> Recorded:
    count = np.bincount(data.stratum[data.stratum >= 0], minlength=len(data.strata))
    large = np.flatnonzero(count >= LEAST_IN_STRATUM)
    within = any(np.unique(data.stratum[data.system == s]).size > 1 for s in range(len(data.systems)))
    if large.size > 1 and within and (not data.pairwise or len(data.systems) == 2):
        code = np.full(len(data.strata), -1)
        code[large] = np.arange(large.size)
        stratum = np.where(data.stratum >= 0, code[data.stratum], -1)
        return replace(data, stratum=stratum, strata=tuple(data.strata[k] for k in large))
    known = np.isfinite(data.length)
    if data.pairwise or known.mean() < 0.9:
        return replace(data, stratum=np.full(data.units, -1), strata=())
    edges = np.quantile(data.length[known], [1 / 3, 2 / 3])
    stratum = np.where(known, np.searchsorted(edges, np.nan_to_num(data.length)), -1)
    return replace(data, stratum=stratum, strata=("short", "middle", "long"))


PROTOCOLS = {
    "hanna": Protocol(arrange=_first_prompt_only, seats=_hanna_seats),
    "llmbar": Protocol(
        anchors=(20, 50, 100, 200), seed=3, resample=1000, arrange=_longer_against_shorter,
        lonely_stratum="LLMBar/Natural",
    ),
    "llm_rubric": Protocol(arrange=_expectations_only),
}  # fmt: skip
"""By name of the set; any other folder is drawn as `Protocol` stands."""
