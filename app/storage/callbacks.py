"""Callbacks: results that are owed to a URL, until delivered or given up."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, select, update

from app.storage.database import Database
from app.storage.tables import callbacks
from app.storage.times import to_ms


@dataclass(frozen=True, slots=True)
class DueCallback:
    """A finished grade whose result is owed to ``url``; ``attempts`` counts this one too."""

    project_id: int
    grade_id: int
    url: str
    attempts: int


async def take_due_callbacks(
    db: Database, *, now: datetime, limit: int = 20, lease: timedelta = timedelta(minutes=2)
) -> tuple[DueCallback, ...]:
    """Take callbacks that are due, longest overdue first.

    Nobody else gets one of them before ``lease`` is over; if it is neither delivered nor put off by
    then, it is due again.
    """
    due = (
        select(callbacks)
        .where(callbacks.c.due_at <= to_ms(now))
        .order_by(callbacks.c.due_at, callbacks.c.grade_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    hold = (
        update(callbacks)
        .where(callbacks.c.grade_id == bindparam("grade"))
        .values(due_at=to_ms(now + lease), attempts=callbacks.c.attempts + 1)
    )

    def take(connection: Connection) -> tuple[DueCallback, ...]:
        found = connection.execute(due).all()
        if found:
            connection.execute(hold, [{"grade": row.grade_id} for row in found])
        return tuple(DueCallback(r.project_id, r.grade_id, r.url, r.attempts + 1) for r in found)

    return await db.write(take)


async def callback_delivered(db: Database, grade_id: int, *, now: datetime) -> None:
    """Note that the receiver took the result."""
    change = update(callbacks).where(callbacks.c.grade_id == grade_id)
    done = change.values(due_at=None, delivered_at=to_ms(now), last_error=None)
    await db.write(lambda c: c.execute(done).rowcount)


async def put_callback_off(db: Database, grade_id: int, *, error: str, try_again_at: datetime | None) -> None:
    """Note why delivery failed and when to try again; None gives it up."""
    change = update(callbacks).where(callbacks.c.grade_id == grade_id)
    later = change.values(due_at=None if try_again_at is None else to_ms(try_again_at), last_error=error)
    await db.write(lambda c: c.execute(later).rowcount)
