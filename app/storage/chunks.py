"""Chunks of batches: handed to the engine in rounds, claimed by one worker at a time, done for good.

A claim is a number drawn anew by every worker that takes the chunk. Whatever a worker records for a chunk
goes through `progress_rows`, which refuse the whole submission once the chunk has another claim: of two
workers that answer the same seat, one is recorded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, exists, func, or_, outerjoin, select, update

from app.domain.batches import BatchOptions, BatchStatus
from app.domain.projects import Project
from app.storage.assignments import PENDING
from app.storage.batches import chunk_id, read_options
from app.storage.database import Database
from app.storage.projects import one_project
from app.storage.statements import Add, Insert, Row
from app.storage.tables import batch_chunks, batch_items, batch_requests, batches, grades, workers
from app.storage.times import to_ms
from app.storage.writer import Rows


class ClaimLost(Exception):
    """The chunk has another claim by now: what was done under the old one is not recorded."""


@dataclass(frozen=True, slots=True)
class ClaimedChunk:
    """A chunk that is this worker's. ``first`` is the number of its first item within the batch; ``awaited``
    is 0 once its seats are back from their providers' batches."""

    id: int
    batch_id: int
    project: Project
    options: BatchOptions
    number: int
    first: int
    items: int
    requests: bytes
    claim: int
    awaited: int | None = None


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A running batch, how many of its open chunks are with the engine, and the next ones that are not.

    ``may_stop``: whether a comparison ends it early.
    """

    id: int
    project_id: int
    round: int
    with_engine: int
    next: tuple[int, ...]
    may_stop: bool


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What came of an item: its grade, or the problem for which it has none. ``line`` is the file's."""

    number: int
    line: int
    grade_id: int | None
    problem: str | None


async def open_batches(db: Database, most_next: int) -> tuple[OpenBatch, ...]:
    """Every running batch, oldest first, with at most ``most_next`` chunks to hand to the engine."""
    c = batch_chunks.c

    def work(connection: Connection) -> tuple[OpenBatch, ...]:
        running = select(batches).where(batches.c.status == BatchStatus.RUNNING.value).order_by(batches.c.id)
        found = []
        for row in connection.execute(running):
            there = (c.batch_id == row.id) & ~c.done
            count = select(func.count()).where(there, c.round > 0)
            ready = (c.round == 0) & (func.coalesce(c.awaited, 0) == 0)
            following = select(c.number).where(there, ready).order_by(c.number).limit(most_next)
            numbers = tuple(connection.execute(following).scalars())
            handed = connection.execute(count).scalar_one()
            may_stop = "stop_when" in read_options(row).more
            found.append(OpenBatch(row.id, row.project_id, row.round, handed, numbers, may_stop))
        return tuple(found)

    return await db.read(work)


async def hand_to_engine(db: Database, batch_id: int, round_: int, numbers: Sequence[int]) -> None:
    """Note that these chunks are with the engine in that round. Doing it twice changes nothing."""
    ids = [chunk_id(batch_id, number) for number in numbers]
    c = batch_chunks.c

    def work(connection: Connection) -> None:
        further = update(batches).where(batches.c.id == batch_id, batches.c.round < round_)
        connection.execute(further.values(round=round_))
        for start in range(0, len(ids), 500):
            some = update(batch_chunks).where(c.id.in_(ids[start : start + 500]), c.round == 0, ~c.done)
            connection.execute(some.values(round=round_))

    await db.alone(work)


async def unclaimed(db: Database, limit: int) -> tuple[tuple[int, int, int], ...]:
    """(batch, number, round) of open chunks that are with the engine but with no worker."""
    c = batch_chunks.c
    query = (
        select(c.batch_id, c.number, c.round)
        .join(batches, batches.c.id == c.batch_id)
        .where(batches.c.status == BatchStatus.RUNNING.value, ~c.done, c.round > 0, c.process_id.is_(None))
        .order_by(c.batch_id, c.number)
        .limit(limit)
    )
    return await db.read(lambda x: tuple((r.batch_id, r.number, r.round) for r in x.execute(query)))


async def take_back(db: Database, batch_id: int, number: int, round_: int) -> None:
    """The engine has that chunk of that round no more: it is to be handed over again."""
    c = batch_chunks.c
    change = update(batch_chunks).where(
        c.id == chunk_id(batch_id, number), c.round == round_, c.process_id.is_(None), ~c.done
    )
    await db.write(lambda x: x.execute(change.values(round=0)).rowcount)


async def claim_chunk(db: Database, batch_id: int, number: int, *, now: datetime) -> ClaimedChunk | None:
    """Make an open chunk of a running batch ours; None if it needs no work or a living worker has it."""
    claim, key = db.new_id(now), chunk_id(batch_id, number)
    c = batch_chunks.c

    def work(connection: Connection) -> ClaimedChunk | None:
        row = connection.execute(_whole(key).with_for_update(of=batch_chunks)).first()
        batch = connection.execute(select(batches).where(batches.c.id == batch_id)).one_or_none()
        if row is None or batch is None or batch.status != BatchStatus.RUNNING.value or row.requests is None:
            return None
        if row.awaited:  # its seats are at their providers
            return None
        if row.process_id is not None and connection.execute(lives(row.process_id)).scalar_one():
            return None
        mine = update(batch_chunks).where(c.id == key)
        connection.execute(mine.values(process_id=db.process_id, claim=claim))
        return ClaimedChunk(
            id=key,
            batch_id=batch_id,
            project=one_project(connection, batch.project_id),
            options=read_options(batch),
            number=number,
            first=row.first,
            items=row.items,
            requests=bytes(row.requests),
            claim=claim,
            awaited=row.awaited,
        )

    return await db.alone(work)


