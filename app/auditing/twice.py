"""Answers that two people graded: who said what of them, and the pairs of grades that this makes."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from app.domain.annotation import Annotation, Queue, QueueItem, State, chances_of
from app.domain.rubrics import RubricKind
from app.stats.pair_agreement import GradePairs
from app.storage.anchor_texts import AnchorGrade

Names = NDArray[np.str_]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Said:
    """One grade of an answer (or of a pair of answers, the smaller id first and the value turned to it).

    ``cold`` grades were given once more by somebody who knew nothing of the answer, which was drawn for that
    with ``chance``; ``drawn`` is the share of such answers that were drawn and graded, 0 if none were drawn.
    """

    criterion: str
    answers: tuple[int, ...]
    item_id: int
    system: str
    annotator: str
    value: float
    cold: bool = False
    chance: float = 1.0
    drawn: float = 0.0


@dataclass(frozen=True, slots=True)
class Twice:
    """k pairs of grades of one answer by different people.

    ``pairs`` (`GradePairs`, clustered by item); ``first_by``, ``second_by``, ``system`` (k,); ``apart`` (k,)
    whether the two really differ. ``cold``: the second of each pair is a cold grade, the first is none.
    """

    pairs: GradePairs
    first_by: Names
    second_by: Names
    system: Names
    apart: Bools
    cold: bool

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def gap(self) -> NDArray[np.float64]:
        """(k,) the first grade minus the second, in points."""
        return self.pairs.first - self.pairs.second


def said_in_set(grades: Iterable[AnchorGrade], cold: str | None) -> list[Said]:
    """The grades of a set; those of the source ``cold`` were given cold."""
    return [
        _turned(
            Said(
                criterion=one.criterion,
                answers=(one.answer_id,)
                if one.other_answer_id is None
                else (one.answer_id, one.other_answer_id),
                item_id=one.item_id,
                system=one.system if one.other_system is None else f"{one.system} against {one.other_system}",
                annotator=one.annotator,
                value=one.value,
                cold=cold is not None and one.source == cold,
            )
        )
        for one in grades
    ]


def said_cold(queue: Queue, items: Sequence[QueueItem], said: Iterable[Annotation]) -> list[Said]:
    """What people said in the queue of a cold regrade, without what settles disagreements there."""
    done = [one for one in said if one.state is State.DONE and not one.adjudicates]
    graded = len({one.queue_item_id for one in done}) / max(len(items), 1)
    by_id, chances = {one.id: one for one in items}, chances_of(items)
    pair = queue.kind is RubricKind.PAIRWISE
    found = []
    for one in done:
        item, chance = by_id[one.queue_item_id], chances.get(one.queue_item_id, 1.0)
        units = [item.answer_ids] if pair else [(key,) for key in item.answer_ids]
        for criterion, values in one.scores.items():
            found += [
                _turned(
                    Said(
                        *(criterion, answers, item.item_id, "", one.annotator.name, value),
                        cold=True,
                        chance=chance,
                        drawn=chance * graded,
                    )
                )
                for answers, value in zip(units, values, strict=True)
                if value is not None
            ]
    return found


def pairs_of(said: Sequence[Said], tolerance: float) -> Twice:
    """Every pair of grades of one answer by different people; if any grade is cold, of a cold and another.

    Pairs weigh the same; cold ones 1 / chance, over the grades that one cold grade is held against.
    """
    cold = any(one.cold for one in said)
    units: defaultdict[tuple[int, ...], list[Said]] = defaultdict(list)
    for one in said:
        units[one.answers].append(one)
    paired: Callable[[list[Said]], list[tuple[Said, Said, float]]] = _cold_pairs if cold else _all_pairs
    found = [pair for many in units.values() for pair in paired(many)]
    first = np.array([one.value for one, _, _ in found], np.float64)
    second = np.array([one.value for _, one, _ in found], np.float64)
    return Twice(
        pairs=GradePairs(
            first=first,
            second=second,
            weight=np.array([weight for _, _, weight in found], np.float64),
            prompt=np.array([one.item_id for one, _, _ in found], np.int64),
            drawn=np.array([one.drawn for _, one, _ in found], np.float64),
        ),
        first_by=np.array([one.annotator for one, _, _ in found], np.str_),
        second_by=np.array([one.annotator for _, one, _ in found], np.str_),
        system=np.array([one.system for one, _, _ in found], np.str_),
        apart=np.abs(first - second) > tolerance + 1e-9,
        cold=cold,
    )


def _all_pairs(said: list[Said]) -> list[tuple[Said, Said, float]]:
    return [(one, two, 1.0) for one, two in combinations(said, 2) if one.annotator != two.annotator]


def _cold_pairs(said: list[Said]) -> list[tuple[Said, Said, float]]:
    found = []
    for cold in (one for one in said if one.cold):
        others = [one for one in said if not one.cold and one.annotator != cold.annotator]
        weight = 1.0 / (cold.chance * max(len(others), 1))
        found += [(one, two, weight) for one, two in product(others, [cold])]
    return found


def _turned(one: Said) -> Said:
    """The same grade of a pair with its answers in the order of their ids."""
    if len(one.answers) == 1 or one.answers[0] <= one.answers[1]:
        return one
    ends = one.system.split(" against ")
    return replace(
        one, answers=one.answers[::-1], value=0.0 - one.value, system=" against ".join(reversed(ends))
    )
