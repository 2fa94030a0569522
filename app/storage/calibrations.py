"""Calibration runs: queued, claimed by one process, finished once and never changed after."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, literal, select, update

from app.domain.calibration import Calibration, RunStatus
from app.storage import processes
from app.storage.database import Database
from app.storage.paging import Page, page_of, read_number_cursor
from app.storage.rubrics import rubric_id
from app.storage.tables import calibration_frames, calibrations, rubrics
from app.storage.times import from_ms, maybe_from_ms, to_ms

_with_rubric = select(calibrations, rubrics.c.name.label("rubric")).join_from(calibrations, rubrics)
_heads = select(
    *(column for column in calibrations.c if column.name != "model"),
    literal("{}").label("model"),
    rubrics.c.name.label("rubric"),
).join_from(calibrations, rubrics)


@dataclass(frozen=True, slots=True)
class CalibrationRun:
    """A run with what it was asked to rest on; ``anchor_sets`` None means all of the rubric's."""

    project_id: int
    calibration: Calibration
    anchor_sets: tuple[str, ...] | None


async def queue_calibration(
    db: Database,
    project_id: int,
    *,
    rubric: str,
    criterion: str,
    anchor_sets: Sequence[str] | None = None,
    now: datetime,
) -> Calibration:
    """Queue a run; the same one still waiting in the queue stands for it. The rubric must exist."""
    wanted = None if anchor_sets is None else json.dumps(sorted(set(anchor_sets)))
    row = {
        "id": db.new_id(now),
        "project_id": project_id,
        "rubric_id": rubric_id(project_id, rubric),
        "criterion": criterion,
        "anchor_sets": wanted,
        "status": RunStatus.QUEUED,
        "snapshot": "{}",
        "model": "{}",
        "refusals": "[]",
        "created_at": to_ms(now),
    }
    runs = calibrations.c
    same = _with_rubric.where(
        runs.project_id == project_id,
        runs.rubric_id == row["rubric_id"],
        runs.criterion == criterion,
        runs.status == RunStatus.QUEUED,
        runs.anchor_sets.is_(None) if wanted is None else runs.anchor_sets == wanted,
    )

    def queue(connection: Connection) -> Calibration:
        waiting = connection.execute(same.limit(1)).one_or_none()
        if waiting is not None:
            return _calibration(waiting)
        connection.execute(insert(calibrations).values(row))
        return _calibration(connection.execute(_with_rubric.where(runs.id == row["id"])).one())

    return await db.write(queue)


async def calibrations_on(
    db: Database, project_id: int, anchor_set: str
) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """(rubric, criterion, anchor sets) of runs that were asked to rest on sets by name, this one too."""
    runs = calibrations.c
    query = (
        select(rubrics.c.name, runs.criterion, runs.anchor_sets)
        .join_from(calibrations, rubrics)
        .where(runs.project_id == project_id, runs.anchor_sets.is_not(None))
        .distinct()
    )

    def read(connection: Connection) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
        found = [(*row[:2], tuple(json.loads(row.anchor_sets))) for row in connection.execute(query)]
        return tuple(sorted(one for one in found if anchor_set in one[2]))

    return await db.read(read)


