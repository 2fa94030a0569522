"""Dollars: what batches and days may spend, what is set aside, what is spent.

Money is set aside before a call may cost it (`hold`), and what a reply cost moves from held to spent in the
transaction that records the reply (`spend_rows`): whatever dies, spent, held and suspect together never pass
a limit. Calls of batches count in the batch's budget and in the day's, all others (no batch) in the day's.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection, delete, func, insert, or_, select, update
from sqlalchemy.engine import Row as SqlRow

from app.domain.batches import Spending
from app.domain.ids import content_id
from app.storage import processes
from app.storage.database import Database
from app.storage.statements import Add, Insert, Row, summed
from app.storage.tables import budgets, purses, workers
from app.storage.writer import Rows

BATCH, DAY, DAILY = "batch", "day", "daily"

_OPEN = Insert(budgets, tuple(column.name for column in budgets.columns), ignore=True)
_SPEND = Add(budgets, ("spent_usd", "held_usd", "suspect_usd", "id"), prepare=summed)
_PURSE = Add(purses, ("held_usd", "id"), prepare=summed)


def day_of(now: datetime) -> int:
    """Days since 1970, UTC."""
    return int(now.astimezone(UTC).timestamp() // 86_400)


def day_budget_id(project_id: int, day: int) -> int:
    """The id of a project's budget of one day."""
    return content_id(project_id, "budget of the day", day)


def purse_id(process_id: int, project_id: int, batch_id: int | None, day: int) -> int:
    """The id of what a process holds of a project's day, for a batch or for what is none."""
    return content_id("purse", process_id, batch_id or project_id, day)


def _daily_id(project_id: int) -> int:
    return content_id(project_id, "budget of every day")


def open_budget(
    connection: Connection, budget_id: int, project_id: int, kind: str, limit: float | None, day: int | None
) -> None:
    """Put a budget on record unless it is there."""
    _OPEN.execute(connection, [(budget_id, project_id, kind, day, limit, 0.0, 0.0, 0.0)])


async def hold(
    db: Database, project_id: int, batch_id: int | None, day: int, amounts: Sequence[float]
) -> tuple[float, str | None]:
    """Set aside the first of ``amounts`` (largest first) that both the batch, if any, and the day have left.

    Returns it and None; or 0 and the kind of budget, `BATCH` or `DAY`, that has not even the last.
    """
    today = day_budget_id(project_id, day)
    purse = purse_id(db.process_id, project_id, batch_id, day)

    def work(connection: Connection) -> tuple[float, str | None]:
        limit = _daily_limit(connection, project_id)
        open_budget(connection, today, project_id, DAY, limit, day)
        _lock(connection, (today,) if batch_id is None else (batch_id, today))
        lacking = BATCH
        for amount in amounts:
            if batch_id is not None and not _take(connection, batch_id, amount):
                lacking = BATCH
                continue
            if _take(connection, today, amount):
                _fill_purse(connection, purse, project_id, batch_id, today, db.process_id, amount)
                return amount, None
            if batch_id is not None:
                _take(connection, batch_id, -amount)
            lacking = DAY
        return 0.0, lacking

    return await db.alone(work)


async def give_back(db: Database, project_id: int, batch_id: int | None, day: int, amount: float) -> None:
    """Return what is held and not needed."""
    if amount > 0:
        rows = spend_rows(project_id, batch_id, day, db.process_id, spent=0.0, held=amount)
        await db.submit(rows)


def spend_rows(
    project_id: int,
    batch_id: int | None,
    day: int,
    process_id: int,
    *,
    spent: float,
    held: float,
    suspect: float = 0.0,
) -> Rows:
    """Rows that book ``spent`` and ``suspect`` dollars and take ``held`` from what the process holds."""
    budgets_of = (day_budget_id(project_id, day), *(() if batch_id is None else (batch_id,)))
    return {
        _SPEND: [(spent, -held, suspect, key) for key in budgets_of],
        _PURSE: [(-held, purse_id(process_id, project_id, batch_id, day))],
    }


def left(connection: Connection, project_id: int, batch_id: int, day: int) -> tuple[float, str]:
    """What both the batch and the day have left, and which of them has less. Both are locked."""
    today = day_budget_id(project_id, day)
    open_budget(connection, today, project_id, DAY, _daily_limit(connection, project_id), day)
    _lock(connection, (batch_id, today))
    found = {}
    for kind, key in ((BATCH, batch_id), (DAY, today)):
        row = connection.execute(select(budgets).where(budgets.c.id == key)).one_or_none()
        room = spending(row).left_usd
        found[kind] = float("inf") if room is None else room
    kind = min(found, key=lambda one: found[one])
    return found[kind], kind


def set_aside(connection: Connection, project_id: int, batch_id: int, day: int, amount: float) -> None:
    """Set money aside that `left` found."""
    rows = settle_rows(project_id, batch_id, day, spent=0.0, held=-amount)
    _SPEND.execute(connection, summed(connection, rows[_SPEND]))


def settle_rows(
    project_id: int, batch_id: int, day: int, *, spent: float, held: float, suspect: float = 0.0
) -> dict[Insert, list[Row]]:
    """Rows that book what was spent, or may have been, and free what was held for it by no worker."""
    amounts = (spent, -held, suspect)
    return {_SPEND: [(*amounts, batch_id), (*amounts, day_budget_id(project_id, day))]}


