"""The label planner: how many human grades for which interval, what they cost, what the next ones bring."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from app.domain.problems import NotFound
from app.domain.projects import Project
from app.reporting.estimates import Estimates
from app.reporting.graded_units import GradedUnits
from app.reporting.quality_groups import Groups
from app.reporting.quality_report import Quality
from app.stats.group_quality import GroupQuality
from app.stats.label_choice import LEAST_UNIFORM, shares_of_groups
from app.stats.label_plan import PlannedWidths, grades_for, guessed_grades, planned_widths
from app.storage.rubrics import get_rubric

Floats = NDArray[np.float64]

STEPS = (25, 50, 100, 200, 400, 800)
NEXT = 50
FIRM = 0.1
"""How far to either side the range of a planned width may reach for the plan to be a number."""
_COUNTS = np.unique(np.r_[0, STEPS, np.geomspace(1, 100_000, 11).round()])


@dataclass(frozen=True, slots=True)
class Width:
    """A half-width to come: what is expected, and the range that holds it nine times in ten."""

    half_width: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Step:
    """What so many more grades bring: the mean and the widest half-width over rows, and their cost."""

    grades: int
    mean: Width
    widest: float
    cost_usd: float | None


class Reach(StrEnum):
    """Whether a row's interval can be brought to the target."""

    REACHED = "reached"
    REACHABLE = "reachable"
    TOO_FEW_ANSWERS = "too_few_answers"
    NOT_BY_GRADES = "not_by_grades"


@dataclass(frozen=True, slots=True)
class RowPlan:
    """One system, stratum or both.

    ``share`` is its part of the next 50 grades, ``after_50`` what they bring; half-widths are None where
    there is or will be no interval. ``needed`` grades of its own bring its half-width to the target, None if
    no number does; ``ungraded`` answers with verdicts wait for grades.
    """

    system: str | None
    strata: Mapping[str, str | None]
    n_anchors: int
    ungraded: int
    half_width: float | None
    after_50: Width | None
    share: float
    needed: int | None
    reach: Reach


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """The plan of one criterion; half-widths are on the shown scale (for pairs, win rates).

    ``needed`` grades bring the mean half-width to ``target``; None if no number does. Nine times in ten it
    takes between ``needed_low`` and ``needed_high``; ``firm`` says that the width is then within a tenth of
    the target. ``assumed`` says that it rests on a guessed spread and correlation, since nothing has been
    calibrated; ``steps`` is empty then.
    """

    rubric: str
    criterion: str
    level: float
    half_width: float | None
    target: float
    needed: int | None
    needed_low: int | None
    needed_high: int | None
    firm: bool
    needed_cost_usd: float | None
    assumed: bool
    steps: tuple[Step, ...]
    rows: tuple[RowPlan, ...]


async def label_plan(
    quality: Quality,
    project: Project,
    *,
    rubric: str,
    criterion: str,
    by: Sequence[str] = ("system",),
    target: float | None = None,
    level: float = 0.95,
    cost_per_grade: float | None = None,
) -> LabelPlan:
    """Plan further grades; by default for three quarters of today's mean half-width.

    ``by`` is what intervals are wanted of, as in a quality table.

    Raises
    ------
    NotFound
        If there is no such rubric or criterion.
    BadInput
        If ``by`` names something unknown, or would give too many rows.
    """
    version = await get_rubric(quality.db, project.id, rubric)
    if version is None:
        raise NotFound("rubric", rubric)
    if criterion not in {one.name for one in version.rubric.criteria}:
        raise NotFound("criterion", criterion)
    ready = await quality.ready(project.id, rubric, criterion)
    about = rubric, criterion, level
    if ready is not None and ready.units.frame.systems:
        rested, widths = await asyncio.to_thread(_rested, ready.estimates, by, level)
        if np.isfinite(rested.now).any():
            return _planned(rested, *widths, about, target, cost_per_grade)
    units = await quality.uncalibrated(project.id, rubric, criterion) if ready is None else ready.units
    return _guessed(units, about, target, cost_per_grade)


@dataclass(frozen=True, slots=True)
class _Rested:
    """What a plan rests on: rows with their quality, and S systems whose answers make them up.

    ``now`` (G,) half-widths on the unit scale; ``part`` (S, G) ungraded answers; ``have``, ``spread`` (S,)
    grades, and the standard deviation of what the panel misses.
    """

    units: GradedUnits
    level: float
    groups: Groups
    quality: GroupQuality
    now: Floats
    part: Floats
    have: Floats
    spread: Floats

    def widths(self) -> tuple[PlannedWidths, PlannedWidths]:
        """By `_COUNTS`: of all rows as draws are handed out, and of each row alone."""
        together = np.array([self.handed_out(count) for count in _COUNTS])
        alone = np.repeat(_COUNTS[:, None], self.now.size, axis=1)
        return (
            planned_widths(self.quality, together, self.level),
            planned_widths(self.quality, alone, self.level, each_alone=True),
        )

    def handed_out(self, count: float) -> Floats:
        """(G,) as a draw of ``count`` does: half evenly over what is ungraded, half to systems that lack
        grades; what is beyond the answers there are, as they come. A grade of a pair is one for both systems.
        """
        room = self.part.sum(1)
        count *= 2.0 if self.units.pairwise else 1.0
        most = min(count, float(room.sum()))
        even = most * LEAST_UNIFORM * room / max(float(room.sum()), 1.0)
        lacking = shares_of_groups(
            spread=self.spread, have=self.have + even, size=room - even, more=most - even.sum()
        )
        units = np.bincount(self.groups.code, minlength=self.now.size)
        beyond = (count - most) * units / units.sum()
        return np.asarray(((even + lacking) / np.maximum(room, 1.0)) @ self.part + beyond)


