"""What each verdict of a grade was worth in its calibrated scores."""

from collections.abc import Mapping, Sequence

from app.calibration.apply import prepare
from app.calibration.explain import Explained, explain
from app.domain.calibration import CalibratedScore
from app.domain.ids import read_id
from app.domain.items import Item
from app.domain.judging import Reply, Seat
from app.domain.rubrics import RubricVersion
from app.storage.calibrations import get_calibration
from app.storage.database import Database


async def contributions(
    db: Database,
    project_id: int,
    *,
    rubric: RubricVersion,
    item: Item,
    replies: Sequence[tuple[Seat, Reply]],
    calibrated: Mapping[str, Sequence[CalibratedScore]],
) -> tuple[Explained, ...]:
    """By the very calibrations that the scores ``calibrated`` rest on; none of those without a score."""
    found: list[Explained] = []
    for criterion in rubric.rubric.criteria:
        scores = calibrated.get(criterion.name, ())
        told = [k for k, one in enumerate(scores) if one.score is not None and one.calibration_id is not None]
        if not told:
            continue
        key = scores[told[0]].calibration_id
        calibration = await get_calibration(db, project_id, read_id("c", key or ""))
        prepared = None if calibration is None else prepare(calibration)
        if prepared is not None:
            explained = explain(prepared, rubric, criterion.name, item, replies)
            found += [one for one in explained if one.answer in told]
    return tuple(found)
