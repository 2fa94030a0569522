"""All that a grade's page shows, as files."""

from collections.abc import Sequence

from app.auditing.similar_anchors import SimilarAnchor
from app.calibration.explain import Explained
from app.grading.results import Grade
from app.web.pages.anchors_beside import anchor_table
from app.web.pages.tables import Cell, DataTable


def grade_tables(
    grade: Grade, explained: Sequence[Explained], anchors: Sequence[SimilarAnchor]
) -> tuple[DataTable, ...]:
    """Results, seats, what each verdict was worth, and similar anchors; pairs signed for the first answer."""
    return (_results(grade), _seats(grade), _parts(explained), anchor_table(anchors))


def _results(grade: Grade) -> DataTable:
    columns = (
        *("criterion", "answer", "raw_mean", "raw_spread", "seats", "calibrated", "low", "high", "level"),
        *("status", "calibration_id"),
    )
    rows: list[tuple[Cell, ...]] = []
    for criterion in grade.rubric.rubric.criteria:
        raw, scores = grade.raw.get(criterion.name, ()), grade.calibrated.get(criterion.name, ())
        for k in range(max(len(raw), len(scores))):
            mean = raw[k] if k < len(raw) else None
            score = scores[k] if k < len(scores) else None
            low, high = (score.interval if score else None) or (None, None)
            rows.append((
                criterion.name, k, mean.mean if mean else None, mean.spread if mean else None,
                mean.seats if mean else None, score.score if score else None, low, high,
                score.level if score else None, score.status.value if score else None,
                score.calibration_id if score else None,
            ))  # fmt: skip
    return DataTable("results", columns, rows)


def _seats(grade: Grade) -> DataTable:
    columns = (
        *(
            "seat",
            "judge",
            "version",
            "family",
            "order",
            "chance",
            "criterion",
            "answer",
            "value",
            "expected",
        ),
        *("unscored", "rationale", "latency_ms", "cost_usd", "attempts"),
    )
    rows: list[tuple[Cell, ...]] = []
    for one in grade.seats:
        seat, reply = one.seat, one.reply
        about = (
            seat.position, seat.judge.name, seat.judge.digest(), seat.judge.family,
            " ".join(str(place) for place in seat.order), seat.inclusion_probability,
        )  # fmt: skip
        missing = None if reply is None or reply.unscored is None else reply.unscored.reason.value
        after: tuple[Cell, ...] = (missing, None, None, None, None)
        if reply is not None:
            usage = reply.usage
            after = (missing, reply.rationale, reply.latency_ms, usage.cost_usd, usage.attempts)
        scores = () if reply is None else reply.scores
        rows += [(*about, s.criterion, s.answer, s.value, s.expected, *after) for s in scores]
        if not scores:
            rows.append((*about, None, None, None, None, *after))
    return DataTable("seats", columns, rows)


def _parts(explained: Sequence[Explained]) -> DataTable:
    columns = ("criterion", "answer", "part", "seat", "judge", "value", "weight", "points")
    rows: list[tuple[Cell, ...]] = []
    for one in explained:
        rows.append((one.criterion, one.answer, "start", None, None, None, None, one.start))
        rows += [
            (one.criterion, one.answer, "verdict", p.position, p.judge, p.value, p.weight, p.points)
            for p in one.parts
        ]
        rows.append((one.criterion, one.answer, "total", None, None, None, None, one.total))
    return DataTable("contributions", columns, rows)
