"""One row of a quality table: what is known of a system or a stratum, on the criterion's own scale."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.domain.calibration import ScoreStatus
from app.reporting.anchor_shift import Standing
from app.reporting.graded_units import GradedUnits
from app.reporting.quality_groups import Groups
from app.reporting.quality_words import row_status
from app.reporting.unscored import Unscored, row_warnings, unscored_rows
from app.reporting.unscored_corrected import with_corrected
from app.stats.group_quality import GroupQuality, group_quality
from app.stats.rectifier import Population

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class QualityRow:
    """One system, stratum or both. Values are on the criterion's own scale, for pairs win rates in [0, 1].

    ``rectifier`` is ``corrected`` - ``raw_mean``. ``anchors_stand``: how the row's anchors compare with its
    traffic, and what was done about it. ``unscored``: its missing verdicts. What cannot be said is None,
    with ``status`` and ``warnings`` saying why.
    """

    system: str | None
    strata: Mapping[str, str | None]
    n_items: int
    n_anchors: int
    raw_mean: float | None
    corrected: float | None
    interval: tuple[float, float] | None
    rectifier: float | None
    effective_sample_size: float | None
    status: ScoreStatus
    warnings: tuple[str, ...]
    anchors_stand: Standing = Standing.NOT_TESTED
    unscored: Unscored | None = None


def estimate(units: GradedUnits, groups: Groups, level: float, population: Population) -> GroupQuality:
    """Every row's quality on the unit scale; with an interval that holds both answers where anchors do not
    stand for the traffic and weights cannot mend it."""
    found = _estimate(units, groups, level, population, units.inclusion)
    if units.other_inclusion is None:
        return found
    other = _estimate(units, groups, level, population, units.other_inclusion)
    return replace(found, lower=np.fmin(found.lower, other.lower), upper=np.fmax(found.upper, other.upper))


def _estimate(
    units: GradedUnits, groups: Groups, level: float, population: Population, inclusion: Floats | None
) -> GroupQuality:
    return group_quality(
        group=groups.code,
        prompt=units.prompt,
        prediction=units.prediction,
        human=units.human,
        groups=len(groups.systems),
        panel_score=units.score,
        reliability=units.reliability,
        length=units.length,
        inclusion=inclusion,
        level=level,
        population=population,
        lam_max=np.inf,
    )


def rows_of(units: GradedUnits, groups: Groups, quality: GroupQuality | None) -> tuple[QualityRow, ...]:
    """The rows by their ``quality``; None without a calibration: they then say what was seen."""
    count = len(groups.systems)
    items = np.bincount(groups.code, minlength=count)
    raw = _means(units.raw, groups.code, count)
    if quality is None:
        anchors = np.bincount(groups.code, ~np.isnan(units.human), count).astype(int)
        return tuple(
            _bare_row(units, groups, g, int(items[g]), int(anchors[g]), float(raw[g])) for g in range(count)
        )
    return tuple(_row(units, groups, quality, g, int(items[g]), float(raw[g])) for g in range(count))


def _row(
    units: GradedUnits, groups: Groups, quality: GroupQuality, g: int, items: int, raw: float
) -> QualityRow:
    system = groups.systems[g]
    code = None if system is None else units.frame.systems.index(system)
    status, warnings = row_status(quality, g, units.anchoring, code)
    standing = units.anchoring.of(code)
    shown = np.isfinite(quality.estimate[g]) and standing is not Standing.REFUSED
    corrected = units.to_shown(float(quality.estimate[g])) if shown else None
    raw_mean = units.to_shown(raw) if np.isfinite(raw) else None
    interval = None
    if shown:
        ends = units.to_shown(float(quality.lower[g])), units.to_shown(float(quality.upper[g]))
        interval = (min(ends), max(ends))
    size = float(quality.effective_sample_size[g])
    return QualityRow(
        system=system,
        strata=groups.strata[g],
        n_items=items,
        n_anchors=int(quality.means.n_anchors[g]),
        raw_mean=raw_mean,
        corrected=corrected,
        interval=interval,
        rectifier=None if corrected is None or raw_mean is None else corrected - raw_mean,
        effective_sample_size=size if shown and np.isfinite(size) else None,
        status=status,
        warnings=warnings,
        anchors_stand=standing if quality.means.n_anchors[g] else Standing.NOT_TESTED,
    )


def _bare_row(units: GradedUnits, groups: Groups, g: int, items: int, anchors: int, raw: float) -> QualityRow:
    status = ScoreStatus.INSUFFICIENT_ANCHORS if anchors else ScoreStatus.JUDGE_RELATIVE
    return QualityRow(
        system=groups.systems[g],
        strata=groups.strata[g],
        n_items=items,
        n_anchors=anchors,
        raw_mean=units.to_shown(raw) if np.isfinite(raw) else None,
        corrected=None,
        interval=None,
        rectifier=None,
        effective_sample_size=None,
        status=status,
        warnings=("not calibrated: raw verdicts can only be compared with each other",),
    )


def with_unscored(
    rows: tuple[QualityRow, ...],
    units: GradedUnits,
    groups: Groups,
    level: float,
    quality: GroupQuality | None,
) -> tuple[QualityRow, ...]:
    """The rows with their missing verdicts, what these could have done to them, and a warning where they go
    along with quality; ``quality`` is what the rows rest on, None without a calibration."""
    found = unscored_rows(units, groups, level)
    said = row_warnings(found, units.frame.higher_is_better)
    if quality is not None and units.seats is not None:
        values = [(row.corrected, row.interval) for row in rows]
        found = with_corrected(found, values, units, units.seats, groups, quality)
    return tuple(
        replace(row, unscored=one, warnings=row.warnings if warning is None else (*row.warnings, warning))
        for row, one, warning in zip(rows, found, said, strict=True)
    )


def stale_row(row: QualityRow) -> QualityRow:
    if row.status is not ScoreStatus.CALIBRATED:
        return row
    return replace(row, status=ScoreStatus.STALE)


def _means(values: Floats, code: Ints, groups: int) -> Floats:
    known = np.isfinite(values)
    count = np.bincount(code[known], minlength=groups)
    total = np.bincount(code[known], values[known], groups)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
