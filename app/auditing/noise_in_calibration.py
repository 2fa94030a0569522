"""What people's disagreement does to a calibration: how much of what it leaves open is their own noise."""

import asyncio
from collections.abc import Iterable

import numpy as np

from app.auditing.twice import Said, Twice
from app.calibration.frame import Frame
from app.stats.errors import InsufficientData, NotIdentified
from app.stats.noise_share import NoiseShare, noise_share, residuals
from app.stats.rectifier import rectified_means
from app.storage.anchor_rotations import calibration_on
from app.storage.calibrations import get_frame
from app.storage.database import Database


async def noise_in_calibration(
    db: Database,
    project_id: int,
    *,
    rubric: str,
    criterion: str,
    anchor_set: str,
    said: Iterable[Said],
    twice: Twice,
) -> NoiseShare | str:
    """Of the newest calibration that rests on the set; why not, where it cannot be told."""
    found = await calibration_on(
        db, project_id, rubric=rubric, criterion=criterion, anchor_set=anchor_set, low=1, high=None
    )
    raw = None if found is None else await get_frame(db, project_id, found)
    if raw is None:
        return "No calibration of this criterion rests on the set yet."
    item_of = {answer: one.item_id for one in said for answer in one.answers}
    try:
        return await asyncio.to_thread(_share, Frame.from_bytes(raw), twice, item_of)
    except (InsufficientData, NotIdentified) as few:
        return str(few)


def _share(frame: Frame, twice: Twice, item_of: dict[int, int]) -> NoiseShare:
    trust = rectified_means(
        group=frame.block,
        prompt=frame.prompt,
        prediction=frame.out_of_fold,
        human=frame.human_mean,
        groups=int(frame.block.max(initial=0)) + 1,
    ).power.lam
    anchors = np.flatnonzero(frame.labelled & np.isin(frame.answer_id, np.array(list(item_of), np.int64)))
    scale = 1.0 if frame.kind == "pairwise" else frame.high - frame.low
    return noise_share(
        half_squares=(twice.gap / scale) ** 2 / 2,
        weight=twice.pairs.weight,
        pair_item=twice.pairs.prompt,
        residual=residuals(
            frame.human_mean[anchors], frame.out_of_fold[anchors], frame.block[anchors], trust
        ),
        grades=frame.n_human[anchors].astype(np.float64),
        item=np.array([item_of[answer] for answer in frame.answer_id[anchors].tolist()], np.int64),
    )