def _whole(key: int) -> Select[Any]:
    """An open chunk with its requests, if these are still there."""
    both = outerjoin(batch_chunks, batch_requests, batch_requests.c.chunk_id == batch_chunks.c.id)
    chunk = select(batch_chunks, batch_requests.c.requests).select_from(both)
    return chunk.where(batch_chunks.c.id == key, ~batch_chunks.c.done)


async def grades_of(db: Database, chunk: ClaimedChunk) -> dict[int, tuple[int | None, bool]]:
    """(grade, whether it is still open) of those items of a chunk that are on record."""
    i, last = batch_items.c, chunk.first + chunk.items
    query = (
        select(i.number, i.grade_id, grades.c.status)
        .outerjoin(grades, grades.c.id == i.grade_id)
        .where(i.batch_id == chunk.batch_id, i.number >= chunk.first, i.number < last)
    )
    return await db.read(lambda c: {r.number: (r.grade_id, r.status == PENDING) for r in c.execute(query)})


async def finish_chunk(db: Database, chunk: ClaimedChunk, *, now: datetime) -> bool:
    """All items of the chunk are settled; returns whether with it the batch is done."""
    c = batch_chunks.c
    end = update(batch_chunks).where(c.id == chunk.id, c.claim == chunk.claim)
    left = exists().where(c.batch_id == chunk.batch_id, ~c.done)
    done = update(batches).where(
        batches.c.id == chunk.batch_id, batches.c.status == BatchStatus.RUNNING.value, ~left
    )

    def work(connection: Connection) -> bool:
        connection.execute(end.values(done=True, process_id=None, claim=None))
        # Two workers may finish the last two chunks at once: the batch's row puts them in turn.
        connection.execute(select(batches.c.id).where(batches.c.id == chunk.batch_id).with_for_update())
        finished = done.values(status=BatchStatus.DONE.value, finished_at=to_ms(now))
        return connection.execute(finished).rowcount == 1

    return await db.alone(work)


async def leave_chunk(db: Database, chunk: ClaimedChunk, *, to_engine: bool) -> None:
    """Give up the claim. The chunk stays with the engine, or is handed to it again when its batch goes on."""
    c = batch_chunks.c
    change = update(batch_chunks).where(c.id == chunk.id, c.claim == chunk.claim)
    rest = {} if to_engine else {"round": 0}
    await db.write(lambda x: x.execute(change.values(process_id=None, claim=None, **rest)).rowcount)


def progress_rows(
    chunk: ClaimedChunk,
    *,
    complete: int = 0,
    partial: int = 0,
    failed: int = 0,
    calls: int = 0,
    reused: int = 0,
    spared: int = 0,
) -> Rows:
    """Rows that count what came of items and seats, and that are refused with `ClaimLost` if the claim is."""
    return {_PROGRESS: [(complete, partial, failed, calls, reused, spared, (chunk.id, chunk.claim))]}


def item_row(
    chunk: ClaimedChunk, number: int, line: int, grade_id: int | None, problem: str | None = None
) -> Row:
    """The row of `ITEMS` that names an item's grade, or the problem for which it has none."""
    return (chunk.batch_id, number, chunk.project.id, line, grade_id, problem)


ITEMS = Insert(batch_items, ("batch_id", "number", "project_id", "line", "grade_id", "problem"))


async def item_results(db: Database, batch_id: int, *, after: int, limit: int) -> tuple[ItemResult, ...]:
    """Items of a batch that are graded or cannot be, by number, from the one after ``after``."""
    i = batch_items.c
    query = (
        select(i.number, i.line, i.grade_id, i.problem)
        .outerjoin(grades, grades.c.id == i.grade_id)
        .where(i.batch_id == batch_id, i.number > after)
        .where(or_(i.grade_id.is_(None), grades.c.status != PENDING))
        .order_by(i.number)
        .limit(limit)
    )
    return await db.read(lambda c: tuple(ItemResult(*row) for row in c.execute(query)))


_AMOUNTS = ("complete", "partial", "failed", "calls", "reused", "spared")


def _claimed(connection: Connection, rows: list[Row]) -> list[Row]:
    """Sums by chunk, if every claim still holds; held claims are locked until this commit."""
    claims = {row[-1] for row in rows}
    c = batch_chunks.c
    query = select(c.id, c.claim).where(c.id.in_(sorted({key for key, _ in claims})), ~c.done)
    held = {(row.id, row.claim) for row in connection.execute(query.order_by(c.id).with_for_update())}
    if not claims <= held:
        raise ClaimLost("the chunk was taken over by another worker")
    sums: dict[int, list[int]] = {}
    for *amounts, (key, _) in rows:
        held_sums = sums.setdefault(key, [0] * len(_AMOUNTS))
        for place, amount in enumerate(amounts):
            held_sums[place] += amount
    return [(*sums[key], key) for key in sorted(sums)]


_PROGRESS = Add(batch_chunks, (*_AMOUNTS, "id"), prepare=_claimed)


def lives(process_id: int) -> Select[tuple[bool]]:
    """Whether that process is a worker that nobody took over."""
    there = exists().where(workers.c.process_id == process_id, workers.c.taken_by.is_(None))
    return select(there)
