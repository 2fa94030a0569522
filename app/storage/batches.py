"""Batches: made chunk by chunk while their lines are checked, counted by chunk, changed by their callers."""

import json
from bisect import bisect_right
from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.engine import Row as SqlRow

from app.domain.batches import (
    DAY_SPENT,
    Batch,
    BatchCounts,
    BatchMode,
    BatchOptions,
    BatchStatus,
    Estimate,
    JudgeShare,
    Reuse,
    Spending,
)
from app.domain.ids import content_id
from app.domain.stopping import ComparisonSoFar
from app.storage import budgets, processes
from app.storage.database import Database
from app.storage.paging import Page, page_of, read_number_cursor
from app.storage.tables import (
    batch_chunks,
    batch_comparisons,
    batch_items,
    batch_requests,
    batches,
    grades,
)
from app.storage.tables import budgets as budget_table
from app.storage.times import from_ms, maybe_from_ms, to_ms


def chunk_id(batch_id: int, number: int) -> int:
    """The id of a batch's chunk; chunks are numbered from 0."""
    return content_id("chunk", batch_id, number)


async def open_batch(
    db: Database, batch_id: int, project_id: int, *, name: str | None, options: BatchOptions, now: datetime
) -> None:
    """Put a batch on record whose lines are still being read."""
    values: dict[str, Any] = {
        "id": batch_id,
        "project_id": project_id,
        "name": name,
        "status": BatchStatus.CHECKING.value,
        "mode": options.mode.value,
        "reuse": options.reuse.value,
        "options": json.dumps({"rubrics": dict(options.rubrics), **options.more}),
        "estimate": json.dumps(asdict(Estimate(0, 0.0, 0.0, 0.0))),
        "process_id": db.process_id,
        "created_at": to_ms(now),
    }
    counts = dict.fromkeys(("items", "seats", "chunks", "round"), 0)
    await db.write(lambda c: c.execute(insert(batches).values(**values, **counts)).rowcount)


async def add_chunk(
    db: Database, batch_id: int, project_id: int, *, number: int, first: int, items: int, requests: bytes
) -> None:
    """Store the requests of one chunk of a batch that is being checked; ``first`` numbers its first item."""
    counts = dict.fromkeys(("complete", "partial", "failed", "calls", "reused", "spared", "round"), 0)
    values = {"batch_id": batch_id, "project_id": project_id, "number": number}
    row = insert(batch_chunks).values(
        id=chunk_id(batch_id, number),
        first=first,
        items=items,
        done=False,
        **values,
        **counts,
    )
    kept = {"chunk_id": chunk_id(batch_id, number), "project_id": project_id, "requests": requests}

    def work(connection: Connection) -> None:
        connection.execute(row)
        connection.execute(insert(batch_requests).values(**kept))

    await db.write(work)


async def start_batch(
    db: Database,
    batch_id: int,
    project_id: int,
    *,
    options: BatchOptions,
    estimate: Estimate,
    items: int,
    chunks: int,
    budget_usd: float | None,
    now: datetime,
) -> None:
    """All lines are good: reserve the budget and let workers begin."""

    def work(connection: Connection) -> None:
        budgets.open_budget(connection, batch_id, project_id, budgets.BATCH, budget_usd, None)
        values = {
            "status": BatchStatus.RUNNING.value,
            "options": json.dumps({"rubrics": dict(options.rubrics), **options.more}),
            "estimate": json.dumps(asdict(estimate)),
            "items": items,
            "seats": estimate.seats,
            "chunks": chunks,
            "started_at": to_ms(now),
        }
        connection.execute(update(batches).where(batches.c.id == batch_id).values(**values))

    await db.write(work)


async def drop_batch(db: Database, batch_id: int) -> None:
    """Forget a batch that was never started."""
    await db.write(lambda c: _drop(c, [batch_id]))


async def drop_abandoned(db: Database, *, now: datetime) -> int:
    """Forget batches whose reading process died; returns how many."""

    def work(connection: Connection) -> int:
        alive = processes.living(connection, now) | {db.process_id}
        query = select(batches.c.id).where(
            batches.c.status == BatchStatus.CHECKING.value, batches.c.process_id.not_in(alive)
        )
        return _drop(connection, [row.id for row in connection.execute(query)])

    return await db.write(work)


