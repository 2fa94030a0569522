"""A grade as callers see it: plain values, ready for JSON. Also the body of its callback."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from app.domain.calibration import CalibratedScore
from app.domain.ids import show_id
from app.domain.judging import JudgeVersion, Reply, SecondStage
from app.domain.rubrics import RubricKind
from app.grading.results import Grade, PanelSummary, SeatOutcome

_WINNER = {1: "first", 0: "tie", -1: "second"}


def shown(grade: Grade) -> dict[str, Any]:
    """The grade as documented by `GradeOut`."""
    kind, answers = grade.rubric.rubric.kind, len(grade.item.answers)
    return {
        "grade_id": show_id("g", grade.id),
        "status": grade.status.value,
        "simulated": grade.simulated,
        "seed": grade.seed,
        "rubric": grade.rubric.rubric.name,
        "rubric_version": grade.rubric.version,
        "item_id": grade.item.item_id,
        "systems": [answer.system for answer in grade.item.answers],
        "created_at": grade.created_at,
        "finished_at": grade.finished_at,
        "seats": [_seat(outcome, kind, answers, grade.second) for outcome in grade.seats],
        "raw": {name: _listed(kind, [_raw(one) for one in units]) for name, units in grade.raw.items()},
        "calibrated": {
            name: _listed(kind, [_calibrated(grade, one) for one in units])
            for name, units in grade.calibrated.items()
        },
        "second_stage": _second(grade.second),
        "cost_usd": round(grade.cost_usd, 9),
        "warnings": grade.warnings,
    }


def why_failed(grade: Grade) -> str:
    """How many seats failed for which reason."""
    reasons = Counter(
        outcome.reply.unscored.reason.value
        for outcome in grade.seats
        if outcome.reply is not None and outcome.reply.unscored is not None
    )
    counts = ", ".join(f"{count} × {reason}" for reason, count in sorted(reasons.items()))
    return f"no seat gave a verdict ({counts}); the grade {show_id('g', grade.id)} is stored"


@lru_cache(maxsize=1024)
def _digest(judge: JudgeVersion) -> str:
    return judge.digest()


def _second(second: SecondStage | None) -> dict[str, Any] | None:
    if second is None:
        return None
    return {name: getattr(second, name) for name in ("chance", "asked", "seats", "width", "gap")}


def _seat(outcome: SeatOutcome, kind: RubricKind, answers: int, second: SecondStage | None) -> dict[str, Any]:
    seat, reply = outcome.seat, outcome.reply
    judge = seat.judge
    out: dict[str, Any] = {
        "position": seat.position,
        "judge": judge.name,
        "judge_version": _digest(judge),
        "model": judge.model,
        "family": judge.family,
        "order": seat.order,
        "inclusion_probability": seat.inclusion_probability,
        "stage": 1 if second is None or seat.position < second.position else 2,
        "replaces": seat.replaces,
        "scores": None,
        "expected_scores": None,
        "preference": None,
        "rationale": None,
        "unscored": None,
        "latency_ms": None,
        "cost_usd": None,
        "attempts": None,
        "cached": None,
    }
    if reply is not None:
        out["rationale"] = reply.rationale
        out["latency_ms"] = round(reply.latency_ms, 2)
        out["cost_usd"] = reply.usage.cost_usd
        out["attempts"] = reply.usage.attempts
        out["cached"] = reply.cached
        if reply.unscored is not None:
            out["unscored"] = {"reason": reply.unscored.reason.value, "detail": reply.unscored.detail}
        else:
            out.update(_scores(reply, kind, answers))
    return out


def _scores(reply: Reply, kind: RubricKind, answers: int) -> dict[str, Any]:
    expected: dict[str, Any] = {}
    if kind is RubricKind.LISTWISE:
        values: dict[str, list[float | None]] = {}
        for score in reply.scores:
            values.setdefault(score.criterion, [None] * answers)[score.answer] = score.value
            if score.expected is not None:
                expected.setdefault(score.criterion, [None] * answers)[score.answer] = score.expected
        return {"scores": values, "expected_scores": expected or None}
    for score in reply.scores:
        if score.expected is not None:
            expected[score.criterion] = score.expected
    if kind is RubricKind.PAIRWISE:
        wins = {score.criterion: _WINNER[(score.value > 0) - (score.value < 0)] for score in reply.scores}
        return {"preference": wins, "expected_scores": expected or None}
    return {
        "scores": {score.criterion: score.value for score in reply.scores},
        "expected_scores": expected or None,
    }


def _listed(kind: RubricKind, units: Sequence[Any]) -> Any:
    return units if kind is RubricKind.LISTWISE else units[0] if units else None


def _raw(summary: PanelSummary | None) -> dict[str, Any] | None:
    if summary is None:
        return None
    return {"mean": summary.mean, "spread": summary.spread, "seats": summary.seats}


def _calibrated(grade: Grade, score: CalibratedScore) -> dict[str, Any]:
    out: dict[str, Any] = {
        "level": score.level,
        "calibration_id": score.calibration_id,
        "status": score.status.value,
        "warnings": score.warnings,
    }
    if grade.rubric.rubric.kind is not RubricKind.PAIRWISE:
        return {
            "score": score.score,
            "interval": score.interval,
            "grade_interval": score.grade_interval,
            **out,
        }
    first, second = grade.item.answers
    preference = {
        "first_system": first.system,
        "second_system": second.system,
        "probability": None if score.score is None else _win_share(score.score),
        "interval": None if score.interval is None else tuple(map(_win_share, score.interval)),
        "tie_probability": score.tie_probability,
    }
    return {"preference": preference, **out}


def _win_share(signed: float) -> float:
    """From the signed scale (-1: the second always wins) to the share of wins, half of the ties counted."""
    return min(max((1 + signed) / 2, 0.0), 1.0)