async def claim_calibration(db: Database, *, now: datetime) -> CalibrationRun | None:
    """The run that has waited longest, now ours to do; None if none waits. Only one process gets it."""
    runs = calibrations.c
    first = (
        select(runs.id)
        .where(runs.status == RunStatus.QUEUED)
        .order_by(runs.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )

    def take(connection: Connection) -> CalibrationRun | None:
        found = connection.execute(first).scalar_one_or_none()
        if found is None:
            return None
        start = update(calibrations).where(runs.id == found)
        ours = {"status": RunStatus.RUNNING, "process_id": db.process_id, "started_at": to_ms(now)}
        connection.execute(start.values(ours))
        row = connection.execute(_with_rubric.where(runs.id == found)).one()
        sets = None if row.anchor_sets is None else tuple(json.loads(row.anchor_sets))
        return CalibrationRun(row.project_id, _calibration(row), sets)

    return await db.write(take)


async def finish_calibration(
    db: Database,
    calibration_id: int,
    *,
    snapshot: Mapping[str, Any],
    model: Mapping[str, Any],
    frame: bytes,
    refusals: Sequence[str] = (),
    now: datetime,
) -> bool:
    """Store a fitted calibration with its frame. False if the run is no longer ours to finish.

    ``refusals`` of a done calibration are the parts that it would not say.
    """
    values = {"snapshot": json.dumps(snapshot), "model": json.dumps(model)}
    said = {"refusals": json.dumps(list(refusals))}
    return await _end(db, calibration_id, RunStatus.DONE, values | said, now, frame)


async def refuse_calibration(
    db: Database,
    calibration_id: int,
    *,
    refusals: Sequence[str],
    snapshot: Mapping[str, Any],
    model: Mapping[str, Any] | None = None,
    now: datetime,
) -> bool:
    """Store that the data cannot honestly be calibrated, and why. False if the run is no longer ours."""
    values = {"snapshot": json.dumps(snapshot), "model": json.dumps(model or {})}
    said = {"refusals": json.dumps(list(refusals))}
    return await _end(db, calibration_id, RunStatus.REFUSED, values | said, now, None)


async def fail_calibration(db: Database, calibration_id: int, *, error: str, now: datetime) -> bool:
    """Store that the run broke. False if the run is no longer ours."""
    return await _end(db, calibration_id, RunStatus.FAILED, {"error": error}, now, None)


async def requeue_abandoned_calibrations(db: Database, *, now: datetime) -> int:
    """Queue again what dead processes left running; returns how many."""
    runs = calibrations.c

    def requeue(connection: Connection) -> int:
        alive = processes.living(connection, now) | {db.process_id}
        abandoned = update(calibrations).where(
            runs.status == RunStatus.RUNNING, runs.process_id.not_in(alive)
        )
        again = abandoned.values(status=RunStatus.QUEUED, process_id=None, started_at=None)
        return connection.execute(again).rowcount

    return await db.write(requeue)


async def get_calibration(db: Database, project_id: int, calibration_id: int) -> Calibration | None:
    """A calibration of the project by id."""
    query = _with_rubric.where(calibrations.c.id == calibration_id, calibrations.c.project_id == project_id)
    return await db.read(lambda c: _maybe(c.execute(query).one_or_none()))


async def list_calibrations(
    db: Database,
    project_id: int,
    *,
    rubric: str | None = None,
    criterion: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Calibration]:
    """The project's calibrations, newest first, without their models, which are large."""
    runs = calibrations.c
    query = _heads.where(runs.project_id == project_id).order_by(runs.id.desc()).limit(limit + 1)
    if rubric is not None:
        query = query.where(runs.rubric_id == rubric_id(project_id, rubric))
    if criterion is not None:
        query = query.where(runs.criterion == criterion)
    before = read_number_cursor(cursor)
    if before is not None:
        query = query.where(runs.id < before)
    found = await db.read(lambda c: tuple(map(_calibration, c.execute(query))))
    return page_of(found, limit, lambda calibration: calibration.id)


async def latest_calibration(
    db: Database, project_id: int, *, rubric: str, criterion: str
) -> Calibration | None:
    """The newest calibration of a criterion that is done; None if there is none."""
    runs = calibrations.c
    query = (
        _with_rubric.where(
            runs.project_id == project_id,
            runs.rubric_id == rubric_id(project_id, rubric),
            runs.criterion == criterion,
            runs.status == RunStatus.DONE,
        )
        .order_by(runs.id.desc())
        .limit(1)
    )
    return await db.read(lambda c: _maybe(c.execute(query).one_or_none()))


async def latest_calibration_id(db: Database, project_id: int, *, rubric: str, criterion: str) -> int | None:
    """The id of `latest_calibration`, without reading its model: to see whether a cached one is current."""
    runs = calibrations.c
    query = (
        select(runs.id)
        .where(
            runs.project_id == project_id,
            runs.rubric_id == rubric_id(project_id, rubric),
            runs.criterion == criterion,
            runs.status == RunStatus.DONE,
        )
        .order_by(runs.id.desc())
        .limit(1)
    )
    return await db.read(lambda c: c.execute(query).scalar_one_or_none())


async def newest_calibrated(db: Database, *, limit: int) -> list[tuple[int, str, str]]:
    """(project id, rubric, criterion) of what was calibrated last in any project, newest first."""
    runs = calibrations.c
    about = (runs.project_id, rubrics.c.name, runs.criterion)
    query = (
        select(*about)
        .join_from(calibrations, rubrics)
        .where(runs.status == RunStatus.DONE)
        .group_by(*about)
        .order_by(func.max(runs.id).desc())
        .limit(limit)
    )
    return await db.read(lambda c: [(row[0], row[1], row[2]) for row in c.execute(query)])


async def newest_told(
    db: Database, project_id: int, *, rubric: str, criterion: str
) -> tuple[Calibration | None, bool]:
    """The newest run of a criterion that ended with a model, refused ones too; and whether a run waits.

    A run that was refused for lack of anchors still tells what needs none.
    """
    runs = calibrations.c
    mine = (
        runs.project_id == project_id,
        runs.rubric_id == rubric_id(project_id, rubric),
        runs.criterion == criterion,
    )
    told = runs.status.in_((RunStatus.DONE, RunStatus.REFUSED)) & (runs.model != "{}")
    newest = _with_rubric.where(*mine, told).order_by(runs.id.desc()).limit(1)
    waiting = select(runs.id).where(*mine, runs.status.in_((RunStatus.QUEUED, RunStatus.RUNNING))).limit(1)

    def read(connection: Connection) -> tuple[Calibration | None, bool]:
        found = _maybe(connection.execute(newest).one_or_none())
        return found, connection.execute(waiting).scalar_one_or_none() is not None

    return await db.read(read)


async def get_frame(db: Database, project_id: int, calibration_id: int) -> bytes | None:
    """The per-unit arrays of a done calibration, as `finish_calibration` was given them."""
    query = select(calibration_frames.c.frame).where(
        calibration_frames.c.calibration_id == calibration_id,
        calibration_frames.c.project_id == project_id,
    )
    frame = await db.read(lambda c: c.execute(query).scalar_one_or_none())
    return None if frame is None else bytes(frame)


async def _end(
    db: Database,
    calibration_id: int,
    status: RunStatus,
    values: dict[str, Any],
    now: datetime,
    frame: bytes | None,
) -> bool:
    runs = calibrations.c
    ours = update(calibrations).where(
        runs.id == calibration_id, runs.status == RunStatus.RUNNING, runs.process_id == db.process_id
    )
    change = ours.values(**values, status=status, finished_at=to_ms(now))

    def end(connection: Connection) -> bool:
        if connection.execute(change).rowcount != 1:
            return False
        if frame is not None:
            project = select(runs.project_id).where(runs.id == calibration_id).scalar_subquery()
            row = {"calibration_id": calibration_id, "project_id": project, "frame": frame}
            connection.execute(insert(calibration_frames).values(row))
        return True

    return await db.write(end)


def _maybe(row: Any) -> Calibration | None:
    return None if row is None else _calibration(row)


def _calibration(row: Any) -> Calibration:
    return Calibration(
        id=row.id,
        rubric=row.rubric,
        criterion=row.criterion,
        status=RunStatus(row.status),
        created_at=from_ms(row.created_at),
        finished_at=maybe_from_ms(row.finished_at),
        snapshot=json.loads(row.snapshot),
        model=json.loads(row.model),
        refusals=tuple(json.loads(row.refusals)),
        error=row.error,
    )
