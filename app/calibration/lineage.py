"""Which judge version came before which: a judge's newer model, parameters or prompt, or a dated snapshot."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.calibration.design import Design, to_inner
from app.calibration.told import Report, tell
from app.domain.judging import JudgeVersion
from app.stats.agreement import MatchedGrades, match_grades
from app.stats.jackknife import Effect
from app.stats.version_change import agreement_change, level_change

_SNAPSHOT = re.compile(r"[-_@:](\d{4}-\d{2}-\d{2}|\d{8}|\d{6}|\d{4}|\d{3})(-preview)?$")


def predecessors(judges: Sequence[JudgeVersion], first_seen: Sequence[int]) -> tuple[int | None, ...]:
    """For each version the place of the one that it is compared with, None if nothing came before.

    Versions belong together if they have one name, or names that differ in a trailing date or snapshot number
    alone (gpt-x-0301, gpt-x-0613). Snapshots are ordered by that number, versions of one name by when they
    were first seen. Before a version comes the latest with the same parameters and prompt, else the latest of
    the same name.
    """
    parts = [_stem(judge.name) for judge in judges]
    found: list[int | None] = []
    for k, judge in enumerate(judges):
        earlier = [
            j
            for j in range(len(judges))
            if parts[j][0] == parts[k][0] and (parts[j][1], first_seen[j]) < (parts[k][1], first_seen[k])
        ]
        alike = [
            j
            for j in earlier
            if (judges[j].params, judges[j].prompt_version) == (judge.params, judge.prompt_version)
        ]
        named = [j for j in earlier if judges[j].name == judge.name]
        found.append(
            max(alike or named, key=lambda j: (parts[j][1], first_seen[j])) if alike or named else None
        )
    return tuple(found)


def _stem(name: str) -> tuple[str, str]:
    mark = _SNAPSHOT.search(name)
    return (name, "") if mark is None else (name[: mark.start()], mark[1].replace("-", ""))


def version_changes(design: Design, level: float, points: float) -> list[Report]:
    """Per judge version what changed since its predecessor; empty for one that has none."""
    evidence = design.evidence
    codes, first = np.unique(evidence.v_judge, return_index=True)
    seen = dict(zip(codes.tolist(), first.tolist(), strict=True))
    order = [seen.get(k, len(evidence.v_judge)) for k in range(len(evidence.judges))]
    return [
        {} if old is None else _change(design, old, new, level, points)
        for new, old in enumerate(predecessors(evidence.judges, order))
    ]


def _change(design: Design, old: int, new: int, level: float, points: float) -> Report:
    before = design.evidence.judges[old]
    compared = {
        "name": before.name,
        "model": before.model,
        "params": before.params,
        "prompt_version": before.prompt_version,
        "judge_version": before.digest(),
    }
    changes = {}
    if not design.signed:
        changes["version_level"] = tell(
            lambda: _level(design, old, new, level), "points", points, no_effect=0.0
        )
    changes["version_agreement"] = tell(
        lambda: agreement_change(
            old=_matched(design, old), new=_matched(design, new), nominal=design.signed, level=level
        ),
        "probability" if design.signed else "alpha",
        no_effect=0.0,
    )
    return {name: {**told, "compared_with": compared} for name, told in changes.items()}


def _level(design: Design, old: int, new: int, level: float) -> Effect:
    cells = [np.flatnonzero(design.judge == code) for code in (old, new)]
    shared, a, b = np.intersect1d(
        design.unit[cells[0]], design.unit[cells[1]], assume_unique=True, return_indices=True
    )
    return level_change(
        old=design.value[cells[0][a]],
        new=design.value[cells[1][b]],
        prompt=design.evidence.prompt[shared],
        level=level,
    )


def _matched(design: Design, code: int) -> MatchedGrades:
    evidence = design.evidence
    rows: NDArray[np.int64] = np.flatnonzero((evidence.v_judge == code) & np.isfinite(evidence.v_value))
    unit = evidence.v_unit[rows]
    return match_grades(
        judge=to_inner(evidence.criterion, evidence.v_value[rows], design.signed),
        unit=unit,
        grade=to_inner(evidence.criterion, evidence.h_value, design.signed),
        graded_unit=evidence.h_unit,
        prompt=evidence.prompt[unit],
    )
