"""Counts and sums over visible verdicts, kept with every commit: what a report needs without reading them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from app.domain.judging import JudgeVersion
from app.storage.columns import fetch
from app.storage.database import Database
from app.storage.judge_versions import judges_by_id
from app.storage.rubrics import criterion_ids, latest_rubric
from app.storage.tables import systems, tallies

Ints = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Tallies:
    """Verdicts on one criterion, counted by judge, system, place and whether they are scored.

    One entry per combination, r in all. ``judge``, ``system``, ``other_system`` int32 (r,) are codes of
    ``judges``, ``systems``; ``other_system`` is -1 for an answer alone. ``place``, ``unscored``
    int8 (r,) as in `Evidence`. ``verdicts`` int64 (r,) counts rows; ``total`` and
    ``total_squares`` float64 (r,) sum their values and squares (pairs: signed, canonical).
    """

    judges: tuple[JudgeVersion, ...]
    judge_version_ids: NDArray[np.int64]
    systems: tuple[str, ...]
    judge: Ints
    system: Ints
    other_system: Ints
    place: NDArray[np.int8]
    unscored: NDArray[np.int8]
    verdicts: NDArray[np.int64]
    total: NDArray[np.float64]
    total_squares: NDArray[np.float64]


async def verdict_tallies(db: Database, project_id: int, rubric: str, criterion: str) -> Tallies:
    """Tallies of a criterion as the rubric's latest version has it, real and simulated judges alike.

    Raises
    ------
    KeyError
        If the project has no such rubric or criterion.
    """
    return await db.read(lambda c: _load(c, project_id, rubric, criterion))


def _load(connection: Connection, project_id: int, rubric: str, criterion: str) -> Tallies:
    latest = latest_rubric(connection, project_id, rubric)
    if latest is None:
        raise KeyError(f"there is no rubric {rubric!r}")
    latest.rubric.criterion(criterion)
    t = tallies.c
    query = select(
        t.judge_version_id,
        t.system_id,
        t.other_system_id,
        t.place,
        t.unscored,
        t.verdicts,
        t.total,
        t.total_squares,
    ).where(t.criterion_id == criterion_ids(project_id, latest.rubric)[criterion])
    i64, f64 = np.int64, np.float64
    types = (i64, i64, i64, np.int8, np.int8, i64, f64, f64)
    judge, system, other, place, unscored, verdicts, total, squares = fetch(connection, query, types)
    judge_ids, judge_code = np.unique(judge, return_inverse=True)
    judges = judges_by_id(connection, judge_ids.tolist())
    code = _system_codes(connection, project_id, np.unique(np.concatenate([system, other])).tolist())
    return Tallies(
        judges=tuple(judges[int(one)] for one in judge_ids),
        judge_version_ids=judge_ids,
        systems=tuple(name for name, _ in code.values() if name),
        judge=judge_code.astype(np.int32),
        system=np.array([code[one][1] for one in system.tolist()], np.int32),
        other_system=np.array([code[one][1] for one in other.tolist()], np.int32),
        place=place,
        unscored=unscored,
        verdicts=verdicts,
        total=total,
        total_squares=squares,
    )


def _system_codes(connection: Connection, project_id: int, ids: list[int]) -> dict[int, tuple[str, int]]:
    """Name and code by id, in the order of names; the id 0 is "no system", code -1."""
    wanted = set(ids)
    rows = connection.execute(
        select(systems.c.id, systems.c.name).where(systems.c.project_id == project_id)
    ).all()
    named = sorted((row.name, row.id) for row in rows if row.id in wanted)
    return {0: ("", -1)} | {key: (name, code) for code, (name, key) in enumerate(named)}
