"""How the allowances that all processes share stand, and who takes of them: for those who run the service."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, or_, select
from sqlalchemy.engine import Row

from app.domain.rates import RateHolder, RateKind, RateState, project_scope, read_scope
from app.storage.database import Database
from app.storage.rates import MINUTE_MS, now_ms
from app.storage.tables import rate_holders, rates
from app.storage.times import from_ms, to_ms

SILENT = timedelta(hours=1)  # who has leased nothing for so long is forgotten


async def rate_states(
    db: Database, project_id: int | None = None, *, now: datetime | None = None
) -> tuple[RateState, ...]:
    """Every allowance that was ever leased from, by scope; of those of projects only this one's, if given."""
    r, h = rates.c, rate_holders.c
    query = select(rates).order_by(r.scope, r.kind)
    if project_id is not None:
        query = query.where(or_(r.scope.not_like("project %"), r.scope == project_scope(project_id)))

    def read(connection: Connection) -> tuple[RateState, ...]:
        at = now_ms(connection, now)
        holders: dict[int, list[RateHolder]] = {}
        recent = select(rate_holders).where(h.minute >= at // MINUTE_MS - 1).order_by(h.host, h.pid)
        for row in connection.execute(recent):
            used = _used(row, at)
            if used > 0.0:
                one = RateHolder(row.host, row.pid, used, from_ms(row.leased_at))
                holders.setdefault(row.rate_id, []).append(one)
        found = connection.execute(query)
        return tuple(_state(row, tuple(holders.get(row.id, ())), at) for row in found)

    return await db.read(read)


async def forget_holders(db: Database, *, now: datetime | None = None) -> int:
    """Forget who has leased nothing for `SILENT`; returns how many."""
    before = to_ms((now or datetime.now(UTC)) - SILENT)
    gone = delete(rate_holders).where(rate_holders.c.leased_at < before)
    return await db.write(lambda connection: connection.execute(gone).rowcount)


def _used(row: Row[tuple[object, ...]], at: int) -> float:
    """In the last 60 seconds, as if what was taken in the minute before had flowed evenly."""
    into = (at % MINUTE_MS) / MINUTE_MS
    if row.minute == at // MINUTE_MS:
        return float(row.taken + (1.0 - into) * row.taken_before)
    return float((1.0 - into) * row.taken)


def _state(row: Row[tuple[object, ...]], holders: tuple[RateHolder, ...], at: int) -> RateState:
    scope, project_id = read_scope(row.scope)
    kind = RateKind(row.kind)
    used = sum(one.used for one in holders)
    if kind is RateKind.DOLLARS:
        day = 24 * 60 * MINUTE_MS
        used = row.allowance - row.level if row.flowed_at // day == at // day else 0.0
    return RateState(
        scope=scope,
        project_id=project_id,
        kind=kind,
        allowance=row.allowance,
        level=row.level,
        factor=row.factor,
        taken=row.taken,
        used=used,
        turned_away=row.turned_away,
        flowed_at=from_ms(row.flowed_at),
        holders=holders,
    )
