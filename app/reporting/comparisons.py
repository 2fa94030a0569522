"""Is the candidate better than the baseline? POST /comparisons."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.domain.calibration import ScoreStatus
from app.domain.ids import show_id
from app.domain.problems import BadInput, NotFound, Problem
from app.reporting.comparison_rows import (
    ComparedRow,
    Found,
    anchors_of,
    check_strata,
    differences,
    nothing_of,
    settled,
)
from app.reporting.graded_units import GradedUnits
from app.reporting.quality_report import Quality, Ready
from app.reporting.quality_words import table_warnings
from app.stats.multiplicity import Adjustment
from app.storage.rubrics import get_rubric

NOT_CALIBRATED = "raw verdicts cannot decide which system people prefer"


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
        if raw.frame.systems:
            _check_systems(raw, baseline, candidate)
        anchors = [anchors_of(raw, one) if raw.frame.systems else 0 for one in (baseline, candidate)]
        upwards, simulated = version.rubric.criterion(criterion).higher_is_better, raw.frame.simulated
        nothing = nothing_of({}, anchors[0], anchors[1], (*why, NOT_CALIBRATED))
        return Comparison(
            rubric, criterion, baseline, candidate, margin, level, upwards, None, None, simulated, (),
            nothing, (),
        )  # fmt: skip
    units, calibration = ready.units, ready.calibration
    _check_systems(units, baseline, candidate)
    check_strata(by)
    stale = calibration.snapshot.get("rubric_version") != version.version
    whole, parts, warnings = await asyncio.to_thread(_found, ready, by, baseline, candidate, level)

    def rows(found: Sequence[Found]) -> tuple[ComparedRow, ...]:
        widths, margins = [units.shown_width()] * len(found), [margin] * len(found)
        return tuple(as_old(row, stale) for row in settled(found, widths, margins, level, adjustment))

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
        warnings=(*about_calibration(ready, stale), *warnings),
        overall=rows(whole)[0],
        rows=rows(parts),
    )


def about_calibration(ready: Ready, stale: bool) -> tuple[str, ...]:
    """What the calibration does not know."""
    said = ["the rubric has changed since this calibration"] if stale else []
    if ready.left_out:
        said.append(f"{ready.left_out} verdicts came later for answers that were judged before: not in")
    return tuple(said)


def as_old(row: ComparedRow, stale: bool) -> ComparedRow:
    """The row, marked if its calibration is of an older rubric."""
    return replace(row, status=ScoreStatus.STALE) if stale and row.difference is not None else row


def _check_systems(units: GradedUnits, baseline: str, candidate: str) -> None:
    wrong = [
        Problem("no verdict or human grade of this system", path=f"body.{field}", value=name)
        for field, name in (("baseline", baseline), ("candidate", candidate))
        if name not in units.frame.systems
    ]
    if wrong:
        raise BadInput("there is nothing to compare", wrong)


def _found(
    ready: Ready, by: Sequence[str], baseline: str, candidate: str, level: float
) -> tuple[list[Found], list[Found], tuple[str, ...]]:
    units = ready.units
    whole, quality = differences(ready.estimates, (), baseline, [candidate], level)
    parts = differences(ready.estimates, by, baseline, [candidate], level)[0] if by else []
    return whole, parts, table_warnings(units.frame, units.anchoring, quality)
