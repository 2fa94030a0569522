"""What each verdict was worth in a calibrated score.

The panel's score is G = sum_r w_r (S_r - mu_j(r)), its weights those of the regression factor score of the
judges that sat; the calibrated score is linear in it, whatever the system and the length add:

    score = score at G = 0 + sum_r (slope w_r) (S_r - mu_j(r)) .

So the parts add up to the score exactly, before it is kept within the scale. The first term is what the
service would say had every judge given its own average: the system, the length, and people's scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.calibration.apply import readings_of
from app.calibration.prepared import PreparedCalibration
from app.domain.items import Item
from app.domain.judging import Reply, Seat
from app.domain.rubrics import RubricKind, RubricVersion


@dataclass(frozen=True, slots=True)
class Part:
    """One verdict of the seat at ``position``: its ``weight``, sizes adding up to 1, and how many ``points``
    it moved the score, both None if it did not count. ``value`` in the unit of the score."""

    position: int
    judge: str
    value: float
    weight: float | None
    points: float | None


@dataclass(frozen=True, slots=True)
class Explained:
    """One calibrated score: ``start`` and the points of ``parts`` add up to ``total``.

    In points of the criterion's own scale; of a pair in the share of wins of the caller's first answer.
    ``kept`` is the score once it is kept within the scale.
    """

    criterion: str
    answer: int
    calibration_id: str
    start: float
    total: float
    kept: float
    parts: tuple[Part, ...]


def explain(
    prepared: PreparedCalibration,
    rubric: RubricVersion,
    criterion: str,
    item: Item,
    replies: Sequence[tuple[Seat, Reply]],
) -> tuple[Explained, ...]:
    """One entry per answer (one in all for a pair) on which the panel says something."""
    pair = rubric.rubric.kind is RubricKind.PAIRWISE
    scale = rubric.rubric.criterion(criterion).scale
    low, high = (0.0, 1.0) if pair else (scale.low, scale.high)
    found = []
    for k in range(1 if pair else len(item.answers)):
        given = readings_of(criterion, k, replies, pair)
        readings = [reading for _, reading in given]
        answer, other = item.answers[k], item.answers[1] if pair else None
        line = prepared.line(
            readings,
            system=answer.system,
            other_system=other.system if other else None,
            words=len(answer.text.split()),
            other_words=len(other.text.split()) if other else None,
        )
        if line is None:
            continue
        start, slope = line
        weighed = prepared.weigh(readings)

        def shown(inner: float) -> float:
            native = prepared.points(inner)
            return (1 + native) / 2 if pair else native

        moved = [None if one is None else slope * one[0] * one[1] for one in weighed]
        total = shown(start + sum(one for one in moved if one is not None))
        sizes = sum(abs(one[0]) for one in weighed if one is not None) or 1.0
        found.append(
            Explained(
                criterion=criterion,
                answer=k,
                calibration_id=prepared.calibration_id,
                start=shown(start),
                total=total,
                kept=min(max(total, low), high),
                parts=tuple(
                    Part(
                        position=seat.position,
                        judge=seat.judge.name,
                        value=(1 + reading.value) / 2 if pair else reading.value,
                        weight=None if one is None else one[0] / sizes,
                        points=None if part is None else shown(start + part) - shown(start),
                    )
                    for (seat, reading), one, part in zip(given, weighed, moved, strict=True)
                ),
            )
        )
    return tuple(found)
