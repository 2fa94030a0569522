"""What a worker does for batches at providers: makes them of the seats that wait, sends them, looks after
them, collects them.

All of it stands in the database, so that any worker goes on with what another began, after a kill as well.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import structlog

from app.batches.patience import say_away
from app.batches.providers.collecting import Collector
from app.batches.providers.notes import Notes
from app.batches.providers.outbox import Outbox, batching
from app.batches.providers.reading import Forgotten, SentSeats
from app.batches.providers.sending import RESTS, Sender
from app.batches.standing import Standing
from app.domain.batches import BATCH_SPENT, DAY_SPENT, BatchStatus
from app.domain.judging import JudgeVersion, Reply
from app.grading.rubrics import Rubrics
from app.judges.batching import NOT_FOUND, AtProvider, BatchWire
from app.judges.batching import Standing as At
from app.judges.call import CallingJudge
from app.judges.completion import CallFailed
from app.judges.judge import Judge, Withdrawn
from app.storage.batches import change_status
from app.storage.budgets import DAY
from app.storage.catalog import judge_version_id
from app.storage.chunks import ClaimedChunk, ClaimLost
from app.storage.database import Database
from app.storage.passing import is_passing
from app.storage.provider_batches import (
    INTENDED,
    Claimed,
    Lacking,
    claim_due,
    drop_unwanted,
    form,
)
from app.storage.provider_requests import Filling, count_queued, filling_batches, release_orphans

log = structlog.get_logger(__name__)

_AT_ONCE = 4  # batches that a worker talks about with their providers at a time
_FORM_S, _TIDY_S, _STOP_S = 2.0, 30.0, 20.0
_STRANGER = timedelta(minutes=10)
_LOST_AFTER = timedelta(days=1)


class Providers:
    """One per worker. ``poll`` is the first pause between two looks at a batch; later ones grow."""

    def __init__(
        self,
        db: Database,
        judges: Mapping[JudgeVersion, Judge],
        rubrics: Rubrics,
        standing: Standing,
        watch: Callable[[JudgeVersion, Reply], None],
        *,
        poll: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._db, self._judges, self._standing, self._now = db, judges, standing, now
        self._batching = {version: found for version, one in judges.items() if (found := batching(one))}
        self._poll, self._notes = poll, Notes(db, poll, now)
        seats = SentSeats(db, rubrics)
        self._collector = Collector(db, seats, watch, now)
        self._sender = Sender(db, seats, self._collector, standing, self._notes)
        self._steps: dict[int, asyncio.Task[None]] = {}
        self._form_at = self._tidy_at = 0.0
        self._lacking: dict[tuple[int, int], float] = {}

    def outbox(self, chunk: ClaimedChunk) -> Outbox:
        """For the seats of a chunk that is being graded."""
        return Outbox(self._db, chunk, self._judges)

    async def work(self) -> None:
        """What is to be done now; called again and again."""
        clock = asyncio.get_running_loop().time()
        if clock >= self._form_at:
            self._form_at = clock + _FORM_S
            await self.form()
        if clock >= self._tidy_at:
            self._tidy_at = clock + _TIDY_S
            await self.tidy()
        await self.go_on()

    async def form(self) -> None:
        """Make batches of the seats that wait: full ones at once, the rest once no chunk brings more."""
        for ours in await filling_batches(self._db):
            await self._form(ours)

    async def go_on(self) -> None:
        """Begin what is due for batches at providers, a few at a time; `done` waits for it."""
        while len(self._steps) < _AT_ONCE:
            one = await claim_due(self._db, list(self._steps), now=self._now())
            if one is None:
                return
            self._steps[one.id] = asyncio.create_task(self._step(one), name=f"batch at provider {one.id}")

    async def tidy(self) -> None:
        """Let go of seats that nobody wants any more, or whose judge nobody has."""
        await drop_unwanted(self._db)
        for ours in await filling_batches(self._db):
            known = [judge_version_id(ours.project_id, version) for version in self._batching]
            await release_orphans(self._db, ours.id, known)

    async def done(self) -> None:
        """Wait for what is under way."""
        while self._steps:
            await asyncio.wait(list(self._steps.values()))

    async def stop(self) -> None:
        """Let what is under way come to an end; what does not, others go on with."""
        if self._steps:
            _, left = await asyncio.wait(list(self._steps.values()), timeout=_STOP_S)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _form(self, ours: Filling) -> None:
        for version, (_, wire) in self._batching.items():
            key = judge_version_id(ours.project_id, version)
            enough, clock = wire.size.requests if ours.filling else 1, asyncio.get_running_loop().time()
            if self._lacking.get((ours.id, key), 0.0) > clock:
                continue
            while await count_queued(self._db, ours.id, key, enough) >= enough:
                size = {"requests": wire.size.requests, "size": wire.size.bytes}
                formed = await form(self._db, ours.id, key, **size, now=self._now())
                if isinstance(formed, Lacking):
                    self._lacking[ours.id, key] = clock + self._poll.total_seconds()
                    if not formed.outstanding:
                        await self._stop_batch(ours.id, formed.kind)
                if not isinstance(formed, int) or formed == 0:
                    break

    async def _stop_batch(self, batch_id: int, kind: str) -> None:
        await change_status(
            self._db,
            batch_id,
            BatchStatus.OUT_OF_BUDGET,
            only_from=(BatchStatus.RUNNING,),
            reason=DAY_SPENT if kind == DAY else BATCH_SPENT,
            now=self._now(),
        )
        self._lacking.clear()  # once there is money again, nothing is waited for

    async def _step(self, one: Claimed) -> None:
        """One thing that is to be done for a batch at a provider."""
        try:
            found = next(
                (
                    pair
                    for version, pair in self._batching.items()
                    if judge_version_id(one.project.id, version) == one.judge_version_id
                ),
                None,
            )
            if found is None:
                await self._stranger(one)
            elif one.state == INTENDED:
                await self._sender.send(one, *found)
            else:
                await self._look(one, *found)
        except CallFailed as failure:
            await self._later(one, failure.detail)
        except Withdrawn:
            with contextlib.suppress(ClaimLost):
                await self._notes.leave(one, timedelta(0))
        except ClaimLost:
            log.warning("a batch at a provider was taken over by another worker")
        except Exception as error:
            if is_passing(error):
                say_away(error)
            else:
                log.error("a batch at a provider could not be gone on with", exc_info=error)
                await self._later(one, f"something failed inside ({type(error).__name__}); it was logged")
        finally:
            self._steps.pop(one.id, None)

    async def _look(self, one: Claimed, judge: CallingJudge, wire: BatchWire) -> None:
        assert one.provider_id is not None  # it was sent
        try:
            batch = await self._seen(one, one.provider_id, wire)
            if batch.standing.over:
                await self._end(one, judge, wire, batch)
                return
        except CallFailed as failure:
            if failure.status != NOT_FOUND:
                raise
            await self._sender.give_up(one, judge, "the provider has it no more", lost=True)
            return
        except Forgotten:
            log.warning("results came for a batch whose texts are not kept any more")
            await self._notes.close(one, At.FAILED, "its texts are not kept any more", suspect=True)
            return
        await self._notes.leave(
            one,
            self._notes.pause(one.looks),
            standing=batch.standing.value,
            done=batch.done,
            failed=batch.failed,
            expires_at=batch.expires_at,
            detail=None,
            looks=one.looks + 1,
        )

    async def _seen(self, one: Claimed, provider_id: str, wire: BatchWire) -> AtProvider:
        """As it stands; a batch of ours that was paused or cancelled has it cancelled first."""
        if one.status in RESTS and one.cancelled_at is None:
            await self._notes.note(one, cancelled_at=self._now(), looks=0)
            try:
                return await wire.cancel(provider_id)
            except CallFailed as failure:
                if failure.status is None or failure.status >= 500:
                    await self._notes.note(one, cancelled_at=None)
                    raise
        return await wire.look(provider_id)

    async def _end(self, one: Claimed, judge: CallingJudge, wire: BatchWire, batch: AtProvider) -> None:
        if batch.standing is At.FAILED:
            await self._sender.give_up(one, judge, batch.detail or "the provider refused the whole batch")
            return
        if batch.standing is not At.FULL:
            await self._collector.collect(one, judge, wire, batch)
        await self._notes.note(one, done=batch.done, failed=batch.failed)
        await self._notes.close(one, batch.standing, batch.detail)

    async def _stranger(self, one: Claimed) -> None:
        """Its judge is not on this worker's roster, or calls no batch endpoint any more."""
        until = (one.expires_at or one.created_at + timedelta(days=1)) + _LOST_AFTER
        detail = "its judge is not on the roster any more"
        if self._now() < until:
            await self._notes.leave(one, _STRANGER, detail=detail)
        else:
            await self._notes.close(one, At.FAILED, detail, suspect=one.creating_at is not None)

    async def _later(self, one: Claimed, detail: str) -> None:
        """Try again after a while. How often one was looked for that is perhaps there is not touched."""
        looks = {} if one.state == INTENDED else {"looks": one.looks + 1}
        with contextlib.suppress(ClaimLost):
            await self._notes.leave(one, self._notes.pause(one.looks), detail=detail, **looks)
