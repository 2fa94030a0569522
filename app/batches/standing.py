"""Whether this worker may still call: its signs of life, its chunks' claims, the status of its batches.

A sign of life is given every second. Who has not given one for `LEASE_S` asks before its next call whether it
still counts as alive; another worker takes over only after `app.storage.workers.SILENT_MS`, which is longer.
So a worker that was frozen and replaced makes no call that it had not begun before.
"""

import asyncio
from collections.abc import Callable

from app.batches.patience import surely
from app.domain.batches import BatchStatus
from app.judges.judge import Withdrawn
from app.storage import workers
from app.storage.chunks import ClaimedChunk
from app.storage.database import Database
from app.storage.workers import Load

LEASE_S = 4.0
BEAT_EVERY_S = 1.0


class Standing:
    """The worker's place among workers. ``load`` says how much it has to do."""

    def __init__(self, db: Database, load: Callable[[], Load]) -> None:
        self._db, self._load = db, load
        self._alive_until = 0.0
        self._claims: dict[int, ClaimedChunk] = {}
        self._status: dict[int, BatchStatus] = {}
        self._beating = asyncio.Lock()
        self._changed = asyncio.Event()
        self.draining = self.given_up = False

    @property
    def chunks(self) -> int:
        """Chunks at work."""
        return len(self._claims)

    async def enter(self) -> None:
        """Become a worker, at first or again."""
        await workers.enter(self._db, self._load())
        self.given_up = False
        self._alive_until = _now() + LEASE_S

    def begin(self, chunk: ClaimedChunk) -> None:
        """A chunk was claimed, of a batch that is running."""
        self._claims[chunk.claim] = chunk
        self._status[chunk.batch_id] = BatchStatus.RUNNING

    def end(self, chunk: ClaimedChunk) -> bool:
        """The chunk is left; whether it was the last of its batch here."""
        self._claims.pop(chunk.claim, None)
        if all(other.batch_id != chunk.batch_id for other in self._claims.values()):
            self._status.pop(chunk.batch_id, None)
            return True
        return False

    def stop(self, batch_id: int, status: BatchStatus) -> bool:
        """The batch stands still from now on; whether it was at work here until now."""
        worked = self._status.get(batch_id) is BatchStatus.RUNNING
        if batch_id in self._status:
            self._status[batch_id] = status
        self._wake()
        return worked

    def drain(self) -> None:
        """Begin no further call."""
        self.draining = True
        self._wake()

    async def beat(self) -> None:
        """Give a sign of life, and hear of what became of the batches."""
        async with self._beating:
            await self._beat()

    async def check(self, chunk: ClaimedChunk) -> None:
        """Raise `Withdrawn` unless a call for this chunk may begin now."""
        await self.check_alive()
        if self._status.get(chunk.batch_id) is not BatchStatus.RUNNING or chunk.claim not in self._claims:
            raise Withdrawn("the batch stands still")

    async def check_alive(self) -> None:
        """Raise `Withdrawn` unless this worker may begin something now."""
        if _now() >= self._alive_until and not self.given_up:
            async with self._beating:
                if _now() >= self._alive_until:
                    await surely(self._beat)
        if self.given_up:
            raise Withdrawn("another worker took over")
        if self.draining:
            raise Withdrawn("the worker is stopping")

    async def pause(self, seconds: float) -> None:
        """Wait, but not past the moment at which work is withdrawn."""
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return

    async def _beat(self) -> None:
        begun = _now()
        status = await workers.beat(self._db, self._load(), list(self._status), draining=self.draining)
        if status is None:
            self.given_up = True
            self._wake()
            return
        self._alive_until = begun + LEASE_S
        for batch_id in self._status:
            if self._status[batch_id] is BatchStatus.RUNNING:
                self._status[batch_id] = status.get(batch_id, BatchStatus.CANCELLED)
        if any(one is not BatchStatus.RUNNING for one in self._status.values()):
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed.clear()


def _now() -> float:
    return asyncio.get_running_loop().time()
