"""Calibrations: fitted, versioned maps from verdicts to the human scale."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class ScoreStatus(StrEnum):
    """How far a calibrated score may be trusted."""

    CALIBRATED = "calibrated"
    JUDGE_RELATIVE = "judge_relative"
    INSUFFICIENT_ANCHORS = "insufficient_anchors"
    EXTRAPOLATING = "extrapolating"
    STALE = "stale"


class RunStatus(StrEnum):
    """Where a calibration run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


class EffectStatus(StrEnum):
    """Whether a bias can be told from the data at all, and whether there is enough of it."""

    IDENTIFIED = "identified"
    NOT_IDENTIFIED = "not_identified"
    INSUFFICIENT_DATA = "insufficient_data"


@dataclass(frozen=True, slots=True)
class CalibratedScore:
    """The quality a human would have given, on the criterion's own scale.

    For pairs ``score`` is the signed preference in [-1, 1] for the first answer.
    ``score`` and ``interval`` are None where the calibration cannot honestly say anything.
    ``interval`` is for the mean of what humans would say; ``grade_interval`` for one new human grade.
    ``tie_probability`` is of one human's verdict on the pair.
    """

    score: float | None
    interval: tuple[float, float] | None
    level: float
    calibration_id: str | None
    status: ScoreStatus
    warnings: tuple[str, ...] = ()
    grade_interval: tuple[float, float] | None = None
    tie_probability: float | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibration as stored: what it rests on, what was fitted, what it refused.

    ``snapshot`` names rubric versions, judge versions, anchor set versions, counts, the newest
    verdict and a hash of the data; ``model`` holds the fit as JSON-ready values.
    """

    id: int
    rubric: str
    criterion: str
    status: RunStatus
    created_at: datetime
    finished_at: datetime | None
    snapshot: Mapping[str, Any]
    model: Mapping[str, Any]
    refusals: tuple[str, ...]
    error: str | None
