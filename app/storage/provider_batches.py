"""Batches at providers: on record with their requests and their money before they are sent, then until they
are over.

The money of one is held by itself, not by a worker: when a worker dies nothing becomes suspect, as the batch
is found again. What is done for one is done under a claim, as with chunks.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import Connection, Select, and_, exists, func, insert, or_, select, update

from app.domain.batches import (
    BATCH_SPENT,
    AtProviders,
    BatchMode,
    BatchOptions,
    BatchStatus,
    ProviderBatch,
)
from app.domain.projects import Project
from app.storage import budgets
from app.storage.batches import chunk_id, read_options
from app.storage.chunks import ClaimLost, lives
from app.storage.database import Database
from app.storage.projects import one_project
from app.storage.provider_requests import Request, drop
from app.storage.statements import Add, Insert, Row, summed
from app.storage.tables import batch_chunks, batches, judge_versions, provider_batches, provider_requests
from app.storage.times import from_ms, maybe_from_ms, to_ms
from app.storage.writer import Rows, write_rows

INTENDED, SENT, OVER = "intended", "sent", "over"
FULL = "full"
_OVER = tuple(status.value for status in BatchStatus if status.over)
_RESTS = (BatchStatus.PAUSED.value, *_OVER)
_WORKING = "working"
_CALLS = Add(batch_chunks, ("calls", "id"), prepare=summed)
_DAYS_MS = 2 * 86_400_000
_PATIENCE_MS = 60_000  # after an account was full, before more is sent


@dataclass(frozen=True, slots=True)
class Lacking:
    """The budget of this kind does not cover one request; ``outstanding`` if batches at work may free some
    of it."""

    kind: str
    outstanding: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    """A batch at a provider that is this worker's for now. ``status`` is of the batch of ours."""

    id: int
    project: Project
    batch_id: int
    status: BatchStatus
    options: BatchOptions
    judge_version_id: int
    state: str
    standing: str | None
    provider_id: str | None
    uploaded: str | None
    requests: int
    held_usd: float
    day: int
    looks: int
    created_at: datetime
    creating_at: datetime | None
    cancelled_at: datetime | None
    sent_at: datetime | None
    expires_at: datetime | None
    claim: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request: ``rows`` record its reply, if it has one. Without a reply it goes back to wait
    for another batch (``again``, with so many tries), or is asked one by one. Dollars are what it cost, and
    what it may have cost."""

    request: Request
    rows: Rows
    spent_usd: float = 0.0
    suspect_usd: float = 0.0
    attempts: int = 0
    again: int | None = None


async def form(
    db: Database, batch_id: int, judge_version_id: int, *, requests: int, size: int, now: datetime
) -> int | Lacking | None:
    """Put a new batch on record, of waiting seats as many as fit; returns how many, 0 for none that may go
    now, or what is lacking. None: the batch of ours is not running.

    At most ``requests`` of together ``size`` bytes, and what the budget covers at their worst.
    """
    key = db.new_id(now)
    at, day = to_ms(now), budgets.day_of(now)
    b, r = provider_batches.c, provider_requests.c
    mine = (r.batch_id == batch_id) & (r.judge_version_id == judge_version_id) & r.provider_batch_id.is_(None)

    def work(connection: Connection) -> int | Lacking | None:
        ours = connection.execute(select(batches).where(batches.c.id == batch_id).with_for_update()).one()
        if ours.status != BatchStatus.RUNNING.value:
            return None
        same = (b.batch_id == batch_id) & (b.judge_version_id == judge_version_id)
        most = _most(connection, select(provider_batches).where(same), requests, at)
        waiting = connection.execute(
            select(r.grade_id, r.position, r.size, r.worst_usd)
            .where(mine)
            .order_by(r.grade_id, r.position)
            .limit(most)
        ).all()
        if not waiting:
            return 0
        left, kind = budgets.left(connection, ours.project_id, batch_id, day)
        count, worst = _fitting(waiting, size, left)
        if count == 0:
            open_ = exists().where(b.batch_id == batch_id, b.state != OVER)
            return Lacking(kind, bool(connection.execute(select(open_)).scalar_one()))
        budgets.set_aside(connection, ours.project_id, batch_id, day, worst)
        zero = dict.fromkeys(("done", "failed", "answered", "returned", "looks"), 0)
        row = {"id": key, "project_id": ours.project_id, "batch_id": batch_id, "state": INTENDED, **zero}
        row |= {"judge_version_id": judge_version_id, "requests": count, "held_usd": worst, "spent_usd": 0.0}
        connection.execute(insert(provider_batches).values(**row, day=day, due_at=at, created_at=at))
        last = waiting[count - 1]
        up_to = or_(
            r.grade_id < last.grade_id, and_(r.grade_id == last.grade_id, r.position <= last.position)
        )
        connection.execute(update(provider_requests).where(mine, up_to).values(provider_batch_id=key))
        return count

    return await db.alone(work)


async def claim_due(db: Database, busy: Collection[int], *, now: datetime) -> Claimed | None:
    """One that wants something to be done, and that no living worker works on; None if there is none.

    ``busy`` are those that this worker works on.
    """
    b, claim = provider_batches.c, db.new_id(now)
    to_cancel = (b.standing == _WORKING) & b.cancelled_at.is_(None) & batches.c.status.in_(_RESTS)
    query = (
        select(provider_batches)
        .join(batches, batches.c.id == b.batch_id)
        .where(b.state != OVER, or_(b.due_at <= to_ms(now), to_cancel), b.id.not_in(busy))
        .order_by(b.due_at)
    )

    def work(connection: Connection) -> Claimed | None:
        for row in connection.execute(query.with_for_update(of=provider_batches, skip_locked=True)):
            held = row.process_id is not None and row.process_id != db.process_id
            if held and connection.execute(lives(row.process_id)).scalar_one():
                continue
            mine = update(provider_batches).where(b.id == row.id)
            connection.execute(mine.values(process_id=db.process_id, claim=claim))
            return _claimed(connection, row, claim)
        return None

    return await db.alone(work) if await db.read(lambda c: c.execute(query.limit(1)).first()) else None


async def note(db: Database, one: Claimed, **values: Any) -> None:
    """Put something on record of it; ClaimLost if it is another worker's by now."""
    b = provider_batches.c
    change = update(provider_batches).where(b.id == one.id, b.claim == one.claim).values(**_stored(values))

    def work(connection: Connection) -> None:
        if connection.execute(change).rowcount == 0:
            raise ClaimLost("another worker took the batch over")

    await db.alone(work)


