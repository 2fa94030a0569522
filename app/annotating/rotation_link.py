"""Quality before and after a rotation, linked by the anchors that stayed."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from app.calibration.frame import Frame
from app.domain.ids import show_id
from app.domain.projects import Project
from app.domain.rotation import Rotation
from app.domain.rubrics import Rubric, RubricKind
from app.stats.anchor_linking import AnchorLink, Linked, Measured, link_anchors
from app.storage.anchor_rotations import calibration_on
from app.storage.calibrations import get_frame
from app.storage.database import Database


class NotLinked(StrEnum):
    """Why a criterion has no report yet."""

    NOT_CALIBRATED_BEFORE = "not_calibrated_before"
    NOT_CALIBRATED_AFTER = "not_calibrated_after"


@dataclass(frozen=True, slots=True)
class ChangePart:
    """A part of a change on the criterion's own scale, with its interval."""

    estimate: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class GroupLink:
    """One system (None: all answers together). ``total`` = ``overlap`` + ``anchors``; ``sentence`` says it.

    For pairs a value is the system's mean advantage, from -1 to 1.
    """

    system: str | None
    n_overlap: int
    n_new: int
    n_retired: int
    total: ChangePart | None
    overlap: ChangePart | None
    anchors: ChangePart | None
    refusal: str | None
    sentence: str


@dataclass(frozen=True, slots=True)
class CriterionLink:
    """One criterion: between which calibrations, or why not (``refusal``)."""

    criterion: str
    level: float
    before_calibration: str | None
    after_calibration: str | None
    refusal: str | None
    groups: tuple[GroupLink, ...]


async def link_rotation(
    db: Database, project: Project, rotation: Rotation, rubric: Rubric, criterion: str, level: float
) -> CriterionLink:
    """Compare the last calibration on the version before with the newest on a version after the rotation."""
    ends = []
    spans = ((1, rotation.before_version), (rotation.after_version, None))
    for low, high in spans:
        found = await calibration_on(
            db,
            project.id,
            rubric=rubric.name,
            criterion=criterion,
            anchor_set=rotation.anchor_set,
            low=low,
            high=high,
        )
        ends.append(found)
    names = [None if one is None else show_id("c", one) for one in ends]
    frames = [None if one is None else await get_frame(db, project.id, one) for one in ends]
    if frames[0] is None or frames[1] is None:
        refusal = NotLinked.NOT_CALIBRATED_BEFORE if frames[0] is None else NotLinked.NOT_CALIBRATED_AFTER
        return CriterionLink(criterion, level, names[0], names[1], refusal.value, ())
    groups = await asyncio.to_thread(_groups, frames[0], frames[1], rubric, level)
    return CriterionLink(criterion, level, names[0], names[1], None, groups)


def _groups(before: bytes, after: bytes, rubric: Rubric, level: float) -> tuple[GroupLink, ...]:
    return link_frames(
        Frame.from_bytes(before), Frame.from_bytes(after), level, rubric.kind is RubricKind.PAIRWISE
    )


def link_frames(before: Frame, after: Frame, level: float, pairs: bool) -> tuple[GroupLink, ...]:
    """Every system that both frames know, and (but for pairs) all answers together, which stand first."""
    clusters = _clusters(before, after)
    weighted = all(np.isfinite(one.human_inclusion[one.labelled]).all() for one in (before, after))
    found = [] if pairs else [_link(before, after, clusters, None, weighted, level)]
    known = sorted(set(before.systems) & set(after.systems))
    return (*found, *(_link(before, after, clusters, one, weighted, level) for one in known))


def _link(
    before: Frame,
    after: Frame,
    clusters: tuple[NDArray[np.int64], NDArray[np.int64]],
    system: str | None,
    weighted: bool,
    level: float,
) -> GroupLink:
    measured = [
        _measured(one, cluster, system, weighted)
        for one, cluster in zip((before, after), clusters, strict=True)
    ]
    link = link_anchors(*measured)
    scale = 1.0 if after.kind == "pairwise" else after.high - after.low
    turned = -1.0 if after.kind != "pairwise" and not after.higher_is_better else 1.0
    total, overlap, anchors = (
        _part(one, scale * turned, level) for one in (link.total, link.overlap, link.anchors)
    )
    return GroupLink(
        system=system,
        n_overlap=link.n_overlap,
        n_new=link.n_new,
        n_retired=link.n_retired,
        total=total,
        overlap=overlap,
        anchors=anchors,
        refusal=None if link.refusal is None else link.refusal.value,
        sentence=_sentence(link, total, overlap, anchors),
    )


def _measured(one: Frame, cluster: NDArray[np.int64], system: str | None, weighted: bool) -> Measured:
    sign = np.ones(one.unit_id.size)
    some = np.isfinite(one.out_of_fold)
    if system is not None:
        code = one.systems.index(system)
        first, second = one.system == code, one.other_system == code
        sign = np.where(second, -1.0, 1.0)
        some &= first | second
    weight = np.ones(one.unit_id.size)
    if weighted:
        weight = np.where(one.labelled, 1.0 / np.where(one.labelled, one.human_inclusion, 1.0), 1.0)
    return Measured(
        unit=one.unit_id[some],
        cluster=cluster[some],
        panel=(sign * one.out_of_fold)[some].astype(np.float64),
        human=(sign * np.where(one.labelled, one.human_mean, np.nan))[some].astype(np.float64),
        weight=weight[some],
    )


def _clusters(before: Frame, after: Frame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Codes of prompts that mean the same in both frames: by the units that both have."""
    known = after.prompt.astype(np.int64)
    own = before.prompt.astype(np.int64)
    _, in_b, in_a = np.intersect1d(before.unit_id, after.unit_id, return_indices=True)
    count = int(own.max(initial=-1)) + 1
    code = int(known.max(initial=-1)) + 1 + np.arange(count)
    code[own[in_b]] = known[in_a]
    return code[own], known


def _part(one: Linked | None, factor: float, level: float) -> ChangePart | None:
    if one is None:
        return None
    low, high = sorted(end * factor for end in one.interval(level))
    return ChangePart(one.estimate * factor, (low, high))


def _sentence(
    link: AnchorLink, total: ChangePart | None, overlap: ChangePart | None, anchors: ChangePart | None
) -> str:
    if total is None:
        return f"Only {link.n_overlap} anchors stayed: too few to link by, so nothing is told of the change."
    if overlap is None or anchors is None:
        return (
            f"Quality changed by {total.estimate:+.3f}; with {link.n_new} new and {link.n_retired} retired "
            "anchors it cannot be told how much of that is the anchors."
        )
    if not link.n_new and not link.n_retired:
        return f"Quality changed by {overlap.estimate:+.3f}, all of it on the same anchors."
    low, high = anchors.interval
    if low <= 0 <= high:
        why = "which they may as well not have moved at all"
    else:
        why = "which is more than chance: new anchors are harder or easier, or graded otherwise"
    return (
        f"Of a change of {total.estimate:+.3f}, {overlap.estimate:+.3f} is on the anchors that stayed, and "
        f"{anchors.estimate:+.3f} is the new anchors, {why}."
    )
