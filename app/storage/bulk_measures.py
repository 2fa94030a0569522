"""What bulk grading looks like as numbers, over all projects: for whoever watches the service."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from app.domain.batches import BatchStatus
from app.storage.budgets import BATCH
from app.storage.database import Database
from app.storage.processes import gone
from app.storage.provider_batches import OVER
from app.storage.tables import batch_chunks, batches, budgets, provider_batches, workers
from app.storage.workers import SILENT_MS, clock_ms


@dataclass(frozen=True, slots=True)
class BulkMeasures:
    """Depths of the moment. ``chunks`` are of running batches: waiting, with the engine, at work, or with
    seats at providers.

    ``dollars`` are of the budgets of batches that are not over. ``saved``: judge calls of all batches that
    were not made, second stages and (about) items of decided batches. ``provider_batches`` are not over, by
    what their providers said last; ``provider_seats`` are queued for one, or sent with one.
    """

    batches: dict[str, int]
    items_left: int
    chunks: dict[str, int]
    workers: dict[str, int]
    places: int
    in_flight: int
    dollars: dict[str, float]
    saved: dict[str, float]
    provider_batches: dict[str, int]
    provider_seats: dict[str, int]


async def bulk_measures(db: Database) -> BulkMeasures:
    """The numbers as one snapshot has them."""

    def work(connection: Connection) -> BulkMeasures:
        by_status = select(batches.c.status, func.count()).group_by(batches.c.status)
        standing = dict.fromkeys((one.value for one in BatchStatus), 0)
        standing |= {status: int(number) for status, number in connection.execute(by_status)}
        left, chunks = _chunks(connection)
        status, places, in_flight = _workers(connection)
        dollars, saved = _dollars(connection), _saved(connection)
        return BulkMeasures(
            standing, left, chunks, status, places, in_flight, dollars, saved, *_providers(connection)
        )

    return await db.read(work)


def _chunks(connection: Connection) -> tuple[int, dict[str, int]]:
    c = batch_chunks.c
    settled = c.complete + c.partial + c.failed
    handed, claimed = (c.round > 0).label("handed"), c.process_id.is_not(None).label("claimed")
    away = (func.coalesce(c.awaited, 0) > 0).label("away")
    rows = connection.execute(
        select(handed, claimed, away, func.count(), func.sum(c["items"] - settled))
        .join(batches, batches.c.id == c.batch_id)
        .where(batches.c.status == BatchStatus.RUNNING.value, ~c.done)
        .group_by("handed", "claimed", "away")
    )
    chunks, left = {"waiting": 0, "with_engine": 0, "at_work": 0, "at_providers": 0}, 0
    for with_engine, at_work, at_providers, number, items in rows:
        waiting = "at_providers" if at_providers else "waiting"
        chunks["at_work" if at_work else "with_engine" if with_engine else waiting] += int(number)
        left += int(items)
    return left, chunks


def _saved(connection: Connection) -> dict[str, float]:
    c = batch_chunks.c
    spared = connection.execute(select(func.sum(c.spared))).scalar_one()
    settled, calls = func.sum(c.complete + c.partial + c.failed), func.sum(c.calls)
    decided = (
        select(batches.c["items"], settled, calls)
        .join(batches, batches.c.id == c.batch_id)
        .where(batches.c.status == BatchStatus.DECIDED.value)
        .group_by(batches.c.id, batches.c["items"])
    )
    left = sum((items - done) * made / done for items, done, made in connection.execute(decided) if done)
    return {"second_stage": float(spared or 0), "decided": float(left)}


def _workers(connection: Connection) -> tuple[dict[str, int], int, int]:
    alive = select(workers).where(workers.c.seen_at >= clock_ms(connection) - SILENT_MS)
    status, places, in_flight = {"working": 0, "draining": 0}, 0, 0
    for row in connection.execute(alive):
        if not gone(row.host, row.pid):
            status[row.status] += 1
            places, in_flight = places + row.places, in_flight + row.in_flight
    return status, places, in_flight


def _providers(connection: Connection) -> tuple[dict[str, int], dict[str, int]]:
    b, c = provider_batches.c, batch_chunks.c
    standing = func.coalesce(b.standing, b.state)
    open_ = connection.execute(
        select(standing, func.count(), func.sum(b.requests - b.answered - b.returned))
        .where(b.state != OVER)
        .group_by(standing)
    ).all()
    over = [one.value for one in BatchStatus if one.over]
    awaited = (
        select(func.coalesce(func.sum(c.awaited), 0))
        .join(batches, batches.c.id == c.batch_id)
        .where(batches.c.status.not_in(over), c.awaited > 0)
    )
    sent = sum(int(seats) for _, _, seats in open_)
    queued = max(0, int(connection.execute(awaited).scalar_one()) - sent)
    counts = dict.fromkeys(("intended", "working", "cancelling"), 0)
    return counts | {name: int(number) for name, number, _ in open_}, {"queued": queued, "sent": sent}


def _dollars(connection: Connection) -> dict[str, float]:
    b = budgets.c
    open_ = select(batches.c.id).where(
        batches.c.status.in_([one.value for one in BatchStatus if not one.over])
    )
    sums = select(func.sum(b.spent_usd), func.sum(b.held_usd), func.sum(b.suspect_usd), func.sum(b.limit_usd))
    row = connection.execute(sums.where(b.kind == BATCH, b.id.in_(open_))).one()
    return {name: float(v or 0.0) for name, v in zip(("spent", "held", "suspect", "limit"), row, strict=True)}
