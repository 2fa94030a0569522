"""Comparisons that end batches: how far they were looked at, and how they stand."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from app.domain.batches import BatchOptions, BatchStatus
from app.domain.stopping import ComparisonSoFar
from app.storage.batches import chunk_id, read_options
from app.storage.database import Database
from app.storage.tables import batch_chunks, batch_comparisons, batch_items, batch_requests, batches
from app.storage.times import to_ms


@dataclass(frozen=True, slots=True)
class DueLook:
    """A comparison with the next chunk to look at, whose items are settled.

    ``chunks`` were looked at before; ``state`` is the confidence sequence after them. ``requests`` are the
    chunk's, as stored, and ``grades`` their grades in the same order, None where there is none.
    """

    batch_id: int
    project_id: int
    options: BatchOptions
    chunks: int
    state: bytes
    requests: bytes
    grades: tuple[int | None, ...]


async def open_comparison(db: Database, batch_id: int, project_id: int, *, state: bytes) -> None:
    """Put a comparison on record that nobody has looked at."""
    row = insert(batch_comparisons).values(
        batch_id=batch_id, project_id=project_id, chunks=0, decided=False, state=state,
        shown=json.dumps(asdict(ComparisonSoFar())), looked_at=None,
    )  # fmt: skip
    await db.write(lambda c: c.execute(row).rowcount)


async def due_look(db: Database, batch_id: int) -> DueLook | None:
    """The next look at a batch's comparison; None if there is none to take: no comparison, it is decided, or
    the next chunk is not done."""

    def work(connection: Connection) -> DueLook | None:
        row = connection.execute(
            select(batch_comparisons, batches.c.mode, batches.c.reuse, batches.c.options)
            .join(batches, batches.c.id == batch_comparisons.c.batch_id)
            .where(batch_comparisons.c.batch_id == batch_id, ~batch_comparisons.c.decided)
        ).one_or_none()
        if row is None:
            return None
        c = batch_chunks.c
        chunk = connection.execute(
            select(batch_chunks, batch_requests.c.requests)
            .join(batch_requests, batch_requests.c.chunk_id == c.id)
            .where(c.id == chunk_id(batch_id, row.chunks), c.done)
        ).one_or_none()
        if chunk is None:
            return None
        i, last = batch_items.c, chunk.first + chunk.items
        found = connection.execute(
            select(i.number, i.grade_id).where(
                i.batch_id == batch_id, i.number >= chunk.first, i.number < last
            )
        )
        by_number = {item.number: item.grade_id for item in found}
        return DueLook(
            batch_id=batch_id,
            project_id=row.project_id,
            options=read_options(row),
            chunks=row.chunks,
            state=bytes(row.state),
            requests=bytes(chunk.requests),
            grades=tuple(by_number.get(number) for number in range(chunk.first, last)),
        )

    return await db.read(work)


async def record_look(
    db: Database, due: DueLook, *, state: bytes, shown: ComparisonSoFar, reason: str | None, now: datetime
) -> bool:
    """Record a look, once: False if another process was faster. With a ``reason`` the comparison is decided,
    and the batch ends for it if it has not ended."""
    table = batch_comparisons
    look = update(table).where(table.c.batch_id == due.batch_id, table.c.chunks == due.chunks)
    going = [one.value for one in BatchStatus if not one.over]
    end = update(batches).where(batches.c.id == due.batch_id, batches.c.status.in_(going))

    def work(connection: Connection) -> bool:
        values = {"chunks": due.chunks + 1, "state": state, "shown": json.dumps(asdict(shown))}
        done = look.values(**values, decided=reason is not None, looked_at=to_ms(now))
        if connection.execute(done).rowcount == 0:
            return False
        if reason is not None:
            status = {"status": BatchStatus.DECIDED.value, "finished_at": to_ms(now)}
            connection.execute(end.values(**status, stop_reason=reason))
        return True

    return await db.alone(work)


async def undecided(db: Database) -> tuple[int, ...]:
    """Batches with a comparison that is not decided, and with chunks that it has not looked at."""
    table = batch_comparisons
    looked_on = [BatchStatus.RUNNING.value, BatchStatus.DONE.value]
    query = (
        select(table.c.batch_id)
        .join(batches, batches.c.id == table.c.batch_id)
        .where(~table.c.decided, table.c.chunks < batches.c.chunks, batches.c.status.in_(looked_on))
    )
    return await db.read(lambda c: tuple(c.execute(query).scalars()))
