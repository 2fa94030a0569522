"""The second stage of a panel: with which chance its judges are asked, and the draw.

Judges of the first stage are a random part of the panel. What they said settles the chance p of asking the
others,

    p = min(1, p_min + (1 - p_min) ((w / wide)^2 + (g / apart)^2)),

w the width of the widest calibrated interval and g the largest gap between two of the first judges, over all
criteria and answers, as shares of the scale. Without a calibration, or with one judge, that part is 0; where
no first judge gave a verdict p is 1. p hangs on the first stage alone, the draw on the panel's seed and the
texts, and both are stored before any judge of the second stage is called: estimates can correct for it
(`app.stats.two_phase`).
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from app.domain.ids import content_id
from app.domain.items import Item
from app.domain.judging import Assignment, JudgeVersion, SecondStage, Stages
from app.domain.rubrics import RubricKind, RubricVersion
from app.grading.results import Calibrated, SeatOutcome, scored


def draw_second(
    stages: Stages,
    assignment: Assignment,
    rubric: RubricVersion,
    item: Item,
    outcomes: Sequence[SeatOutcome],
    calibrated: Calibrated,
    position: int,
) -> Assignment:
    """The assignment with its second stage drawn: the seats that waited are among its seats, or nowhere.

    ``outcomes`` are of the first stage, ``calibrated`` is what they say, ``position`` the next free one.
    Items with one seed, as callers may have it, are drawn apart.
    """
    gap, silent = widest_gap(rubric, len(item.answers), outcomes)
    width = widest_interval(rubric, calibrated)
    chance = 1.0 if silent else chance_of_second(stages, width=width, gap=gap)
    texts = (item.prompt, *(answer.text for answer in item.answers))
    asked = Random(content_id("second stage", assignment.seed, *texts)).random() < chance
    second = SecondStage(chance, asked, width, gap, len(assignment.waiting), position)
    later = tuple(
        replace(seat, position=position + k, inclusion_probability=chance * seat.inclusion_probability)
        for k, seat in enumerate(assignment.waiting)
    )
    known = tuple(one.seat for one in outcomes)
    seats = (*known, *later) if asked else known
    return replace(assignment, seats=seats, waiting=(), second=second)


def chance_of_second(stages: Stages, *, width: float | None, gap: float | None) -> float:
    """p of the module's equation; ``width`` and ``gap`` as shares of the scale, None unknown."""
    need = ((width or 0.0) / stages.wide) ** 2 + ((gap or 0.0) / stages.apart) ** 2
    return min(1.0, stages.least_chance + (1.0 - stages.least_chance) * need)


def widest_interval(rubric: RubricVersion, calibrated: Calibrated) -> float | None:
    """The widest calibrated interval as a share of its criterion's scale; None if there is none."""
    widths = [
        (one.interval[1] - one.interval[0]) / _range(rubric, criterion)
        for criterion, units in calibrated.items()
        for one in units
        if one.interval is not None
    ]
    return max(widths, default=None)


def widest_gap(
    rubric: RubricVersion, answers: int, outcomes: Sequence[SeatOutcome]
) -> tuple[float | None, bool]:
    """The largest gap between two judges on one answer and criterion, as a share of the scale (None: nowhere
    did two give a verdict), and whether some answer has no verdict at all."""
    units = 1 if rubric.rubric.kind is RubricKind.PAIRWISE else answers
    values: dict[tuple[str, int], dict[JudgeVersion, list[float]]] = {
        (criterion.name, unit): {} for criterion in rubric.rubric.criteria for unit in range(units)
    }
    for seat, reply in scored(outcomes):
        for score in reply.scores:
            values[score.criterion, score.answer].setdefault(seat.judge, []).append(score.value)
    gaps = []
    for (criterion, _), by_judge in values.items():
        means = [sum(said) / len(said) for said in by_judge.values()]
        if len(means) > 1:
            gaps.append((max(means) - min(means)) / _range(rubric, criterion))
    return max(gaps, default=None), not all(values.values())


def _range(rubric: RubricVersion, criterion: str) -> float:
    if rubric.rubric.kind is RubricKind.PAIRWISE:
        return 2.0
    scale = rubric.rubric.criterion(criterion).scale
    return scale.high - scale.low
