"""What came of a batch at a provider, mapped back to its seats: replies are recorded, the rest goes on."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from tempfile import TemporaryFile
from typing import IO

import structlog

from app.batches.patience import surely
from app.batches.providers.outbox import custom_id
from app.batches.providers.reading import Sent, SentSeats
from app.domain.batches import Fallback
from app.domain.judging import JudgeVersion, Reply, Unscored, UnscoredReason, Usage
from app.judges.batching import AtProvider, BatchWire, Ended, LineResult, Standing
from app.judges.call import CallingJudge
from app.storage.database import Database
from app.storage.provider_batches import Claimed, Outcome, record
from app.storage.verdicts import reply_rows

log = structlog.get_logger(__name__)

_UNLISTED = {Standing.EXPIRED: Ended.EXPIRED, Standing.CANCELLED: Ended.CANCELLED}
"""What a request without a line came to, where the batch as a whole says so."""

MOST_TRIES = 2  # batches that a request is in before it is given up, where it waits for another
_EXPIRED = "the provider's batch expired before this request was answered"
_MISSING = "the provider's batch has no result for this request"


class Collector:
    """Collects for this worker. ``watch`` hears of every reply that is on record."""

    def __init__(
        self,
        db: Database,
        seats: SentSeats,
        watch: Callable[[JudgeVersion, Reply], None],
        now: Callable[[], datetime],
    ) -> None:
        self._db, self._seats, self._watch, self._now = db, seats, watch, now

    async def collect(self, one: Claimed, judge: CallingJudge, wire: BatchWire, batch: AtProvider) -> None:
        """Record every result, in whatever order they come; CallFailed if they cannot be fetched.

        A worker that dies meanwhile leaves requests behind that the next one collects.
        """
        with TemporaryFile() as file:
            await wire.fetch(batch, file)
            places = _index(wire, file)

            def result(sent: Sent) -> LineResult | None:
                name = custom_id(one.id, sent.request.grade_id, sent.request.position)
                unlisted = _UNLISTED.get(batch.standing)
                missing = None if unlisted is None else LineResult(name, unlisted)
                return _line(wire, file, places, name) or missing

            async for page in self._seats.pages(one, judge.version):
                found = [self._outcome(one, judge, sent, result(sent)) for sent in page]
                await self._record(one, found)
                judge.paid_in_batch(sum(outcome.spent_usd for _, outcome, _ in found))

    async def give_up(self, one: Claimed, judge: CallingJudge, detail: str, *, lost: bool = False) -> None:
        """The batch brings nothing: its requests go on without it. ``lost``: what it cost nobody knows."""
        async for page in self._seats.pages(one, judge.version):
            found = []
            for sent in page:
                outcome, reply = self._without(one, sent, UnscoredReason.PROVIDER_ERROR, detail)
                suspect = sent.request.worst_usd if lost else 0.0
                found.append((sent, replace(outcome, suspect_usd=suspect), reply))
            await self._record(one, found)

    async def _record(self, one: Claimed, found: list[tuple[Sent, Outcome, Reply | None]]) -> None:
        await surely(partial(record, self._db, one, [outcome for _, outcome, _ in found]))
        for sent, _, reply in found:
            if reply is not None:
                self._watch(sent.seat.judge, reply)

    def _outcome(
        self, one: Claimed, judge: CallingJudge, sent: Sent, result: LineResult | None
    ) -> tuple[Sent, Outcome, Reply | None]:
        if result is None:
            outcome, reply = self._without(one, sent, UnscoredReason.PROVIDER_ERROR, _MISSING)
            return sent, replace(outcome, suspect_usd=sent.request.worst_usd, attempts=1), reply
        if result.ended is Ended.EXPIRED:
            return sent, *self._without(one, sent, UnscoredReason.TIMEOUT, _EXPIRED)
        if result.ended is Ended.CANCELLED:
            again = None if one.status.over else sent.request.tries
            return sent, Outcome(sent.request, {}, again=again), None
        failure = result.failure
        said = result.completion if failure is None else failure
        assert said is not None  # a line that is answered has a completion
        reply = judge.reply_in_batch(said, sent.question)
        if failure is not None and failure.retry:
            detail = failure.detail
            outcome, instead = self._without(one, sent, failure.reason, detail, usage=reply.usage)
            return sent, replace(outcome, spent_usd=reply.usage.cost_usd, attempts=1), instead
        return sent, self._answered(sent, reply), reply

    def _answered(self, sent: Sent, reply: Reply) -> Outcome:
        rows = reply_rows(sent.grade, [(sent.seat, reply)], self._now())
        return Outcome(sent.request, rows, spent_usd=reply.usage.cost_usd, attempts=reply.usage.attempts)

    def _without(
        self, one: Claimed, sent: Sent, reason: UnscoredReason, detail: str, usage: Usage | None = None
    ) -> tuple[Outcome, Reply | None]:
        """A request without an answer: once more by a batch, one by one, or unscored, as was asked for."""
        fallback, tries = one.options.fallback, sent.request.tries + 1
        if fallback is Fallback.ORDINARY:
            return Outcome(sent.request, {}), None
        if fallback is Fallback.BATCH and tries < MOST_TRIES:
            return Outcome(sent.request, {}, again=tries), None
        reply = Reply(unscored=Unscored(reason, detail), usage=usage or Usage())
        return self._answered(sent, reply), reply


def _index(wire: BatchWire, file: IO[bytes]) -> dict[str, int]:
    """Where each request's line begins; of two lines for one the first counts."""
    places: dict[str, int] = {}
    file.seek(0)
    while True:
        place = file.tell()
        line = file.readline()
        if not line:
            return places
        try:
            places.setdefault(wire.read(line).custom_id, place)
        except (ValueError, KeyError, TypeError) as error:
            if line.strip():
                log.warning("a line of a batch's results cannot be read", error=str(error))


def _line(wire: BatchWire, file: IO[bytes], places: Mapping[str, int], name: str) -> LineResult | None:
    place = places.get(name)
    if place is None:
        return None
    file.seek(place)
    return wire.read(file.readline())
