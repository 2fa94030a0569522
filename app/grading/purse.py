"""The money that a process holds of budgets: set aside before a call may cost it, spent with the verdict."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Protocol, TypeVar

from app.storage import budgets
from app.storage.database import Database
from app.storage.writer import Rows

T = TypeVar("T")

_SLICE = 8  # calls for which money is fetched at once: enough to ask seldom, little to lose in a crash


class OutOfBudget(Exception):
    """Neither the budget nor calls under way leave enough for one more call, which may cost ``worst_usd``.

    ``kind`` is batch or day.
    """

    def __init__(self, kind: str, worst_usd: float) -> None:
        super().__init__(f"the budget of the {kind} does not cover a call that may cost ${worst_usd:.6f}")
        self.kind, self.worst_usd = kind, worst_usd


class Surely(Protocol):
    """How the database is asked for money: once, or until it answers."""

    def __call__(self, work: Callable[[], Awaitable[T]]) -> Awaitable[T]: ...


async def once(work: Callable[[], Awaitable[T]]) -> T:
    """Ask once: who waits for a grade has a deadline."""
    return await work()


class Purse:
    """What this process holds of one project's day, for one batch or for what is none (``batch_id`` None).

    ``free`` may be drawn; ``drawn`` are calls under way at their worst; together they are on record as held.
    Amounts are US dollars.
    """

    def __init__(
        self, db: Database, project_id: int, batch_id: int | None, day: int, surely: Surely = once
    ) -> None:
        self._db, self._project_id, self._batch_id, self.day = db, project_id, batch_id, day
        self._surely = surely
        self.free = self.drawn = 0.0
        self._calls = 0
        self._fetching = asyncio.Lock()
        self._asked: asyncio.Future[str | None] | None = None
        self._changed = asyncio.Event()

    @property
    def idle(self) -> bool:
        """Whether no call is under way, nor waits for money."""
        return not self._calls and not self._fetching.locked()

    async def draw(self, worst: float) -> None:
        """Take the worst of one call; waits for calls under way if only they can free enough.

        Raises
        ------
        OutOfBudget
            If there is too little and no call is under way.
        """
        while not self._take(worst):
            async with self._fetching:
                if self._take(worst):
                    return
                self._changed.clear()
                lacking = worst - self.free
                # A caller that gives up meanwhile must not take along what was set aside for it.
                fetch = asyncio.ensure_future(self._fetch((lacking + _SLICE * worst, lacking)))
                self._asked = fetch
                kind = await asyncio.shield(fetch)
                if kind is None:
                    continue
                # Calls that ended while the database was asked left what they did not need.
                if not self._calls and not self._changed.is_set():
                    raise OutOfBudget(kind, worst)
            await self._changed.wait()

    def settle(self, worst: float, cost: float, suspect: float = 0.0) -> Rows:
        """A call is over: the rest is free again. Returns the rows that book what it cost, or may have."""
        self._calls -= 1
        self.drawn -= worst
        self.free += worst - cost - suspect
        self._changed.set()
        if not cost and not suspect:
            return {}
        return budgets.spend_rows(
            self._project_id,
            self._batch_id,
            self.day,
            self._db.process_id,
            spent=cost,
            held=cost + suspect,
            suspect=suspect,
        )

    async def close(self) -> None:
        """Return what is free; no call is under way."""
        if self._asked is not None:
            # Its caller may have been withdrawn meanwhile; what it brings must not be held by nobody.
            await asyncio.wait([self._asked])
        if self.free > 0:
            amount, self.free = self.free, 0.0
            try:
                await budgets.give_back(self._db, self._project_id, self._batch_id, self.day, amount)
            except BaseException:
                self.free += amount
                raise

    async def _fetch(self, amounts: tuple[float, float]) -> str | None:
        """Set money aside, free to be drawn; the kind of budget that has not even the last amount, if any."""
        got, kind = await self._surely(partial(self._hold, amounts))
        self.free += got
        return kind

    async def _hold(self, amounts: tuple[float, float]) -> tuple[float, str | None]:
        return await budgets.hold(self._db, self._project_id, self._batch_id, self.day, amounts)

    def _take(self, worst: float) -> bool:
        if self.free < worst - 1e-15:
            return False
        self.free -= worst
        self.drawn += worst
        self._calls += 1
        return True


class Purses:
    """The purses of this process, by project and batch; a new one every day (UTC)."""

    def __init__(self, db: Database, now: Callable[[], datetime], surely: Surely = once) -> None:
        self._db, self._now, self._surely = db, now, surely
        self._open: dict[tuple[int, int | None], Purse] = {}
        self._old: list[Purse] = []

    def of(self, project_id: int, batch_id: int | None = None) -> Purse:
        """The purse to draw from now."""
        today, key = budgets.day_of(self._now()), (project_id, batch_id)
        purse = self._open.get(key)
        if purse is None or purse.day != today:
            if purse is not None:
                self._old.append(purse)
            purse = self._open[key] = Purse(self._db, project_id, batch_id, today, self._surely)
        return purse

    async def close_idle(self) -> None:
        """Return what is free where no call is under way."""
        for purse in [*self._open.values(), *self._old]:
            if purse.idle:
                await purse.close()
        self._old = [purse for purse in self._old if not purse.idle]

    async def close(self, batch_id: int | None = None) -> None:
        """Return what is free of a batch, or of all; none of its calls is under way."""
        keys = [key for key in self._open if batch_id is None or key[1] == batch_id]
        purses = [self._open.pop(key) for key in keys]
        purses += self._old
        self._old = [purse for purse in self._old if purse.drawn > 1e-12]
        for purse in purses:
            await purse.close()

    def forget(self) -> None:
        """What was held is out of our hands: another worker took over."""
        self._open.clear()
        self._old.clear()