async def load_batch(db: Database, project_id: int, batch_id: int) -> Batch | None:
    """The batch of that id, if the project has it."""
    query = select(batches).where(batches.c.id == batch_id, batches.c.project_id == project_id)

    def work(connection: Connection) -> Batch | None:
        row = connection.execute(query).one_or_none()
        return None if row is None else _whole(connection, [row])[0]

    return await db.read(work)


async def list_batches(
    db: Database,
    project_id: int | None,
    *,
    status: Collection[BatchStatus] = (),
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Batch]:
    """Batches of a project (None: of all), newest first."""
    before = read_number_cursor(cursor)
    query = select(batches).order_by(batches.c.id.desc()).limit(limit + 1)
    if project_id is not None:
        query = query.where(batches.c.project_id == project_id)
    if status:
        query = query.where(batches.c.status.in_([one.value for one in status]))
    if before is not None:
        query = query.where(batches.c.id < before)

    def work(connection: Connection) -> Page[Batch]:
        return page_of(_whole(connection, connection.execute(query).all()), limit, lambda batch: batch.id)

    return await db.read(work)


async def change_status(
    db: Database,
    batch_id: int,
    to: BatchStatus,
    *,
    only_from: Collection[BatchStatus],
    reason: str | None = None,
    top_up_usd: float = 0.0,
    now: datetime,
) -> bool:
    """Let a batch rest, go on or end, and raise its budget; False if it does not stand where it must."""
    values: dict[str, Any] = {"status": to.value, "stop_reason": reason}
    if to.over:
        values["finished_at"] = to_ms(now)
    allowed = [one.value for one in only_from]
    change = update(batches).where(batches.c.id == batch_id, batches.c.status.in_(allowed))

    def work(connection: Connection) -> bool:
        if connection.execute(change.values(**values)).rowcount == 0:
            return False
        if top_up_usd:
            budgets.raise_limit(connection, batch_id, top_up_usd)
        return True

    return await db.alone(work)


async def wake_for_the_day(db: Database, *, now: datetime) -> int:
    """Let batches go on that a day's budget had stopped, where today's has room again; returns how many."""
    stopped = (batches.c.status == BatchStatus.OUT_OF_BUDGET.value) & (batches.c.stop_reason == DAY_SPENT)
    waiting = select(batches.c.id, batches.c.project_id).where(stopped)
    day = budgets.day_of(now)

    def work(connection: Connection) -> int:
        woken = 0
        for row in connection.execute(waiting).all():
            if budgets.has_room(connection, row.project_id, day):
                on = update(batches).where(batches.c.id == row.id, stopped)
                values = {"status": BatchStatus.RUNNING.value, "stop_reason": None}
                woken += connection.execute(on.values(**values)).rowcount
        return woken

    if not await db.read(lambda connection: connection.execute(waiting).first()):
        return 0
    return await db.alone(work)


async def retry_items(
    db: Database, batch_id: int, endings: Collection[str], *, only_from: Collection[BatchStatus]
) -> int | None:
    """Let items be graded anew whose grade ended so; returns how many, None if the batch rests elsewhere.

    Their grades stay on record; the batch shows the new ones.
    """
    allowed = [one.value for one in only_from]
    ended_as = func.coalesce(grades.c.status, "failed")  # an item without a grade could not be graded

    def work(connection: Connection) -> int | None:
        batch = connection.execute(
            select(batches.c.status).where(batches.c.id == batch_id).with_for_update()
        ).scalar_one()
        if batch not in allowed:
            return None
        found = connection.execute(
            select(batch_items.c.number, ended_as.label("status"))
            .outerjoin(grades, grades.c.id == batch_items.c.grade_id)
            .where(batch_items.c.batch_id == batch_id, ended_as.in_(endings))
        ).all()
        firsts = select(batch_chunks.c.first).where(batch_chunks.c.batch_id == batch_id)
        begins = connection.execute(firsts.order_by(batch_chunks.c.number)).scalars().all()
        tallied: dict[int, dict[str, int]] = {}
        for row in found:
            ended = tallied.setdefault(bisect_right(begins, row.number) - 1, {})
            ended[row.status] = ended.get(row.status, 0) + 1
        numbers = [row.number for row in found]
        for start in range(0, len(numbers), 500):
            gone = delete(batch_items).where(
                batch_items.c.batch_id == batch_id, batch_items.c.number.in_(numbers[start : start + 500])
            )
            connection.execute(gone)
        for number, ended in sorted(tallied.items()):
            fewer = {name: batch_chunks.c[name] - count for name, count in ended.items()}
            change = update(batch_chunks).where(batch_chunks.c.id == chunk_id(batch_id, number))
            connection.execute(change.values(done=False, round=0, **fewer))
        if numbers:
            values = {"status": BatchStatus.RUNNING.value, "stop_reason": None, "finished_at": None}
            connection.execute(update(batches).where(batches.c.id == batch_id).values(**values))
        return len(numbers)

    return await db.alone(work)


