"""Places for calls under way, given in turn to the projects that wait, so that none holds up another."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class Turns:
    """``places`` calls at once. A place is held from before a call until its verdict is committed: what a
    crash makes undone is at most what holds a place."""

    def __init__(self, places: int) -> None:
        self.places, self.taken = places, 0
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}  # in the order of turns

    @property
    def waiting(self) -> int:
        """Calls that wait for a place."""
        return sum(len(queue) for queue in self._waiting.values())

    @contextlib.asynccontextmanager
    async def turn(self, project_id: int) -> AsyncIterator[None]:
        """Hold a place for a call of this project."""
        await self._take(project_id)
        try:
            yield
        finally:
            self._give()

    async def _take(self, project_id: int) -> None:
        if self.taken < self.places:
            self.taken += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(project_id, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._give()  # it came while the wait was being cancelled
            raise

    def _give(self) -> None:
        self.taken -= 1
        while self._waiting and self.taken < self.places:
            project_id, queue = next(iter(self._waiting.items()))
            del self._waiting[project_id]
            place = queue.popleft()
            if queue:
                self._waiting[project_id] = queue  # at the end: now it is the others' turn
            if not place.done():
                self.taken += 1
                place.set_result(None)
