"""Several candidates on several criteria against one baseline, adjusted over all of it at once."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.ids import show_id
from app.domain.problems import BadInput, NotFound, Problem
from app.domain.rubrics import RubricVersion
from app.reporting.comparison_rows import (
    ComparedRow,
    Found,
    anchors_of,
    check_strata,
    differences,
    settled,
)
from app.reporting.comparisons import NOT_CALIBRATED, about_calibration, as_old
from app.reporting.quality_groups import MOST_ROWS
from app.reporting.quality_report import Quality, Ready
from app.reporting.quality_words import table_warnings
from app.stats.multiplicity import Adjustment
from app.storage.rubrics import get_rubric


@dataclass(frozen=True, slots=True)
class CriterionBasis:
    """What the rows of one criterion rest on."""

    criterion: str
    margin: float
    higher_is_better: bool
    calibration_id: str | None
    calibrated_at: datetime | None
    simulated: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """A candidate less the baseline on one criterion, over everything or in one stratum."""

    criterion: str
    candidate: str
    row: ComparedRow


@dataclass(frozen=True, slots=True)
class ComparisonTable:
    """Rows by criterion, then candidate, then stratum; ``compared`` is how many of them got a p-value."""

    rubric: str
    baseline: str
    level: float
    adjustment: Adjustment
    criteria: tuple[CriterionBasis, ...]
    compared: int
    rows: tuple[CandidateRow, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """One criterion before multiplicity; ``width`` is None without a calibration."""

    basis: CriterionBasis
    width: float | None
    stale: bool
    found: tuple[Found, ...]


async def compare_all(
    quality: Quality,
    project_id: int,
    *,
    rubric: str,
    criteria: Sequence[str] = (),
    baseline: str,
    candidates: Sequence[str] = (),
    margin: float = 0.0,
    margins: Mapping[str, float] | None = None,
    by: Sequence[str] = (),
    level: float = 0.95,
    adjustment: Adjustment = "holm",
) -> ComparisonTable:
    """Compare every candidate with the baseline on every criterion.

    Parameters
    ----------
    criteria, candidates
        All of the rubric, and all other systems, if empty.
    margin, margins
        Largest difference that does not matter, on a criterion's own scale: of all, and of single criteria.
    by
        ``stratum.<name>``: also one row per stratum.
    adjustment
        Over all rows: ``holm``: any false claim at most 1 - ``level``; ``bh``: at most that share of claims.

    Raises
    ------
    NotFound
        If there is no such rubric.
    BadInput
        If a criterion, system or stratum is unknown, or there are more than `MOST_ROWS` rows.
    """
    version = await get_rubric(quality.db, project_id, rubric)
    if version is None:
        raise NotFound("rubric", rubric)
    known = [one.name for one in version.rubric.criteria]
    asked = list(dict.fromkeys(criteria)) or known
    chosen = list(dict.fromkeys(candidates))
    wrong = [
        Problem(f"is none of {', '.join(known)}", path="body.criteria", value=name)
        for name in asked
        if name not in known
    ]
    wrong += [
        Problem("is none of the criteria asked for", path="body.margins", value=name)
        for name in margins or {}
        if name not in asked
    ]
    if baseline in chosen:
        wrong.append(Problem("must differ from the baseline", path="body.candidates", value=baseline))
    if wrong:
        raise BadInput("this cannot be compared", wrong)
    check_strata(by)
    units = {name: (await quality.units(project_id, rubric, name))[0] for name in asked}
    systems = list(dict.fromkeys(one for name in asked for one in units[name].frame.systems))
    wrong = [
        Problem("no verdict or human grade of this system", path=path, value=name)
        for path, names in (("body.baseline", [baseline]), ("body.candidates", chosen))
        for name in names
        if name not in systems
    ]
    if wrong:
        raise BadInput("there is nothing to compare", wrong)
    chosen = chosen or sorted(one for one in systems if one != baseline)
    _check_size(len(asked) * len(chosen))
    parts = []
    for name in asked:
        own = (margins or {}).get(name, margin)
        parts.append(await _part(quality, project_id, version, name, baseline, chosen, own, tuple(by), level))
    _check_size(sum(len(part.found) for part in parts))
    return _table(rubric, baseline, parts, level, adjustment)


def _check_size(rows: int) -> None:
    if rows > MOST_ROWS:
        text = f"would give {rows} rows, {MOST_ROWS} are the most"
        raise BadInput("too many rows", [Problem(text, path="body.candidates")])


async def _part(
    quality: Quality, project_id: int, version: RubricVersion, criterion: str, baseline: str,
    candidates: Sequence[str], margin: float, by: tuple[str, ...], level: float,
) -> _Part:  # fmt: skip
    rubric, upwards = version.rubric.name, version.rubric.criterion(criterion).higher_is_better
    ready = await quality.ready(project_id, rubric, criterion)
    if ready is None:
        why = await quality.why_none(project_id, rubric, criterion)
        raw = await quality.uncalibrated(project_id, rubric, criterion)
        counts = {one: anchors_of(raw, one) for one in raw.frame.systems}
        found = tuple(
            Found(one, {}, None, counts.get(baseline, 0), counts.get(one, 0), (*why, NOT_CALIBRATED))
            for one in candidates
        )
        basis = CriterionBasis(criterion, margin, upwards, None, None, raw.frame.simulated, ())
        return _Part(basis, None, False, found)
    units, calibration = ready.units, ready.calibration
    stale = calibration.snapshot.get("rubric_version") != version.version
    compared, warnings = await asyncio.to_thread(_compared, ready, by, baseline, candidates, level)
    basis = CriterionBasis(
        criterion, margin, units.pairwise or units.frame.higher_is_better, show_id("c", calibration.id),
        calibration.finished_at, units.frame.simulated, (*about_calibration(ready, stale), *warnings),
    )  # fmt: skip
    return _Part(basis, units.shown_width(), stale, compared)


def _compared(
    ready: Ready, by: tuple[str, ...], baseline: str, candidates: Sequence[str], level: float
) -> tuple[tuple[Found, ...], tuple[str, ...]]:
    """Of every candidate first everything, then its strata."""
    units = ready.units
    whole, quality = differences(ready.estimates, (), baseline, candidates, level)
    parts = differences(ready.estimates, by, baseline, candidates, level)[0] if by else []
    of = {one.candidate: one for one in whole}
    counts = {one: anchors_of(units, one) for one in units.frame.systems}
    absent = ("no verdict or human grade of one of the systems on this criterion",)
    found = []
    for one in candidates:
        nothing = Found(one, {}, None, counts.get(baseline, 0), counts.get(one, 0), absent)
        found += [of.get(one, nothing), *(part for part in parts if part.candidate == one)]
    return tuple(found), table_warnings(units.frame, units.anchoring, quality)


def _table(
    rubric: str, baseline: str, parts: Sequence[_Part], level: float, adjustment: Adjustment
) -> ComparisonTable:
    every = [(part, one) for part in parts for one in part.found]
    # of rows without a calibration nothing is settled: any width does
    settled_rows = settled(
        [one for _, one in every],
        [1.0 if part.width is None else part.width for part, _ in every],
        [part.basis.margin for part, _ in every],
        level,
        adjustment,
    )
    rows = tuple(
        CandidateRow(part.basis.criterion, one.candidate, as_old(row, part.stale))
        for (part, one), row in zip(every, settled_rows, strict=True)
    )
    compared = sum(one.row.p_value is not None for one in rows)
    return ComparisonTable(
        rubric, baseline, level, adjustment, tuple(part.basis for part in parts), compared, rows
    )
