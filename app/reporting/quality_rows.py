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
from app.reporting.seats import Seats
from app.reporting.unscored import (
    SHIFTS,
    CorrectedBounds,
    ShiftedCorrected,
    Unscored,
    row_warnings,
    unscored_rows,
)
from app.stats.group_quality import GroupQuality, group_quality
from app.stats.missing_predictions import Moves, corrected_moves
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
    found = plain_estimate(units, groups, level, population, units.inclusion)
    if units.other_inclusion is None:
        return found
    other = plain_estimate(units, groups, level, population, units.other_inclusion)
    return replace(found, lower=np.fmin(found.lower, other.lower), upper=np.fmax(found.upper, other.upper))


def plain_estimate(
    units: GradedUnits, groups: Groups, level: float, population: Population, inclusion: Floats | None,
    lam: float | None = None,
) -> GroupQuality:  # fmt: skip
    """The same under one set of weights; ``lam``: the power tuning, found by default."""
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
        lam=lam,
        lam_max=np.inf,
    )


def quality_rows(
    units: GradedUnits, groups: Groups, level: float, population: Population, calibrated: bool
) -> tuple[tuple[QualityRow, ...], GroupQuality | None]:
    count = len(groups.systems)
    items = np.bincount(groups.code, minlength=count)
    anchors = np.bincount(groups.code, ~np.isnan(units.human), count).astype(int)
    raw = _means(units.raw, groups.code, count)
    if not calibrated or not count:
        rows = tuple(
            _bare_row(units, groups, g, int(items[g]), int(anchors[g]), float(raw[g])) for g in range(count)
        )
        return rows, None
    quality = estimate(units, groups, level, population)
    return (
        tuple(_row(units, groups, quality, g, int(items[g]), float(raw[g])) for g in range(count)),
        quality,
    )


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
    rows: tuple[QualityRow, ...], units: GradedUnits, groups: Groups, level: float, population: Population,
    quality: GroupQuality | None,
) -> tuple[QualityRow, ...]:  # fmt: skip
    """The rows with their missing verdicts, what these could have done to them, and a warning where they go
    along with quality; ``quality`` is what the rows rest on, None without a calibration."""
    found = unscored_rows(units, groups, level)
    said = row_warnings(found, units.frame.higher_is_better)
    if quality is not None and units.seats is not None:
        moves = _moves(units, groups, level, population, quality.means.power.lam, units.seats)
        found = tuple(
            _with_corrected(one, row, moves, g, units)
            for g, (one, row) in enumerate(zip(found, rows, strict=True))
        )
    return tuple(
        replace(row, unscored=one, warnings=row.warnings if warning is None else (*row.warnings, warning))
        for row, one, warning in zip(rows, found, said, strict=True)
    )


def _moves(
    units: GradedUnits, groups: Groups, level: float, population: Population, lam: float, seats: Seats
) -> Moves | None:
    """None where nothing is missing."""
    if not len(seats.missing_row):
        return None

    def moved(prediction: Floats, score: Floats) -> Floats:
        other = replace(units, prediction=prediction, score=score)
        return plain_estimate(other, groups, level, population, units.inclusion, lam).estimate

    return corrected_moves(
        estimate=moved, prediction=units.prediction, score=units.score, values=units.judge_values(),
        group=groups.code, graded=np.isfinite(units.human), missing_row=seats.missing_row,
        missing_judge=seats.judge[seats.missing], missing_sd=seats.missing_sd, shifts=SHIFTS,
    )  # fmt: skip


def _with_corrected(
    found: Unscored | None, row: QualityRow, moves: Moves | None, g: int, units: GradedUnits
) -> Unscored | None:
    """With the bounds of the corrected value, where there are any: its interval moves along with it."""
    if found is None or found.bounds is None or row.corrected is None or row.interval is None:
        return found
    corrected, (least, most), width = row.corrected, row.interval, units.shown_width()
    ends = (units.to_shown(0.0), units.to_shown(1.0))

    def within(value: float) -> float:
        return float(np.clip(value, min(ends), max(ends)))

    def by(move: float) -> ShiftedCorrected:
        return ShiftedCorrected(within(corrected + move), (within(least + move), within(most + move)))

    def of(moved: float) -> float:
        return float(moved * width) if np.isfinite(moved) else 0.0

    low, high, shifted = 0.0, 0.0, [0.0] * len(SHIFTS)
    if moves is not None:
        low, high = sorted((of(moves.low[g]), of(moves.high[g])))
        shifted = [of(one) for one in moves.shifted[:, g]]
    bounds = CorrectedBounds(
        worst_case=(by(low).corrected, by(high).corrected),
        worst_case_interval=(by(low).interval[0], by(high).interval[1]),
        shifted=tuple(by(one) for one in shifted),
    )
    return replace(found, bounds=replace(found.bounds, corrected=bounds))


def stale_row(row: QualityRow) -> QualityRow:
    if row.status is not ScoreStatus.CALIBRATED:
        return row
    return replace(row, status=ScoreStatus.STALE)


def _means(values: Floats, code: Ints, groups: int) -> Floats:
    known = np.isfinite(values)
    count = np.bincount(code[known], minlength=groups)
    total = np.bincount(code[known], values[known], groups)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
