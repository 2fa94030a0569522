"""What a grade says: who sat, what each said, the panel's own summary, and the calibrated scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from math import sqrt

from app.domain.calibration import CalibratedScore
from app.domain.items import Item
from app.domain.judging import Reply, Seat, SecondStage
from app.domain.rubrics import RubricKind, RubricVersion

SIMULATED_NOTE = (
    "The judges of this panel are simulated: no model read the texts, and the scores measure nothing. "
    "Configure a roster (VENIRE_JUDGES) to grade for real."
)


Calibrated = Mapping[str, Sequence[CalibratedScore]]
"""Per criterion, one per answer (one in all for a pair)."""


class Status(StrEnum):
    """Where a grade stands. Partial: some seats gave no verdict, nor did a replacement."""

    PENDING = "pending"
    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PanelSummary:
    """The scored seats of a panel on one criterion and answer, uncalibrated.

    ``mean`` is on the criterion's scale (pairs: -1 to 1, positive for the caller's first answer),
    ``spread`` the standard deviation between seats, None for a single one.
    """

    mean: float
    spread: float | None
    seats: int


@dataclass(frozen=True, slots=True)
class SeatOutcome:
    """A seat and what came of it; ``reply`` is None while the judge has not answered."""

    seat: Seat
    reply: Reply | None


@dataclass(frozen=True, slots=True)
class Grade:
    """A grade as it stands. ``raw`` and ``calibrated`` have one entry per answer (one in all for a pair).

    ``second`` is what was drawn of the panel's second stage; None if it has none, or not yet.
    """

    id: int
    status: Status
    rubric: RubricVersion
    item: Item
    seed: int
    seats: tuple[SeatOutcome, ...]
    created_at: datetime
    finished_at: datetime | None
    simulated: bool
    raw: Mapping[str, Sequence[PanelSummary | None]] = field(default_factory=dict)
    calibrated: Calibrated = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    second: SecondStage | None = None

    @property
    def cost_usd(self) -> float:
        """What the judges cost, retries and failed seats included."""
        return sum(one.reply.usage.cost_usd for one in self.seats if one.reply is not None)


def scored(outcomes: Sequence[SeatOutcome]) -> list[tuple[Seat, Reply]]:
    """The seats that gave a verdict."""
    return [(one.seat, one.reply) for one in outcomes if one.reply is not None and one.reply.unscored is None]


def status_of(outcomes: Sequence[SeatOutcome]) -> Status:
    """Complete if every seat drawn at first gave a verdict, itself or through its replacements."""
    stands_for = {one.seat.position: one.seat.replaces for one in outcomes}
    drawn = [position for position, replaces in stands_for.items() if replaces is None]
    filled = set()
    for seat, _ in scored(outcomes):
        position: int = seat.position
        while (replaced := stands_for[position]) is not None:
            position = replaced
        filled.add(position)
    if not filled:
        return Status.FAILED
    return Status.COMPLETE if len(filled) == len(drawn) else Status.PARTIAL


def summarise(
    rubric: RubricVersion, answers: int, outcomes: Sequence[SeatOutcome]
) -> dict[str, list[PanelSummary | None]]:
    """The panel's means and spreads, per criterion and answer; None where no seat gave a score."""
    units = 1 if rubric.rubric.kind is RubricKind.PAIRWISE else answers
    values: dict[str, list[list[float]]] = {
        criterion.name: [[] for _ in range(units)] for criterion in rubric.rubric.criteria
    }
    for _, reply in scored(outcomes):
        for score in reply.scores:
            values[score.criterion][score.answer].append(score.value)
    return {name: [_summary(unit) for unit in of_answers] for name, of_answers in values.items()}


def _summary(values: Sequence[float]) -> PanelSummary | None:
    n = len(values)
    if n == 0:
        return None
    mean = sum(values) / n
    spread = sqrt(sum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else None
    return PanelSummary(mean, spread, n)