async def leave(db: Database, one: Claimed, *, due_at: datetime, **values: Any) -> None:
    """Nothing more can be done for it before ``due_at``."""
    await note(db, one, due_at=due_at, process_id=None, claim=None, **values)


async def known_ids(db: Database, one: Claimed) -> frozenset[str]:
    """What providers call the batches that carry out other intents, of the last days before this one."""
    b, since = provider_batches.c, to_ms(one.created_at) - _DAYS_MS
    others = select(b.provider_id).where(b.id != one.id, b.provider_id.is_not(None), b.created_at >= since)
    return await db.read(lambda c: frozenset(c.execute(others).scalars()))


async def provider_id(db: Database, intent: int) -> str | None:
    """What the provider calls the batch that carries out an intent, as far as anybody knows."""
    query = select(provider_batches.c.provider_id).where(provider_batches.c.id == intent)
    return await db.read(lambda c: c.execute(query).scalar_one())


async def record(db: Database, one: Claimed, outcomes: Sequence[Outcome]) -> None:
    """What came of some of its requests, with what they cost, in one transaction.

    Raises
    ------
    ClaimLost
        If it is another worker's by now; nothing is recorded then.
    """
    rows: dict[Insert, list[Row]] = {}
    spent, suspect = sum(o.spent_usd for o in outcomes), sum(o.suspect_usd for o in outcomes)
    held = sum(o.request.worst_usd for o in outcomes)
    calls = [(o.attempts, chunk_id(one.batch_id, o.request.chunk)) for o in outcomes if o.attempts]
    money = budgets.settle_rows(
        one.project.id, one.batch_id, one.day, spent=spent, held=held, suspect=suspect
    )
    counted: Rows = {_CALLS: calls} if calls else {}
    for more in (*(o.rows for o in outcomes), counted, money):
        for insert_, added in more.items():
            rows.setdefault(insert_, []).extend(added)
    done = [o.request for o in outcomes if o.again is None]
    answered = sum(bool(o.rows) for o in outcomes)
    b, r = provider_batches.c, provider_requests.c

    def work(connection: Connection) -> None:
        change = update(provider_batches).where(b.id == one.id, b.claim == one.claim)
        grown = change.values(
            answered=b.answered + answered,
            returned=b.returned + len(outcomes) - answered,
            held_usd=b.held_usd - held,
            spent_usd=b.spent_usd + spent,
        )
        if connection.execute(grown).rowcount == 0:
            raise ClaimLost("another worker took the batch over")
        write_rows(connection, rows)
        drop(connection, one.batch_id, [(q.grade_id, q.position, q.chunk) for q in done])
        for o in outcomes:
            if o.again is not None:
                same = (r.grade_id == o.request.grade_id) & (r.position == o.request.position)
                waits = update(provider_requests).where(same)
                connection.execute(waits.values(provider_batch_id=None, tries=o.again))

    await db.alone(work)


