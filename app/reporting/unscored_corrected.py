"""What missing verdicts could have done to the corrected values of a table's rows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from app.reporting.graded_units import GradedUnits
from app.reporting.quality_groups import Groups
from app.reporting.seats import Seats
from app.reporting.unscored import SHIFTS, CorrectedBounds, ShiftedCorrected, Unscored
from app.stats.group_quality import GroupQuality
from app.stats.missing_predictions import Moves, Verdicts, corrected_moves

Ends = tuple[float, float]


def with_corrected(
    found: Sequence[Unscored | None],
    values: Sequence[tuple[float | None, Ends | None]],
    units: GradedUnits,
    seats: Seats,
    groups: Groups,
    quality: GroupQuality,
) -> tuple[Unscored | None, ...]:
    """Each row's missing verdicts with the bounds of its corrected value.

    ``values`` are that and its interval, which moves along with it.
    """
    moves = _moves(units, seats, groups, quality) if len(seats.missing_row) else None
    return tuple(
        one
        if one is None or one.bounds is None or value is None or interval is None
        else replace(one, bounds=replace(one.bounds, corrected=_bounds(value, interval, moves, g, units)))
        for g, (one, (value, interval)) in enumerate(zip(found, values, strict=True))
    )


def _moves(units: GradedUnits, seats: Seats, groups: Groups, quality: GroupQuality) -> Moves:
    frame, n = units.frame, len(units.frame.unit_id)
    row, judge, value = frame.cell_unit.astype(np.int64), frame.cell_judge, frame.cell_value
    if units.pairwise:
        row, judge = np.concatenate([row, row + n]), np.tile(judge, 2)
        value = np.concatenate([0.5 + 0.5 * value, 0.5 - 0.5 * value])
    graded = np.isfinite(units.human)
    weight = graded.astype(float) if units.inclusion is None else np.where(graded, 1.0 / units.inclusion, 0.0)
    return corrected_moves(
        verdicts=Verdicts(
            row, judge, value, seats.missing_row, seats.judge[seats.missing], seats.missing_sd,
            len(frame.judges),
        ),
        group=groups.code, prediction=units.prediction, score=units.score, anchor_weight=weight,
        lam=quality.means.power.lam, own_share=quality.own_share, score_slope=quality.score_slope,
        shifts=SHIFTS,
    )  # fmt: skip


def _bounds(
    corrected: float, interval: Ends, moves: Moves | None, g: int, units: GradedUnits
) -> CorrectedBounds:
    (least, most), width = interval, units.shown_width()
    low_end, high_end = sorted((units.to_shown(0.0), units.to_shown(1.0)))

    def within(value: float) -> float:
        return min(max(value, low_end), high_end)

    def by(move: float) -> ShiftedCorrected:
        return ShiftedCorrected(within(corrected + move), (within(least + move), within(most + move)))

    low, high, shifted = 0.0, 0.0, [0.0] * len(SHIFTS)
    if moves is not None:
        low, high = sorted((float(moves.low[g] * width), float(moves.high[g] * width)))
        shifted = [float(one * width) for one in moves.shifted[:, g]]
    return CorrectedBounds(
        worst_case=(by(low).corrected, by(high).corrected),
        worst_case_interval=(by(low).interval[0], by(high).interval[1]),
        shifted=tuple(by(one) for one in shifted),
    )
