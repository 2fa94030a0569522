"""Places for calls under way, shared among the projects that wait, so that none holds up another."""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator


class Places:
    """``places`` calls at once. A place is held from before a call until its verdict is committed: what a
    crash makes undone is at most what holds a place.

    A free place goes to the waiting project that holds the fewest: one whose calls take long, for its limits
    or its provider, cannot fill all places while others wait.
    """

    def __init__(self, places: int) -> None:
        self.places, self.taken = places, 0
        self._held: Counter[int] = Counter()
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}  # in the order of turns

    @property
    def waiting(self) -> int:
        """Calls that wait for a place."""
        return sum(len(queue) for queue in self._waiting.values())

    @contextlib.asynccontextmanager
    async def place(self, project_id: int) -> AsyncIterator[None]:
        """Hold a place for a call of this project."""
        await self._take(project_id)
        try:
            yield
        finally:
            self._give(project_id)

    async def _take(self, project_id: int) -> None:
        if self.taken < self.places:
            self._count(project_id, 1)
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(project_id, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._give(project_id)  # it came while the wait was being cancelled
            raise

    def _give(self, project_id: int) -> None:
        self._count(project_id, -1)
        while self._waiting and self.taken < self.places:
            following = min(
                self._waiting, key=self._held.__getitem__
            )  # of several the one that waits longest
            queue = self._waiting.pop(following)
            place = queue.popleft()
            if queue:
                self._waiting[following] = queue  # at the end: now it is the others' turn
            if not place.done():
                self._count(following, 1)
                place.set_result(None)

    def _count(self, project_id: int, by: int) -> None:
        self.taken += by
        self._held[project_id] += by
        if not self._held[project_id]:
            del self._held[project_id]
