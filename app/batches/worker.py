"""The worker: hands chunks to the engine, grades what the engine gives it, and takes over from the dead."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from app.batches.chunk import Chunks
from app.batches.engine import Engine
from app.batches.patience import say_away
from app.batches.providers.duty import Providers
from app.batches.seats import Seats
from app.batches.standing import BEAT_EVERY_S, Standing
from app.storage import workers
from app.storage.batch_comparisons import undecided
from app.storage.batches import drop_abandoned, forget_requests, wake_for_the_day
from app.storage.chunks import hand_to_engine, open_batches, take_back, unclaimed
from app.storage.database import Database
from app.storage.passing import is_passing
from app.storage.rate_states import forget_holders

log = structlog.get_logger(__name__)

WINDOW = 128  # chunks of a batch that the engine has at once: its tables stay small whatever a batch's size
SHORT_WINDOW = 4  # of a batch that may stop early
_DISPATCH_S, _SWEEP_S, _HOUSEKEEPING_S = 0.25, 5.0, 600.0
_DRAIN_S, _LOOK_S, _PROVIDERS_S = 60.0, 0.05, 1.0


def executor_of(host: str, process_id: int) -> str:
    """What the engine calls a worker."""
    return f"{host}-{process_id}"


class BatchWorker:
    """One per process. ``open_engine`` makes the engine, with what it calls to grade and to note chunks."""

    def __init__(
        self,
        db: Database,
        chunks: Chunks,
        seats: Seats,
        standing: Standing,
        providers: Providers,
        open_engine: Callable[..., Engine],
        *,
        keep: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._db, self._chunks, self._seats, self._standing = db, chunks, seats, standing
        self._providers = providers
        self._open_engine, self._keep, self._now = open_engine, keep, now
        self._stop = asyncio.Event()
        self._waiting: set[tuple[int, int, int]] = set()

    def stop(self) -> None:
        """Begin no further call, record those under way, and end `run`."""
        self._stop.set()

    async def run(self) -> None:
        """Work until `stop`."""

        async def note(batch_id: int, round_: int, numbers: list[int]) -> None:
            await hand_to_engine(self._db, batch_id, round_, numbers)

        executor = executor_of(socket.gethostname(), self._db.process_id)
        engine = self._open_engine(executor, self._chunks.grade, note)
        await self._standing.enter()
        await engine.start()
        log.info("worker", executor=executor)
        loops = [
            asyncio.create_task(self._forever(name, every, work, engine))
            for name, every, work in (
                ("beat", BEAT_EVERY_S, self._beat),
                ("take over", BEAT_EVERY_S, self._take_over),
                ("dispatch", _DISPATCH_S, self._dispatch),
                ("batches at providers", _PROVIDERS_S, self._at_providers),
                ("sweep", _SWEEP_S, self._sweep),
                ("housekeeping", _HOUSEKEEPING_S, self._keep_house),
            )
        ]
        try:
            await self._stop.wait()
            await self._drain(engine)
        finally:
            for task in loops:
                task.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            engine.stop()
        await self._seats.purses.close()
        await workers.leave(self._db)

    async def _drain(self, engine: Engine) -> None:
        self._standing.drain()
        for _ in range(int(_DRAIN_S / _LOOK_S)):
            if not engine.at_work:  # the engine may still give out chunks, which go back at once
                break
            await asyncio.sleep(_LOOK_S)
        await self._providers.stop()
        if self._standing.chunks:
            log.warning("stopped with calls still under way", chunks=self._standing.chunks)

    async def _forever(
        self, name: str, every: float, work: Callable[[Engine], Awaitable[None]], engine: Engine
    ) -> None:
        while True:
            try:
                await work(engine)
            except Exception as error:  # there is a next time
                if is_passing(error):
                    say_away(error)
                else:
                    log.error("the worker could not do one of its duties", duty=name, exc_info=error)
            await asyncio.sleep(every)

    async def _beat(self, engine: Engine) -> None:
        await self._standing.beat()
        if self._standing.given_up and not self._standing.chunks:
            log.warning("was taken for dead and replaced; begins anew")
            self._seats.purses.forget()
            await self._standing.enter()

    async def _take_over(self, engine: Engine) -> None:
        for dead in await workers.take_dead(self._db):
            handed_on = await engine.take_over(executor_of(dead.host, dead.process_id))
            suspect = await workers.bury(self._db, dead.process_id)
            log.warning(
                "took over from a dead worker", pid=dead.pid, workflows=handed_on, suspect_usd=suspect
            )

    async def _dispatch(self, engine: Engine) -> None:
        if self._standing.draining or self._standing.given_up:
            return
        for batch in await open_batches(self._db, WINDOW):
            # What is with the engine when a comparison is decided is graded in vain.
            window = SHORT_WINDOW if batch.may_stop else WINDOW
            room = window - batch.with_engine
            numbers = batch.next[: max(room, 0)]
            if numbers and (room >= window // 2 or len(batch.next) <= room):
                await engine.hand_over(batch.id, batch.project_id, batch.round + 1, numbers)

    async def _at_providers(self, engine: Engine) -> None:
        if not (self._standing.draining or self._standing.given_up):
            await self._providers.work()

    async def _sweep(self, engine: Engine) -> None:
        """Chunks that fell between the engine and us, or that nobody on record has, are handed over again."""
        for process_id in await workers.strays(self._db, now=self._now()):
            await workers.bury(self._db, process_id)
        waiting = set(await unclaimed(self._db, limit=2 * WINDOW))
        # Only what waited at the last sweep as well: what is just being handed over is not lost.
        suspects, self._waiting = sorted(waiting & self._waiting), waiting
        if suspects:
            alive = await workers.list_workers(self._db)
            living = {executor_of(one.host, one.process_id) for one in alive}
            for batch_id, number, round_ in await engine.missing(suspects, living):
                await take_back(self._db, batch_id, number, round_)
        for batch_id in await undecided(self._db):  # a worker may have died between a chunk and its look
            await self._chunks.look(batch_id)
        await engine.forget_finished()
        await wake_for_the_day(self._db, now=self._now())

    async def _keep_house(self, engine: Engine) -> None:
        await drop_abandoned(self._db, now=self._now())
        await forget_holders(self._db, now=self._now())
        await forget_requests(self._db, before=self._now() - self._keep)
