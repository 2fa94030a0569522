"""Bringing a batch to its provider, once: what was begun and not heard of is looked for before it is sent
again."""

from datetime import datetime, timedelta
from functools import partial
from tempfile import TemporaryFile

import structlog

from app.batches.patience import surely
from app.batches.providers.collecting import Collector
from app.batches.providers.notes import Notes
from app.batches.providers.outbox import custom_id
from app.batches.providers.reading import SentSeats
from app.batches.standing import Standing
from app.domain.batches import BatchStatus
from app.domain.judging import UnscoredReason
from app.judges.batching import AtProvider, BatchWire
from app.judges.batching import Standing as At
from app.judges.call import CallingJudge
from app.judges.completion import CallFailed
from app.judges.prompt import build_prompt
from app.storage.chunks import ClaimLost
from app.storage.database import Database
from app.storage.provider_batches import SENT, Claimed, known_ids, provider_id

log = structlog.get_logger(__name__)

RESTS = (BatchStatus.PAUSED, *(status for status in BatchStatus if status.over))
_PATIENCE = timedelta(hours=1)  # how long a provider may not take a batch before its seats go another way
_NOT_TAKEN = "the provider did not take the batch within an hour"
_CLOCKS = timedelta(minutes=5)  # how far a provider's clock may be behind ours


class Sender:
    """Sends for this worker."""

    def __init__(
        self, db: Database, seats: SentSeats, collector: Collector, standing: Standing, notes: Notes
    ) -> None:
        self._db, self._seats, self._collector = db, seats, collector
        self._standing, self._notes = standing, notes

    async def send(self, one: Claimed, judge: CallingJudge, wire: BatchWire) -> None:
        """Bring it on its way, or find out that it was brought.

        Raises
        ------
        CallFailed
            If the provider cannot be talked to now.
        Withdrawn
            If this worker may begin nothing more.
        """
        late = self._notes.now() - one.created_at > _PATIENCE
        if one.creating_at is not None and await self._found(one, one.creating_at, wire):
            return
        if one.status in RESTS:  # not begun
            await self._notes.close(one, At.CANCELLED)
            return
        if late and one.creating_at is not None:
            await self.give_up(one, judge, _NOT_TAKEN)
            return
        with TemporaryFile() as file:
            async for page in self._seats.pages(one, judge.version):
                for sent in page:
                    name = custom_id(one.id, sent.request.grade_id, sent.request.position)
                    file.write(wire.line(name, build_prompt(sent.question)) + b"\n")
            try:
                uploaded = await wire.upload(f"venire-{one.id}", file)
            except CallFailed as failure:
                if failure.retry and late:
                    await self.give_up(one, judge, f"{_NOT_TAKEN}: {failure.detail}")
                else:
                    await self._refused(one, judge, failure)
                return
            await self._notes.note(one, uploaded=uploaded, creating_at=self._notes.now(), looks=0)
            await self._standing.check_alive()
            try:
                batch = await wire.create(str(one.id), file, uploaded)
            except CallFailed as failure:
                await self._refused(one, judge, failure)
                return
        try:
            await self._is_there(one, batch)
        except ClaimLost:
            await self._end_twin(one, batch, wire)
            raise

    async def give_up(self, one: Claimed, judge: CallingJudge, detail: str, *, lost: bool = False) -> None:
        """Let its requests go on without it."""
        log.warning("a batch at a provider brings nothing", judge=judge.version.name, why=detail)
        await self._collector.give_up(one, judge, detail, lost=lost)
        await self._notes.close(one, At.FAILED, detail)

    async def _found(self, one: Claimed, begun: datetime, wire: BatchWire) -> bool:
        """Whether nothing is to be sent: it is there, or nobody can tell yet. A batch that was just created
        may not be listed at once, so that it is looked for twice."""
        known = await surely(partial(known_ids, self._db, one))
        batch, certain = await wire.find(
            str(one.id), one.uploaded, since=begun - _CLOCKS, requests=one.requests, known=known
        )
        if batch is not None:
            await self._is_there(one, batch)
            return True
        if certain and one.looks:
            return False
        await self._notes.leave(one, self._notes.pause(one.looks), looks=one.looks + 1)
        return True

    async def _is_there(self, one: Claimed, batch: AtProvider) -> None:
        await self._notes.leave(
            one,
            timedelta(0) if batch.standing.over else self._notes.pause(0),
            state=SENT,
            provider_id=batch.id,
            standing=batch.standing.value,
            done=batch.done,
            failed=batch.failed,
            sent_at=self._notes.now(),
            expires_at=batch.expires_at,
            detail=None,
            looks=0,
        )

    async def _end_twin(self, one: Claimed, batch: AtProvider, wire: BatchWire) -> None:
        """End what was created by a worker that had been frozen and replaced, if another batch carries the
        intent out by now. If none does yet, this one will be found."""
        other = await surely(partial(provider_id, self._db, one.id))
        if other is not None and other != batch.id:
            log.warning("a batch was created twice, as its worker had been replaced", twin=batch.id)
            await wire.cancel(batch.id)

    async def _refused(self, one: Claimed, judge: CallingJudge, failure: CallFailed) -> None:
        """It was not taken: too much is waiting, or it never will be; or nobody knows whether it was."""
        if failure.reason is UnscoredReason.RATE_LIMITED:
            await self._notes.close(one, At.FULL, failure.detail)
        elif not failure.retry:
            await self.give_up(one, judge, failure.detail)
        else:
            raise failure
