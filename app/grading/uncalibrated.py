"""What can be said of a panel while nothing was calibrated: that its scores are the judges' own."""

from collections.abc import Sequence

from app.domain.calibration import CalibratedScore, ScoreStatus
from app.domain.items import Item
from app.domain.judging import Reply, Seat
from app.domain.rubrics import RubricKind, RubricVersion

_NOTHING_YET = CalibratedScore(
    score=None,
    interval=None,
    level=0.95,
    calibration_id=None,
    status=ScoreStatus.JUDGE_RELATIVE,
    warnings=("No calibration yet: upload human anchors, then the panel's scores can be corrected.",),
)


async def uncalibrated(
    project_id: int, rubric: RubricVersion, item: Item, replies: Sequence[tuple[Seat, Reply]]
) -> dict[str, list[CalibratedScore]]:
    """No score for any criterion and answer, and why."""
    units = 1 if rubric.rubric.kind is RubricKind.PAIRWISE else len(item.answers)
    return {criterion.name: [_NOTHING_YET] * units for criterion in rubric.rubric.criteria}
