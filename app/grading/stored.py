"""A grade as it comes back from storage, and what of it is stored beside its seats and replies."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.domain.calibration import CalibratedScore, ScoreStatus
from app.grading.results import Grade, SeatOutcome, Status, summarise
from app.storage.grades import StoredGrade


def as_stored(calibrated: Mapping[str, Sequence[CalibratedScore]], warnings: Sequence[str]) -> dict[str, Any]:
    """What was derived when the grade was finished, as JSON-ready values: a later reading says the same."""
    scores = {criterion: [_score_out(one) for one in units] for criterion, units in calibrated.items()}
    return {"calibrated": scores, "warnings": list(warnings)}


def from_storage(stored: StoredGrade) -> Grade:
    """The grade with its raw summary computed anew and its calibrated scores as they were."""
    seats = tuple(SeatOutcome(seat, stored.replies.get(seat.position)) for seat in stored.assignment.seats)
    answered = stored.answered or {}
    finished = stored.status.value != Status.PENDING
    return Grade(
        id=stored.assigned.id,
        status=Status(stored.status.value),
        rubric=stored.assigned.rubric,
        item=stored.item,
        seed=stored.assignment.seed,
        seats=seats,
        created_at=stored.created_at,
        finished_at=stored.finished_at,
        simulated=all(outcome.seat.judge.simulated for outcome in seats),
        raw=summarise(stored.assigned.rubric, len(stored.item.answers), seats) if finished else {},
        calibrated={
            criterion: [_score_in(one) for one in units]
            for criterion, units in answered.get("calibrated", {}).items()
        },
        warnings=tuple(answered.get("warnings", ())),
        second=stored.assignment.second,
    )


def _score_out(score: CalibratedScore) -> dict[str, Any]:
    return {
        "score": score.score,
        "interval": score.interval,
        "level": score.level,
        "calibration_id": score.calibration_id,
        "status": score.status.value,
        "warnings": score.warnings,
        "grade_interval": score.grade_interval,
        "tie_probability": score.tie_probability,
    }


def _score_in(raw: Mapping[str, Any]) -> CalibratedScore:
    return CalibratedScore(
        score=raw["score"],
        interval=_ends(raw["interval"]),
        level=raw["level"],
        calibration_id=raw["calibration_id"],
        status=ScoreStatus(raw["status"]),
        warnings=tuple(raw["warnings"]),
        grade_interval=_ends(raw["grade_interval"]),
        tie_probability=raw["tie_probability"],
    )


def _ends(raw: Sequence[float] | None) -> tuple[float, float] | None:
    return None if raw is None else (raw[0], raw[1])
