"""The money that a worker holds of a batch: set aside before a call may cost it, spent with the verdict."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial

from app.batches.patience import surely
from app.storage import budgets
from app.storage.database import Database
from app.storage.writer import Rows

_SLICE = 8  # calls for which money is fetched at once: enough to ask seldom, little to lose in a crash


class OutOfBudget(Exception):
    """Neither the budget nor calls under way leave enough for one more call. ``kind`` is batch or day."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"the budget of the {kind} is used up")
        self.kind = kind


class Purse:
    """What this worker holds of one batch and one day. Amounts are US dollars.

    ``free`` may be drawn; ``drawn`` are calls under way at their worst; together they are on record as held.
    """

    def __init__(self, db: Database, project_id: int, batch_id: int, day: int) -> None:
        self._db, self._project_id, self._batch_id, self.day = db, project_id, batch_id, day
        self.free = self.drawn = 0.0
        self._calls = 0
        self._fetching = asyncio.Lock()
        self._changed = asyncio.Event()

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
                got, kind = await surely(partial(self._hold, (lacking + _SLICE * worst, lacking)))
                self.free += got
                if kind is None:
                    continue
                if not self._calls:
                    raise OutOfBudget(kind)
            await self._changed.wait()

    def settle(self, worst: float, cost: float) -> Rows:
        """A call is over: the rest is free again. Returns the rows that book what it cost."""
        self._calls -= 1
        self.drawn -= worst
        self.free += worst - cost
        self._changed.set()
        if not cost:
            return {}
        return budgets.spend_rows(
            self._project_id, self._batch_id, self.day, self._db.process_id, spent=cost, held=cost
        )

    async def close(self) -> None:
        """Return what is free; no call is under way."""
        if self.free > 0:
            amount, self.free = self.free, 0.0
            await budgets.give_back(self._db, self._project_id, self._batch_id, self.day, amount)

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
    """The purses of this worker, by batch; a new one every day (UTC)."""

    def __init__(self, db: Database, now: Callable[[], datetime]) -> None:
        self._db, self._now = db, now
        self._open: dict[int, Purse] = {}
        self._old: list[Purse] = []

    def of(self, project_id: int, batch_id: int) -> Purse:
        """The purse to draw from now."""
        today = budgets.day_of(self._now())
        purse = self._open.get(batch_id)
        if purse is None or purse.day != today:
            if purse is not None:
                self._old.append(purse)
            purse = self._open[batch_id] = Purse(self._db, project_id, batch_id, today)
        return purse

    async def close(self, batch_id: int | None = None) -> None:
        """Return what is free of a batch, or of all; none of its calls is under way."""
        ids = list(self._open) if batch_id is None else [batch_id]
        purses = [purse for key in ids if (purse := self._open.pop(key, None)) is not None]
        purses += self._old
        self._old = [purse for purse in self._old if purse.drawn > 1e-12]
        for purse in purses:
            await purse.close()

    def forget(self) -> None:
        """What was held is out of our hands: another worker took over."""
        self._open.clear()
        self._old.clear()