def held_budgets(connection: Connection, process_id: int) -> None:
    """Lock the budgets that a dead process held money of, before anything else of it is touched: whoever
    records for it locks in the same order."""
    found = connection.execute(select(purses).where(purses.c.process_id == process_id)).all()
    ids = {budget for purse in found for budget in (purse.batch_id, purse.day_budget_id)}
    _lock(connection, ids - {None})


def suspect(connection: Connection, process_id: int) -> float:
    """What a dead process held may have been spent: it stays out of reach. Returns how much."""
    found = connection.execute(
        select(purses).where(purses.c.process_id == process_id).order_by(purses.c.id).with_for_update()
    ).all()
    total = 0.0
    for purse in found:
        held = max(0.0, purse.held_usd)
        total += held
        for budget in (purse.batch_id, purse.day_budget_id):
            change = update(budgets).where(budgets.c.id == budget)
            values = {"held_usd": budgets.c.held_usd - held, "suspect_usd": budgets.c.suspect_usd + held}
            connection.execute(change.values(**values))
        connection.execute(delete(purses).where(purses.c.id == purse.id))
    return total


async def let_go(db: Database) -> float:
    """This process ends: what it still holds may have been spent."""
    return await db.alone(lambda connection: _let_go(connection, db.process_id))


async def let_go_of_dead(db: Database, *, now: datetime) -> float:
    """What processes held that are no more may have been spent; workers are taken over by others."""
    known = select(purses.c.process_id).where(purses.c.process_id.not_in(select(workers.c.process_id)))

    def dead(connection: Connection) -> tuple[int, ...]:
        alive = processes.living(connection, now) | {db.process_id}
        return tuple(set(connection.execute(known).scalars()) - alive)

    found = await db.read(dead)
    return sum([await db.alone(partial(_let_go, process_id=one)) for one in found])


def _let_go(connection: Connection, process_id: int) -> float:
    held_budgets(connection, process_id)
    return suspect(connection, process_id)


def _lock(connection: Connection, ids: Collection[int]) -> None:
    """Lock budgets in the order of ids, as `spend_rows` does."""
    query = select(budgets.c.id).where(budgets.c.id.in_(sorted(ids))).order_by(budgets.c.id)
    connection.execute(query.with_for_update()).all()


def spending(row: SqlRow[tuple[object, ...]] | None) -> Spending:
    """A budget's row in the words of the domain."""
    if row is None:
        return Spending()
    # Sums of many small amounts may end a hair below zero.
    held = max(0.0, row.held_usd) if abs(row.held_usd) > 1e-12 else 0.0
    return Spending(row.limit_usd, row.spent_usd, held, row.suspect_usd)


async def set_daily_limit(db: Database, project_id: int, limit: float | None, *, now: datetime) -> None:
    """What each of the project's days may cost, today included; None: no limit."""

    def work(connection: Connection) -> None:
        open_budget(connection, _daily_id(project_id), project_id, DAILY, limit, None)
        days = [_daily_id(project_id), day_budget_id(project_id, day_of(now))]
        connection.execute(update(budgets).where(budgets.c.id.in_(days)).values(limit_usd=limit))

    await db.write(work)


async def spending_of_day(db: Database, project_id: int, *, now: datetime) -> Spending:
    """What the project spent today (UTC), and the limit there is."""
    today = day_budget_id(project_id, day_of(now))

    def work(connection: Connection) -> Spending:
        row = connection.execute(select(budgets).where(budgets.c.id == today)).one_or_none()
        return spending(row) if row else Spending(_daily_limit(connection, project_id))

    return await db.read(work)


def has_room(connection: Connection, project_id: int, day: int) -> bool:
    """Whether at least a tenth of the day's budget is left: enough to begin calls again."""
    query = select(budgets).where(budgets.c.id == day_budget_id(project_id, day))
    today = spending(connection.execute(query).one_or_none())
    return today.limit_usd is None or (today.left_usd or 0.0) >= 0.1 * today.limit_usd > 0


def raise_limit(connection: Connection, budget_id: int, by: float) -> None:
    """Top up a budget; one without a limit stays without."""
    change = update(budgets).where(budgets.c.id == budget_id, budgets.c.limit_usd.is_not(None))
    connection.execute(change.values(limit_usd=budgets.c.limit_usd + by))


def _daily_limit(connection: Connection, project_id: int) -> float | None:
    query = select(budgets.c.limit_usd).where(budgets.c.id == _daily_id(project_id))
    return connection.execute(query).scalar_one_or_none()


def _take(connection: Connection, budget_id: int, amount: float) -> bool:
    b = budgets.c
    fits = b.spent_usd + b.suspect_usd + b.held_usd + amount <= func.coalesce(b.limit_usd, 1e300)
    enough = or_(b.limit_usd.is_(None), fits) if amount > 0 else b.id.is_not(None)
    change = update(budgets).where(b.id == budget_id, enough).values(held_usd=b.held_usd + amount)
    return connection.execute(change).rowcount == 1


def _fill_purse(
    connection: Connection,
    purse: int,
    project_id: int,
    batch_id: int | None,
    today: int,
    process_id: int,
    amount: float,
) -> None:
    add = update(purses).where(purses.c.id == purse).values(held_usd=purses.c.held_usd + amount)
    if connection.execute(add).rowcount == 0:
        row: Row = (purse, project_id, process_id, batch_id, today, amount)
        names = ("id", "project_id", "process_id", "batch_id", "day_budget_id", "held_usd")
        connection.execute(insert(purses).values(**dict(zip(names, row, strict=True))))
