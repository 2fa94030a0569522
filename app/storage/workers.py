"""Workers and their signs of life; what a dead one had claimed is taken over by another.

Silence is measured by the database's clock, so that machines need not agree on the time.
"""

import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Connection,
    cast,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.engine import Row as SqlRow

from app.domain.batches import BatchStatus, Worker
from app.storage import budgets
from app.storage.database import Database
from app.storage.processes import gone, living
from app.storage.tables import batch_chunks, batches, provider_batches, purses, workers
from app.storage.times import from_ms

SILENT_MS = 8_000  # without a sign of life for so long, a worker is taken over
_TAKING_MS = 15_000  # whoever began to take one over has this long to finish


@dataclass(frozen=True, slots=True)
class Load:
    """What a worker has to do just now."""

    places: int
    in_flight: int = 0
    chunks: int = 0
    calls: int = 0


async def enter(db: Database, load: Load) -> None:
    """Put this process on record as a worker."""

    def work(connection: Connection) -> None:
        now = clock_ms(connection)
        connection.execute(delete(workers).where(workers.c.process_id == db.process_id))
        connection.execute(
            insert(workers).values(
                process_id=db.process_id,
                host=socket.gethostname(),
                pid=os.getpid(),
                status="working",
                places=load.places,
                in_flight=0,
                chunks=0,
                calls=0,
                started_at=now,
                seen_at=now,
            )
        )

    await db.write(work)


async def beat(
    db: Database, load: Load, batch_ids: Sequence[int], *, draining: bool = False
) -> dict[int, BatchStatus] | None:
    """Give a sign of life; returns the status of these batches, or None if this worker was given up."""

    def work(connection: Connection) -> dict[int, BatchStatus] | None:
        change = (
            update(workers)
            .where(workers.c.process_id == db.process_id, workers.c.taken_by.is_(None))
            .values(
                seen_at=clock_ms(connection),
                status="draining" if draining else "working",
                in_flight=load.in_flight,
                chunks=load.chunks,
                calls=load.calls,
            )
        )
        if connection.execute(change).rowcount == 0:
            return None
        known = select(batches.c.id, batches.c.status).where(batches.c.id.in_(batch_ids))
        return {row.id: BatchStatus(row.status) for row in connection.execute(known)}

    return await db.write(work)


async def leave(db: Database) -> None:
    """This worker stops: its claims and what it holds are free. Nothing of it is under way.

    Its row stays for whoever comes next: the engine may have given it work that it did not begin.
    """

    def work(connection: Connection) -> None:
        _let_go(connection, db.process_id)
        connection.execute(update(workers).where(workers.c.process_id == db.process_id).values(seen_at=0))

    await db.alone(work)


async def take_dead(db: Database) -> tuple[Worker, ...]:
    """Dead workers that nobody else takes over; each wants a `bury` once its work is handed on."""

    def work(connection: Connection) -> tuple[Worker, ...]:
        now = clock_ms(connection)
        w = workers.c
        free = or_(w.taken_by.is_(None), w.taken_at < now - _TAKING_MS)
        found = connection.execute(select(workers).where(w.process_id != db.process_id, free)).all()
        dead = [row for row in found if row.seen_at < now - SILENT_MS or gone(row.host, row.pid)]
        taken = []
        for row in dead:
            mine = update(workers).where(w.process_id == row.process_id, free, w.seen_at == row.seen_at)
            if connection.execute(mine.values(taken_by=db.process_id, taken_at=now)).rowcount == 1:
                taken.append(_worker(row))
        return tuple(taken)

    if not await db.read(lambda c: _any_silent(c, db.process_id)):
        return ()
    return await db.alone(work)


async def bury(db: Database, process_id: int) -> float:
    """Take a dead worker off the record; returns the dollars that its last calls may have cost."""

    def work(connection: Connection) -> float:
        connection.execute(delete(workers).where(workers.c.process_id == process_id))
        return _let_go(connection, process_id)

    return await db.alone(work)


async def strays(db: Database, *, now: datetime) -> tuple[int, ...]:
    """Processes that claim chunks, or hold money and live no more, but are on record as no worker: each wants
    a `bury`. A service holds money, too."""
    known = select(workers.c.process_id)
    claims = select(batch_chunks.c.process_id).where(~batch_chunks.c.done)
    claiming = claims.where(batch_chunks.c.process_id.is_not(None), batch_chunks.c.process_id.not_in(known))
    holding = select(purses.c.process_id).where(purses.c.process_id.not_in(known))

    def work(connection: Connection) -> tuple[int, ...]:
        found = set(connection.execute(holding).scalars())
        if found:
            found -= living(connection, now)
        return tuple(found | set(connection.execute(claiming).scalars()))

    return await db.read(work)


async def list_workers(db: Database) -> tuple[Worker, ...]:
    """Every worker on record, oldest first, but for those that are dead."""

    def work(connection: Connection) -> tuple[Worker, ...]:
        alive = workers.c.seen_at >= clock_ms(connection) - SILENT_MS
        rows = connection.execute(select(workers).where(alive).order_by(workers.c.started_at))
        return tuple(_worker(row) for row in rows if not gone(row.host, row.pid))

    return await db.read(work)


def clock_ms(connection: Connection) -> int:
    """The database's own time; SQLite has that of its machine."""
    if connection.dialect.name == "sqlite":
        return int(time.time() * 1000)
    epoch = func.extract("epoch", literal_column("clock_timestamp()"))
    return int(connection.execute(select(cast(epoch * 1000, BigInteger))).scalar_one())


def _any_silent(connection: Connection, process_id: int) -> bool:
    """Whether there is anything to take over: asked every second, so without a lock."""
    now = clock_ms(connection)
    rows = connection.execute(select(workers).where(workers.c.process_id != process_id))
    return any(row.seen_at < now - SILENT_MS or gone(row.host, row.pid) for row in rows)


def _let_go(connection: Connection, process_id: int) -> float:
    budgets.held_budgets(connection, process_id)
    free = update(batch_chunks).where(batch_chunks.c.process_id == process_id)
    connection.execute(free.values(process_id=None, claim=None))
    at_providers = update(provider_batches).where(provider_batches.c.process_id == process_id)
    connection.execute(at_providers.values(process_id=None, claim=None))
    return budgets.suspect(connection, process_id)


def _worker(row: SqlRow[tuple[object, ...]]) -> Worker:
    return Worker(
        process_id=row.process_id,
        host=row.host,
        pid=row.pid,
        status=row.status,
        places=row.places,
        in_flight=row.in_flight,
        chunks=row.chunks,
        calls=row.calls,
        started_at=from_ms(row.started_at),
        seen_at=from_ms(row.seen_at),
    )