async def close(
    db: Database,
    one: Claimed,
    *,
    standing: str,
    detail: str | None = None,
    suspect: bool = False,
    now: datetime,
) -> None:
    """It is over: requests that are left wait for another batch, unless ours is over as well; money that is
    left is free, or, if it is ``suspect``, may have been spent.

    A batch of ours that had stopped for want of money goes on, as there is some again.
    """
    b, r = provider_batches.c, provider_requests.c

    def work(connection: Connection) -> None:
        mine = (b.id == one.id) & (b.claim == one.claim)
        row = connection.execute(select(provider_batches).where(mine).with_for_update()).first()
        if row is None:
            raise ClaimLost("another worker took the batch over")
        left = update(provider_requests).where(r.provider_batch_id == one.id)
        back = connection.execute(left.values(provider_batch_id=None)).rowcount
        _drop(connection, _unwanted().where(r.batch_id == one.batch_id))
        values = {"state": OVER, "standing": standing, "ended_at": to_ms(now), "held_usd": 0.0}
        values |= {"returned": row.returned + back, "process_id": None, "claim": None}
        if detail is not None:
            values["detail"] = detail
        connection.execute(update(provider_batches).where(mine).values(**values))
        lost = row.held_usd if suspect else 0.0
        write_rows(
            connection,
            budgets.settle_rows(
                one.project.id, one.batch_id, one.day, spent=0.0, held=row.held_usd, suspect=lost
            ),
        )
        stopped = (batches.c.status == BatchStatus.OUT_OF_BUDGET.value) & (
            batches.c.stop_reason == BATCH_SPENT
        )
        on = update(batches).where(batches.c.id == one.batch_id, stopped)
        connection.execute(on.values(status=BatchStatus.RUNNING.value, stop_reason=None))

    await db.alone(work)


async def drop_unwanted(db: Database) -> int:
    """Forget requests that wait in batches of ours that are over; returns how many."""
    query = _unwanted().limit(1000)
    if not await db.read(lambda connection: connection.execute(query.limit(1)).first()):
        return 0
    return await db.alone(lambda connection: _drop(connection, query))


def _unwanted() -> Select[Any]:
    """Requests that wait in batches of ours that are over."""
    r = provider_requests.c
    over = select(batches.c.id).where(batches.c.status.in_(_OVER), batches.c.mode == BatchMode.BATCH.value)
    return select(r.batch_id, r.grade_id, r.position, r.chunk).where(
        r.batch_id.in_(over), r.provider_batch_id.is_(None)
    )


def _drop(connection: Connection, query: Select[Any]) -> int:
    found = connection.execute(query).all()
    for batch_id in sorted({row.batch_id for row in found}):
        mine = [(x.grade_id, x.position, x.chunk) for x in found if x.batch_id == batch_id]
        drop(connection, batch_id, mine)
    return len(found)


