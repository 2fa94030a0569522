"""The label planner: how many human grades for which interval, what they cost, what the next ones bring."""

import asyncio
from dataclasses import dataclass

import numpy as np

from app.domain.problems import NotFound
from app.domain.projects import Project
from app.reporting.quality_groups import group_units
from app.reporting.quality_report import Quality
from app.reporting.quality_rows import estimate
from app.stats.label_choice import LEAST_UNIFORM, shares_of_groups
from app.stats.label_plan import grades_for_half_width, guessed_grades, planned_half_widths
from app.storage.rubrics import get_rubric

STEPS = (25, 50, 100, 200, 400, 800)
_MOST = 100_000


@dataclass(frozen=True, slots=True)
class Step:
    """What so many more grades bring: the mean and the widest half-width over systems, and their cost."""

    grades: int
    mean_half_width: float
    widest: float
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class SystemPlan:
    """One system. ``share`` is its part of the next 50 grades; half-widths None where nothing is known."""

    system: str
    n_anchors: int
    half_width: float | None
    after_50: float | None
    share: float


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """The plan of one criterion; half-widths are on the shown scale (for pairs, win rates).

    ``needed`` grades bring the mean half-width to ``target``; None if no number does. ``assumed`` says that
    it rests on a guessed spread and correlation, since nothing has been calibrated; ``steps`` is empty then.
    """

    rubric: str
    criterion: str
    level: float
    half_width: float | None
    target: float
    needed: int | None
    needed_cost_usd: float | None
    assumed: bool
    steps: tuple[Step, ...]
    systems: tuple[SystemPlan, ...]


async def label_plan(
    quality: Quality,
    project: Project,
    *,
    rubric: str,
    criterion: str,
    target: float | None = None,
    level: float = 0.95,
    cost_per_grade: float | None = None,
) -> LabelPlan:
    """Plan further grades; by default for three quarters of today's mean half-width.

    Raises
    ------
    NotFound
        If there is no such rubric or criterion.
    """
    version = await get_rubric(quality.db, project.id, rubric)
    if version is None:
        raise NotFound("rubric", rubric)
    if criterion not in {one.name for one in version.rubric.criteria}:
        raise NotFound("criterion", criterion)
    units, calibrated = await quality.units(project.id, rubric, criterion)
    groups = await asyncio.to_thread(group_units, units, ("system",))
    scale = abs(units.shown_width())

    def cost(grades: int | None) -> float | None:
        return None if cost_per_grade is None or grades is None else grades * cost_per_grade

    found = None
    if calibrated and groups.systems:
        found = await asyncio.to_thread(estimate, units, groups, level, "stream")
    half = np.full(len(groups.systems), np.nan) if found is None else 0.5 * (found.upper - found.lower)
    if found is None or not np.isfinite(half).any():
        aim = 0.05 * scale if target is None else target
        each = guessed_grades(target=aim / scale, level=level) if scale else 0
        needed = each * max(len(groups.systems), 1)
        return LabelPlan(
            *(rubric, criterion, level, None, aim, needed, cost(needed), True, (), ()),
        )
    have = found.means.n_anchors.astype(np.float64)
    spread = np.sqrt(np.nan_to_num(found.means.residual_variance, nan=0.0))
    spread = np.where(spread > 0, spread, max(float(spread.max()), 1e-3))
    room = np.maximum(found.means.n_units - have, 0.0)

    def handed_out(count: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
        """As a draw does: half evenly over what is ungraded, half to those that lack grades."""
        most = min(count, float(room.sum()))
        even = most * LEAST_UNIFORM * room / max(float(room.sum()), 1.0)
        lacking = shares_of_groups(spread=spread, have=have + even, size=room - even, more=most - even.sum())
        return np.asarray(even + lacking)

    aim = 0.75 * float(np.nanmean(half)) * scale if target is None else target
    needed_now = grades_for_half_width(found, handed_out(50), aim / scale, _MOST, level)
    steps = []
    for grades in STEPS:
        if grades <= room.sum():
            after = planned_half_widths(found, handed_out(grades), level) * scale
            steps.append(Step(grades, float(np.nanmean(after)), float(np.nanmax(after)), cost(grades)))
    next_50 = handed_out(50)
    after_50 = planned_half_widths(found, next_50, level) * scale
    return LabelPlan(
        rubric=rubric,
        criterion=criterion,
        level=level,
        half_width=float(np.nanmean(half)) * scale,
        target=aim,
        needed=needed_now,
        needed_cost_usd=cost(needed_now),
        assumed=False,
        steps=tuple(steps),
        systems=tuple(
            SystemPlan(
                system=name or "",
                n_anchors=int(have[g]),
                half_width=_known(half[g] * scale),
                after_50=_known(after_50[g]),
                share=float(next_50[g] / max(next_50.sum(), 1e-12)),
            )
            for g, name in enumerate(groups.systems)
        ),
    )


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