def _rested(
    estimates: Estimates, by: Sequence[str], level: float
) -> tuple[_Rested, tuple[PlannedWidths, PlannedWidths]]:
    """What a plan rests on, and widths by `_COUNTS`, whatever they are aimed at."""

    def compute() -> tuple[_Rested, tuple[PlannedWidths, PlannedWidths]]:
        rested = _rest(estimates, by, level)
        return rested, rested.widths()

    return estimates.once(("label plan", *by, level), compute)


def _rest(estimates: Estimates, by: Sequence[str], level: float) -> _Rested:
    units = estimates.units
    groups, quality = estimates.of(by, level)
    systems, of_systems = estimates.of(("system",), level)
    spread = np.sqrt(np.nan_to_num(of_systems.means.residual_variance, nan=0.0))
    spread = np.where(spread > 0, spread, max(float(spread.max()), 1e-3))
    part = np.zeros((len(systems.systems), len(groups.systems)))
    open_ = np.isnan(units.human) & np.isfinite(units.score)
    np.add.at(part, (systems.code[open_], groups.code[open_]), 1.0)
    return _Rested(
        units, level, groups, quality, 0.5 * (quality.upper - quality.lower), part,
        of_systems.means.n_anchors.astype(np.float64), spread,
    )  # fmt: skip


def _planned(
    rested: _Rested,
    plan: PlannedWidths,
    alone: PlannedWidths,
    about: tuple[str, str, float],
    target: float | None,
    price: float | None,
) -> LabelPlan:
    scale = abs(rested.units.shown_width())
    today = float(np.nanmean(rested.now))
    aim = 0.75 * today if target is None else target / scale
    needed, low, high = (
        grades_for(width, _COUNTS, aim) for width in (plan.mean, plan.mean_low, plan.mean_high)
    )
    reach = max(_at(plan.mean_high / plan.mean, needed) - 1, 1 - _at(plan.mean_low / plan.mean, needed))
    return LabelPlan(
        *about,
        half_width=today * scale,
        target=aim * scale,
        needed=needed,
        needed_low=low,
        needed_high=high,
        firm=needed is not None and reach <= FIRM,
        needed_cost_usd=_cost(needed, price),
        assumed=False,
        steps=tuple(
            Step(
                int(_COUNTS[k]), _width(plan.mean[k], plan.mean_low[k], plan.mean_high[k], scale),
                float(np.nanmax(plan.half[k])) * scale, _cost(int(_COUNTS[k]), price),
            )
            for k in np.flatnonzero(np.isin(_COUNTS, STEPS) & (rested.part.sum() >= _COUNTS))
        ),
        rows=_rows(rested, aim, scale, plan, alone),
    )  # fmt: skip


def _rows(
    rested: _Rested, aim: float, scale: float, plan: PlannedWidths, alone: PlannedWidths
) -> tuple[RowPlan, ...]:
    next_50 = rested.handed_out(NEXT)
    k = int(np.flatnonzero(_COUNTS == NEXT)[0])
    ungraded, means = rested.part.sum(0), rested.quality.means

    def row(g: int) -> RowPlan:
        needed = grades_for(alone.half[:, g], _COUNTS, aim)
        now = float(rested.now[g]) * scale if np.isfinite(rested.now[g]) else None
        after = None
        if np.isfinite(plan.half[k, g]):
            after = _width(plan.half[k, g], plan.low[k, g], plan.high[k, g], scale)
        reach = Reach.REACHABLE
        if now is not None and rested.now[g] <= aim:
            needed, reach = 0, Reach.REACHED
        elif needed is None:
            reach = Reach.NOT_BY_GRADES
        elif needed > ungraded[g]:
            reach = Reach.TOO_FEW_ANSWERS
        return RowPlan(
            rested.groups.systems[g], rested.groups.strata[g], int(means.n_anchors[g]), int(ungraded[g]),
            now, after, float(next_50[g] / max(next_50.sum(), 1e-12)), needed, reach,
        )  # fmt: skip

    return tuple(row(g) for g in range(rested.now.size))


def _guessed(
    units: GradedUnits, about: tuple[str, str, float], target: float | None, price: float | None
) -> LabelPlan:
    """Without a calibration: so many grades of each system."""
    scale = abs(units.shown_width())
    aim = 0.05 * scale if target is None else target
    each = guessed_grades(target=aim / scale, level=about[2]) if scale else 0
    needed = each * max(len(units.frame.systems), 1)
    return LabelPlan(
        *about, None, aim, needed, None, None, False, _cost(needed, price), True, (), ()
    )  # fmt: skip


def _at(values: Floats, grades: int | None) -> float:
    """``values`` by `_COUNTS` at another number."""
    return float(np.interp(np.log1p(grades or 0), np.log1p(_COUNTS), values))


def _width(half: float, low: float, high: float, scale: float) -> Width:
    return Width(float(half) * scale, float(low) * scale, float(high) * scale)


def _cost(grades: int | None, price: float | None) -> float | None:
    return None if price is None or grades is None else grades * price
