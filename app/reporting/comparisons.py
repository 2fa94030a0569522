"""Is the candidate better than the baseline? POST /comparisons."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from app.domain.calibration import ScoreStatus
from app.domain.ids import show_id
from app.domain.problems import BadInput, NotFound, Problem
from app.reporting.anchor_shift import Standing
from app.reporting.graded_units import GradedUnits
from app.reporting.quality_groups import Groups, group_units
from app.reporting.quality_report import Quality
from app.reporting.quality_rows import estimate
from app.reporting.quality_words import ENOUGH_POOLED, table_warnings
from app.stats.difference import (
    Difference,
    Finding,
    anchor_overlap,
    decide,
    own_difference,
    traffic_covariance,
)
from app.stats.group_quality import MINIMUMS, GroupQuality, pooled_difference_variance
from app.stats.multiplicity import Adjustment, adjusted_p
from app.storage.rubrics import get_rubric

_NO_ANCHORS = "the anchors do not stand for this traffic"
_NOT_CALIBRATED = "raw verdicts cannot decide which system people prefer"


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """Candidate minus baseline within one stratum (all of it, if ``strata`` is empty).

    ``difference`` and ``interval`` are on the criterion's own scale (pairs: win rates); ``p_value`` of no
    difference, ``p_adjusted`` over the rows of ``by``. None where nothing can be said.
    """

    strata: Mapping[str, str | None]
    difference: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    p_adjusted: float | None
    verdict: Finding
    baseline_anchors: int
    candidate_anchors: int
    status: ScoreStatus
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The whole, and one row per stratum if ``by`` asked for it."""

    rubric: str
    criterion: str
    baseline: str
    candidate: str
    margin: float
    level: float
    higher_is_better: bool
    calibration_id: str | None
    calibrated_at: datetime | None
    simulated: bool
    warnings: tuple[str, ...]
    overall: ComparedRow
    rows: tuple[ComparedRow, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """A difference before multiplicity; None where anchors do not suffice."""

    strata: Mapping[str, str | None]
    difference: Difference | None
    baseline_anchors: int
    candidate_anchors: int
    why: tuple[str, ...]


async def compare(
    quality: Quality,
    project_id: int,
    *,
    rubric: str,
    criterion: str,
    baseline: str,
    candidate: str,
    margin: float = 0.0,
    by: Sequence[str] = (),
    level: float = 0.95,
    adjustment: Adjustment = "holm",
) -> Comparison:
    """Compare two systems by human standards.

    Parameters
    ----------
    margin
        Largest difference that does not matter, on the criterion's own scale (pairs: of win rates).
    by
        ``stratum.<name>``: also one row per stratum, with p-values adjusted over them.
    adjustment
        ``holm``: any false claim among the rows at most 1 - ``level``. ``bh``: at most that share of the
        claims are expected to be false; for looking through many strata.

    Raises
    ------
    NotFound
        If there is no such rubric or criterion.
    BadInput
        If a system or stratum is unknown, or both systems are the same.
    """
    version = await get_rubric(quality.db, project_id, rubric)
    if version is None:
        raise NotFound("rubric", rubric)
    if criterion not in {one.name for one in version.rubric.criteria}:
        raise NotFound("criterion", criterion)
    if baseline == candidate:
        problem = Problem("must differ from the baseline", path="body.candidate", value=candidate)
        raise BadInput("a system cannot be compared with itself", [problem])
    ready = await quality.ready(project_id, rubric, criterion)
    if ready is None:
        why = await quality.why_none(project_id, rubric, criterion)
        raw = await quality.uncalibrated(project_id, rubric, criterion)
        anchors = _anchors(raw, _codes(raw, baseline, candidate)) if raw.frame.systems else (0, 0)
        empty = _Found({}, None, *anchors, (*why, _NOT_CALIBRATED))
        nothing = _row(empty, p_equivalent=1.0, level=level, width=1.0, p_adjusted=None)
        upwards, simulated = version.rubric.criterion(criterion).higher_is_better, raw.frame.simulated
        return Comparison(
            rubric, criterion, baseline, candidate, margin, level, upwards, None, None, simulated, (),
            nothing, (),
        )  # fmt: skip
    units, calibration = ready.units, ready.calibration
    codes = _codes(units, baseline, candidate)
    whole, parts, warnings = await asyncio.to_thread(_found, units, codes, by, level)
    stale = calibration.snapshot.get("rubric_version") != version.version
    width = abs(units.shown_width())
    said = list(warnings)
    if ready.left_out:
        said.insert(0, f"{ready.left_out} verdicts came later for answers that were judged before: not in")
    if stale:
        said.insert(0, "the rubric has changed since this calibration")
    rows = _adjusted(parts, margin / width, level, width, adjustment)
    overall = _adjusted([whole], margin / width, level, width, adjustment)[0]
    return Comparison(
        rubric=rubric,
        criterion=criterion,
        baseline=baseline,
        candidate=candidate,
        margin=margin,
        level=level,
        higher_is_better=units.pairwise or units.frame.higher_is_better,
        calibration_id=show_id("c", calibration.id),
        calibrated_at=calibration.finished_at,
        simulated=units.frame.simulated,
        warnings=tuple(said),
        overall=_oriented(_stale(overall, stale), units),
        rows=tuple(_oriented(_stale(row, stale), units) for row in rows),
    )


def _codes(units: GradedUnits, baseline: str, candidate: str) -> tuple[int, int]:
    systems = units.frame.systems
    wrong = [
        Problem("no verdict or human grade of this system", path=f"body.{field}", value=name)
        for field, name in (("baseline", baseline), ("candidate", candidate))
        if name not in systems
    ]
    if wrong:
        raise BadInput("there is nothing to compare", wrong)
    return systems.index(baseline), systems.index(candidate)


def _anchors(units: GradedUnits, codes: tuple[int, int]) -> tuple[int, int]:
    """How many answers (or pairs) of each system people graded."""
    first, second = (int(np.sum((units.system == code) & np.isfinite(units.human))) for code in codes)
    return first, second


def _found(
    units: GradedUnits, codes: tuple[int, int], by: Sequence[str], level: float
) -> tuple[_Found, list[_Found], tuple[str, ...]]:
    names = units.frame.systems[codes[0]], units.frame.systems[codes[1]]
    whole, quality = _differences(units, group_units(units, ("system",)), names, level)
    warnings = table_warnings(units.frame, units.anchoring, quality)
    if not by:
        return whole[0], [], warnings
    unwanted = [
        Problem("compare by strata: stratum.<name>", path="body.by", value=name)
        for name in by
        if name == "system"
    ]
    if unwanted:
        raise BadInput("two systems are compared already", unwanted)
    parts, _ = _differences(units, group_units(units, ("system", *by)), names, level)
    return whole[0], parts, warnings


def _differences(
    units: GradedUnits, groups: Groups, names: tuple[str, str], level: float
) -> tuple[list[_Found], GroupQuality]:
    """Candidate minus baseline in every stratum where both occur, on the unit scale."""
    quality = estimate(units, groups, level, "stream")
    overlap = anchor_overlap(quality.means, len(groups.systems)) if quality.pools else None
    place = {(groups.systems[g], tuple(groups.strata[g].items())): g for g in range(len(groups.systems))}
    found = []
    for (system, strata), a in place.items():
        b = place.get((names[1], strata))
        if system != names[0] or b is None:
            continue
        counts = int(quality.means.n_anchors[a]), int(quality.means.n_anchors[b])
        difference, why = difference_of(units, quality, overlap, a, b)
        if any(units.anchoring.of(units.frame.systems.index(name)) is Standing.REFUSED for name in names):
            difference, why = None, (_NO_ANCHORS,)
        found.append(_Found(dict(strata), difference, *counts, why))
    return found, quality


def difference_of(
    units: GradedUnits, quality: GroupQuality, overlap: NDArray[np.float64] | None, a: int, b: int
) -> tuple[Difference | None, tuple[str, ...]]:
    """Row ``b`` minus row ``a`` on the unit scale, or None and why not. ``overlap`` of pooled rows:
    `anchor_overlap`."""
    why = _lacking(units, quality, a, b)
    if why:
        return None, why
    return _difference(quality, a, b, float(overlap[a, b]) if overlap is not None else 0.0), ()


def _difference(quality: GroupQuality, a: int, b: int, overlap: float) -> Difference:
    means, dispersions = quality.means, quality.dispersions
    if not quality.pools or dispersions is None:
        return own_difference(means, a, b)
    traffic = traffic_covariance(means, a, b)
    variance = pooled_difference_variance(quality, a, b, overlap, traffic)
    df = float(np.min(dispersions.degrees_of_freedom[[a, b]]))
    return Difference(float(means.estimate[b] - means.estimate[a]), variance, max(df, 1.0))


def _lacking(units: GradedUnits, quality: GroupQuality, a: int, b: int) -> tuple[str, ...]:
    if units.anchoring.hopeless:
        return (_NO_ANCHORS,)
    alone = MINIMUMS.prompts_alone_binary if quality.binary else MINIMUMS.prompts_alone
    least = ENOUGH_POOLED if quality.pools else alone
    prompts = quality.means.n_prompts
    few = [
        f"{name}: human grades on {int(prompts[g])} prompts, {least} are needed to compare"
        for name, g in (("baseline", a), ("candidate", b))
        if prompts[g] < least
    ]
    if not few and not quality.pools and min(quality.off_mode[[a, b]]) < MINIMUMS.off_mode:
        few.append("nearly all human grades of one system are the same: no honest error can be given")
    return tuple(few)


def _adjusted(
    found: Sequence[_Found], margin: float, level: float, width: float, adjustment: Adjustment
) -> list[ComparedRow]:
    p = np.array([np.nan if one.difference is None else one.difference.p_different() for one in found])
    same = np.array(
        [np.nan if one.difference is None else one.difference.p_equivalent(margin) for one in found]
    )
    adjusted, same = adjusted_p(p, adjustment), adjusted_p(same, adjustment)
    return [
        _row(one, p_equivalent=float(same[k]), level=level, width=width, p_adjusted=float(adjusted[k]))
        for k, one in enumerate(found)
    ]


def _row(
    found: _Found, *, p_equivalent: float, level: float, width: float, p_adjusted: float | None
) -> ComparedRow:
    counts = found.baseline_anchors, found.candidate_anchors
    if found.difference is None or p_adjusted is None:
        status = ScoreStatus.INSUFFICIENT_ANCHORS if all(counts) else ScoreStatus.JUDGE_RELATIVE
        return ComparedRow(
            found.strata, None, None, None, None, Finding.INCONCLUSIVE, *counts, status, found.why
        )
    low, high = found.difference.interval(level)
    verdict = decide(
        p_different=p_adjusted, p_equivalent=p_equivalent, estimate=found.difference.estimate, level=level
    )
    return ComparedRow(
        strata=found.strata,
        difference=found.difference.estimate * width,
        interval=(low * width, high * width),
        p_value=found.difference.p_different(),
        p_adjusted=p_adjusted,
        verdict=verdict,
        baseline_anchors=counts[0],
        candidate_anchors=counts[1],
        status=ScoreStatus.CALIBRATED,
        warnings=(),
    )


def _stale(row: ComparedRow, stale: bool) -> ComparedRow:
    return replace(row, status=ScoreStatus.STALE) if stale and row.difference is not None else row


def _oriented(row: ComparedRow, units: GradedUnits) -> ComparedRow:
    """Differences as the criterion counts them: where lower is better, a better candidate's is negative."""
    if units.shown_width() > 0 or row.difference is None or row.interval is None:
        return row
    return replace(row, difference=-row.difference, interval=(-row.interval[1], -row.interval[0]))