async def forget_requests(db: Database, *, before: datetime) -> int:
    """Drop the stored requests of batches that ended before then: their texts stand with their items."""
    over = [one.value for one in BatchStatus if one.over]
    ended = select(batches.c.id).where(batches.c.status.in_(over), batches.c.finished_at < to_ms(before))
    chunks = select(batch_chunks.c.id).where(batch_chunks.c.batch_id.in_(ended))
    drop = delete(batch_requests).where(batch_requests.c.chunk_id.in_(chunks))
    return await db.write(lambda c: c.execute(drop).rowcount)


def _drop(connection: Connection, ids: list[int]) -> int:
    if ids:
        chunks = select(batch_chunks.c.id).where(batch_chunks.c.batch_id.in_(ids))
        connection.execute(delete(batch_requests).where(batch_requests.c.chunk_id.in_(chunks)))
        connection.execute(delete(batch_chunks).where(batch_chunks.c.batch_id.in_(ids)))
        connection.execute(delete(batch_comparisons).where(batch_comparisons.c.batch_id.in_(ids)))
        checking = batches.c.status == BatchStatus.CHECKING.value
        connection.execute(delete(batches).where(batches.c.id.in_(ids), checking))
    return len(ids)


def _whole(connection: Connection, rows: Any) -> list[Batch]:
    ids = [row.id for row in rows]
    c = batch_chunks.c
    sums = [func.sum(c[name]) for name in ("complete", "partial", "failed", "calls", "reused", "spared")]
    counted = connection.execute(select(c.batch_id, *sums).where(c.batch_id.in_(ids)).group_by(c.batch_id))
    counts = {batch: BatchCounts(*(int(value or 0) for value in values)) for batch, *values in counted}
    money = connection.execute(select(budget_table).where(budget_table.c.id.in_(ids)))
    spent = {row.id: budgets.spending(row) for row in money}
    compared = connection.execute(
        select(batch_comparisons.c.batch_id, batch_comparisons.c.shown).where(
            batch_comparisons.c.batch_id.in_(ids)
        )
    )
    shown = {row.batch_id: json.loads(row.shown) for row in compared}
    return [
        _batch(row, counts.get(row.id, BatchCounts()), spent.get(row.id, Spending()), shown.get(row.id))
        for row in rows
    ]


def read_options(row: SqlRow[Any]) -> BatchOptions:
    """The options in a batch's row."""
    more = json.loads(row.options)
    return BatchOptions(BatchMode(row.mode), Reuse(row.reuse), more.pop("rubrics"), more)


def _batch(row: SqlRow[Any], counts: BatchCounts, spending: Spending, shown: dict[str, Any] | None) -> Batch:
    ends = None if shown is None or shown["interval"] is None else tuple(shown["interval"])
    return Batch(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        status=BatchStatus(row.status),
        stop_reason=row.stop_reason,
        options=read_options(row),
        estimate=_estimate(json.loads(row.estimate)),
        items=row.items,
        chunks=row.chunks,
        counts=counts,
        spending=spending,
        created_at=from_ms(row.created_at),
        started_at=maybe_from_ms(row.started_at),
        finished_at=maybe_from_ms(row.finished_at),
        comparison=None if shown is None else ComparisonSoFar(**{**shown, "interval": ends}),
    )


def _estimate(stored: dict[str, Any]) -> Estimate:
    judges = tuple(JudgeShare(**one) for one in stored.pop("judges", ()))
    return Estimate(**stored, judges=judges)
