"""What a judge adds to single systems and strata, at equal human quality, compared with all the others."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.calibration.told import Report, tell
from app.stats.errors import InsufficientData, NotIdentified
from app.stats.jackknife import Effect, cluster_jackknife, sums_by_prompt
from app.stats.judge_effects import group_against_rest, system_against_rest
from app.stats.quality_held_fixed import HeldFixed, JudgedAnchors, hold_quality_fixed

Codes = NDArray[np.integer[Any]]

MIN_GROUP = 10  # anchors that a judge needs in a system or stratum before its effect there is told
MIN_GROUP_PROMPTS = 5  # their prompts: one prompt cannot stand for a group


def by_system(
    anchors: JudgedAnchors,
    fixed: HeldFixed | Exception,
    names: tuple[str, ...],
    *,
    unit: str,
    scale: float,
    level: float,
) -> list[Report]:
    """One row per system of the judge's anchors."""

    def effect(code: int) -> Effect:
        found = _fitted(fixed)
        return system_against_rest(found, int(np.searchsorted(found.systems, code)), level=level)

    return [
        _row(names[code], _inside(anchors, code), anchors, partial(effect, code), unit, scale)
        for code in np.unique(_sides(anchors)).tolist()
    ]


def by_stratum(
    anchors: JudgedAnchors,
    group: Codes,
    names: tuple[str, ...],
    *,
    unit: str,
    scale: float,
    level: float,
) -> list[Report]:
    """One row per value of a stratum, -1 in ``group`` (n,) for none.

    Pairs have no level: told is how much more often the judge sides with people there than over all.
    """
    if anchors.other_system is not None:
        return [
            _row(name, group == code, anchors, partial(_siding, anchors, group == code, level), unit, scale)
            for code, name in enumerate(names)
        ]
    told = [code for code in range(len(names)) if _lacks(group == code, anchors) is None]
    try:
        fixed: HeldFixed | Exception = hold_quality_fixed(anchors, np.where(np.isin(group, told), group, -1))
    except (InsufficientData, NotIdentified) as reason:
        fixed = reason

    def effect(code: int) -> Effect:
        found = _fitted(fixed)
        place = np.flatnonzero(found.groups == code)
        if not len(place):
            raise InsufficientData("answers of the group with known length and layout", 0, MIN_GROUP)
        return group_against_rest(found, int(place[0]), level=level)

    return [
        _row(name, group == code, anchors, partial(effect, code), unit, scale)
        for code, name in enumerate(names)
    ]


def _row(
    name: str,
    inside: NDArray[np.bool_],
    anchors: JudgedAnchors,
    compute: Callable[[], Effect],
    unit: str,
    scale: float,
) -> Report:
    def effect() -> Effect:
        lacking = _lacks(inside, anchors)
        if lacking is not None:
            raise lacking
        return compute()

    return {"name": name, **tell(effect, unit, scale, no_effect=0.0), "n": int(inside.sum())}


def _lacks(inside: NDArray[np.bool_], anchors: JudgedAnchors) -> InsufficientData | None:
    """What a group is short of, if anything."""
    count = int(inside.sum())
    if count < MIN_GROUP:
        return InsufficientData("answers of the group graded by this judge and by people", count, MIN_GROUP)
    prompts = len(np.unique(anchors.prompt[inside]))
    if prompts < MIN_GROUP_PROMPTS:
        return InsufficientData("prompts of the group", prompts, MIN_GROUP_PROMPTS)
    return None


def _fitted(fixed: HeldFixed | Exception) -> HeldFixed:
    if isinstance(fixed, Exception):
        raise fixed
    return fixed


def _sides(anchors: JudgedAnchors) -> Codes:
    if anchors.other_system is None:
        return anchors.system
    return np.concatenate([anchors.system, anchors.other_system])


def _inside(anchors: JudgedAnchors, code: int) -> NDArray[np.bool_]:
    here = np.asarray(anchors.system == code)
    return here if anchors.other_system is None else np.asarray(here | (anchors.other_system == code))


def _siding(anchors: JudgedAnchors, inside: NDArray[np.bool_], level: float) -> Effect:
    if inside.all():
        raise NotIdentified("the group's effect", "every anchor is in this group")
    agrees = (np.sign(np.round(anchors.judge, 6)) == np.sign(anchors.human)).astype(float)
    member = inside.astype(float)
    moments = np.column_stack([np.ones_like(agrees), agrees, member, member * agrees])
    return cluster_jackknife(
        sums_by_prompt(moments, anchors.prompt),
        lambda total: total[:, 3] / total[:, 2] - total[:, 1] / total[:, 0],
        n=int(inside.sum()),
        level=level,
        what="prompts",
    )
