"""Every seat of a frame, a judge that was asked about a unit, with a verdict or without one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.calibration.frame import Frame
from app.stats.missingness import others_score

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Seats:
    """s seats on the rows of `GradedUnits` (pairs: a seat once on each of a pair's rows); u are missing.

    Attributes
    ----------
    row, judge : (s,) codes; missing : (s,) no verdict.
    others : (s,) what the other judges say of the row, on 0 to 1 less their means; NaN if none does.
    scored, unscored : (rows,) how many judges gave a verdict and how many gave none.
    missing_row, missing_sd : (u,) the rows of missing seats, and the standard deviation of their judges'
        verdicts on 0 to 1 (0 where a judge never gave two).
    """

    row: Ints
    judge: Ints
    missing: NDArray[np.bool_]
    others: Floats
    scored: Ints
    unscored: Ints
    missing_row: Ints
    missing_sd: Floats


def seats_of(frame: Frame) -> Seats | None:
    """The seats of a frame; None for an old one, which does not know what is missing."""
    if not frame.knows_missing:
        return None
    n, judges, pairs = len(frame.unit_id), len(frame.judges), frame.kind == "pairwise"
    row = np.concatenate([frame.cell_unit, frame.missing_unit]).astype(np.int64)
    judge = np.concatenate([frame.cell_judge, frame.missing_judge]).astype(np.int64)
    missing = np.arange(len(row)) >= len(frame.cell_unit)
    value = frame.cell_value / (2.0 if pairs else 1.0)
    said = np.concatenate([value, np.full(len(frame.missing_unit), np.nan)])
    others = others_score(row=row, judge=judge, value=said, rows=n, judges=judges)
    spread = _spread(frame.cell_judge, value, judges)
    scored = np.bincount(frame.cell_unit, minlength=n)
    unscored = np.bincount(frame.missing_unit, minlength=n)
    if pairs:
        row, judge, missing = np.concatenate([row, row + n]), np.tile(judge, 2), np.tile(missing, 2)
        others, scored, unscored = np.concatenate([others, -others]), np.tile(scored, 2), np.tile(unscored, 2)
    return Seats(
        row, judge, missing, others, scored, unscored, missing_row=row[missing],
        missing_sd=spread[judge[missing]],
    )  # fmt: skip


def _spread(judge: NDArray[np.int32], value: Floats, judges: int) -> Floats:
    """(judges,): the standard deviation of each judge's values."""
    count = np.bincount(judge, minlength=judges)
    mean = np.bincount(judge, value, judges) / np.maximum(count, 1)
    squares = np.bincount(judge, (value - mean[judge]) ** 2, judges)
    return np.sqrt(squares / np.maximum(count - 1, 1))