def _most(connection: Connection, same: Select[Any], requests: int, at: int) -> int:
    """How many requests may go in one batch now: fewer for a while after the account was full."""
    b = provider_batches.c
    last = connection.execute(same.order_by(b.id.desc()).limit(1)).one_or_none()
    ever_full = connection.execute(same.where(b.standing == FULL).limit(1)).one_or_none()
    if last is None or ever_full is None:
        return requests
    if last.standing != FULL:
        return min(requests, 2 * int(last.requests))
    if last.ended_at + _PATIENCE_MS > at:
        return 0
    return max(1, min(requests, int(last.requests) // 2))


def _fitting(waiting: Sequence[Any], size: int, left: float) -> tuple[int, float]:
    """How many of the first fit, and what these cost at most."""
    count, bytes_, worst = 0, 0, 0.0

    def fits(row: Any) -> bool:
        nonlocal count, bytes_, worst
        if bytes_ + row.size > size or worst + row.worst_usd > left:
            return False
        count, bytes_, worst = count + 1, bytes_ + row.size, worst + row.worst_usd
        return True

    for _ in takewhile(fits, waiting):
        pass
    return count, worst


def _stored(values: dict[str, Any]) -> dict[str, Any]:
    return {name: to_ms(value) if isinstance(value, datetime) else value for name, value in values.items()}


def _claimed(connection: Connection, row: Any, claim: int) -> Claimed:
    ours = connection.execute(select(batches).where(batches.c.id == row.batch_id)).one()
    return Claimed(
        id=row.id,
        project=one_project(connection, row.project_id),
        batch_id=row.batch_id,
        status=BatchStatus(ours.status),
        options=read_options(ours),
        judge_version_id=row.judge_version_id,
        state=row.state,
        standing=row.standing,
        provider_id=row.provider_id,
        uploaded=row.uploaded,
        requests=row.requests,
        held_usd=row.held_usd,
        day=row.day,
        looks=row.looks,
        created_at=from_ms(row.created_at),
        creating_at=maybe_from_ms(row.creating_at),
        cancelled_at=maybe_from_ms(row.cancelled_at),
        sent_at=maybe_from_ms(row.sent_at),
        expires_at=maybe_from_ms(row.expires_at),
        claim=claim,
    )


async def at_providers(db: Database, batch_id: int) -> AtProviders:
    """The seats of a batch of ours that wait, and its batches at providers in the order they were made."""
    b, c = provider_batches.c, batch_chunks.c
    names = select(provider_batches, judge_versions.c.name.label("judge")).join(
        judge_versions, judge_versions.c.id == b.judge_version_id
    )
    made = names.where(b.batch_id == batch_id).order_by(b.id)
    awaited = select(func.coalesce(func.sum(c.awaited), 0)).where(c.batch_id == batch_id)

    def work(connection: Connection) -> AtProviders:
        found = tuple(_shown(row) for row in connection.execute(made))
        waiting = int(connection.execute(awaited).scalar_one())
        going = [one for one in found if one.state != OVER]
        sent = sum(one.requests - one.answered - one.returned for one in going)
        due = [one.expires_at for one in going if one.expires_at is not None]
        return AtProviders(max(0, waiting - sent), sent, max(due, default=None), found)

    return await db.read(work)


def _shown(row: Any) -> ProviderBatch:
    return ProviderBatch(
        id=row.id,
        judge=row.judge,
        provider_id=row.provider_id,
        state=row.state,
        standing=row.standing,
        detail=row.detail,
        requests=row.requests,
        done=row.done,
        failed=row.failed,
        answered=row.answered,
        returned=row.returned,
        held_usd=max(0.0, row.held_usd),
        spent_usd=row.spent_usd,
        created_at=from_ms(row.created_at),
        sent_at=maybe_from_ms(row.sent_at),
        expires_at=maybe_from_ms(row.expires_at),
        ended_at=maybe_from_ms(row.ended_at),
    )
