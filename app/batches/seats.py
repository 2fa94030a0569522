"""Asking one seat of a batch: a place, the money, the claim, the call, and its record, in this order."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random

import structlog

from app.batches.patience import submit_surely, surely
from app.batches.places import Places
from app.batches.standing import Standing
from app.domain.batches import BATCH_SPENT, DAY_SPENT, BatchStatus
from app.domain.judging import JudgeVersion, Reply, Seat, Unscored, UnscoredReason, Usage
from app.grading.purse import OutOfBudget, Purse, Purses
from app.judges.call import is_resting
from app.judges.judge import Judge, Question, Withdrawn
from app.judges.pricing import add_usage
from app.judges.turns import Lane
from app.storage.assignments import AssignedGrade
from app.storage.batches import change_status
from app.storage.budgets import DAY
from app.storage.chunks import ClaimedChunk, progress_rows
from app.storage.database import Database
from app.storage.statements import Insert, Row
from app.storage.verdicts import reply_rows
from app.storage.writer import merge

log = structlog.get_logger(__name__)

PATIENCE_S = 900.0  # how long a judge's provider may be away before its seats are left unscored
_LONGEST_WAIT_S = 10.0
_GRACE_S = 0.5


@dataclass(slots=True)
class Permit:
    """The leave for the attempts of one seat: money set aside, then the claim checked."""

    chunk: ClaimedChunk
    purses: Purses
    standing: Standing
    began: Callable[[], None]
    rows: dict[Insert, list[Row]] = field(default_factory=dict)
    _purse: Purse | None = None

    async def begin(self, worst_usd: float) -> None:
        """See `app.judges.judge.Permit.begin`."""
        self._purse = self.purses.of(self.chunk.project.id, self.chunk.batch_id)
        await self._purse.draw(worst_usd)
        try:
            await self.standing.check(self.chunk)
        except BaseException:
            self._purse.settle(worst_usd, 0.0)
            raise
        self.began()

    def ended(self, worst_usd: float, cost_usd: float, suspect_usd: float) -> None:
        """The cost is booked with the seat's reply."""
        assert self._purse is not None  # `begin` returned
        merge(self.rows, self._purse.settle(worst_usd, cost_usd, suspect_usd))


class Seats:
    """Asks seats for this worker. ``watch`` hears of every reply that is on record."""

    def __init__(
        self,
        db: Database,
        judges: Mapping[JudgeVersion, Judge],
        standing: Standing,
        places: Places,
        watch: Callable[[JudgeVersion, Reply], None],
        *,
        rng: Random,
        now: Callable[[], datetime],
    ) -> None:
        self._db, self._judges, self._standing, self._places = db, judges, standing, places
        self._watch, self._rng, self._now = watch, rng, now
        self.purses = Purses(db, now, surely=surely)
        self.calls = 0
        self._away_since: dict[JudgeVersion, float] = {}

    async def ask(
        self,
        chunk: ClaimedChunk,
        assigned: AssignedGrade,
        seat: Seat,
        question: Question,
        *,
        timeout_s: float,
        share: float | None,
    ) -> Reply:
        """The seat's reply, once it is on record.

        Where a provider is away or its limits are reached the seat waits, without a place, and asks again.

        Raises
        ------
        Withdrawn, ClaimLost
            If the seat is not to be asked, or its reply not to be recorded, by this worker.
        """
        usage, waits = Usage(), 0
        while True:
            await self._standing.check(chunk)
            async with self._places.place(chunk.project.id):
                left = None if share is None else share - usage.cost_usd
                reply, permit = await self._call(chunk, seat, question, timeout_s, left)
                usage = add_usage(usage, reply.usage)
                wait = self._must_wait(seat.judge, reply)
                if not wait:
                    whole = replace(reply, usage=usage)
                    rows = reply_rows(assigned, [(seat, whole)], self._now())
                    merge(rows, permit.rows)
                    counted = progress_rows(chunk, calls=usage.attempts)
                    await submit_surely(self._db, merge(rows, counted))
                    self._watch(seat.judge, whole)
                    return whole
                await self._book(chunk, permit)
            waits += 1
            await self._standing.pause(self._rng.uniform(0.5, 1.0) * min(_LONGEST_WAIT_S, 2.0**waits))

    async def _call(
        self, chunk: ClaimedChunk, seat: Seat, question: Question, timeout_s: float, share: float | None
    ) -> tuple[Reply, Permit]:
        permit = Permit(chunk, self.purses, self._standing, self._began)
        deadline = asyncio.get_running_loop().time() + timeout_s
        judge = self._judges.get(seat.judge)
        if judge is None:
            return _unscored(UnscoredReason.PROVIDER_ERROR, "the judge is not on the roster any more"), permit
        try:
            async with asyncio.timeout_at(deadline + _GRACE_S):
                asked = replace(question, lane=Lane(chunk.project.id, urgent=False))
                reply = await judge.judge(asked, deadline=deadline, max_cost_usd=share, permit=permit)
        except TimeoutError:
            reply = _unscored(UnscoredReason.TIMEOUT, f"no answer within {timeout_s:g} s")
        except OutOfBudget as error:
            await self._stop(chunk, error)
            await self._book(chunk, permit)
            raise Withdrawn(str(error)) from None
        except Withdrawn:
            await self._book(chunk, permit)
            raise
        except Exception as error:  # a fault of ours, as a judge never raises; it costs one seat
            log.error("judge failed inside", judge=seat.judge.name, exc_info=error)
            reply = _unscored(
                UnscoredReason.PROVIDER_ERROR, f"the judge failed inside: {type(error).__name__}"
            )
        return reply, permit

    async def _stop(self, chunk: ClaimedChunk, error: OutOfBudget) -> None:
        # Only the first of many seats says so: the others might say it after somebody has topped it up.
        if not self._standing.stop(chunk.batch_id, BatchStatus.OUT_OF_BUDGET):
            return
        await surely(
            lambda: change_status(
                self._db,
                chunk.batch_id,
                BatchStatus.OUT_OF_BUDGET,
                only_from=(BatchStatus.RUNNING,),
                reason=DAY_SPENT if error.kind == DAY else BATCH_SPENT,
                now=self._now(),
            )
        )

    async def _book(self, chunk: ClaimedChunk, permit: Permit) -> None:
        """Book what attempts cost that brought no reply to be recorded."""
        if permit.rows:
            rows, permit.rows = permit.rows, {}
            await submit_surely(self._db, merge(rows, progress_rows(chunk)))

    def _must_wait(self, judge: JudgeVersion, reply: Reply) -> bool:
        """Whether the seat should be asked again later: its judge cannot be reached now, but may be soon."""
        now = asyncio.get_running_loop().time()
        if reply.unscored is None:
            self._away_since.pop(judge, None)
            return False
        reason = reply.unscored.reason
        not_called = reason is UnscoredReason.TIMEOUT and reply.usage.attempts == 0
        away = reason is UnscoredReason.PROVIDER_ERROR and is_resting(self._judges.get(judge))
        if not (reason is UnscoredReason.RATE_LIMITED or not_called or away):
            return False
        return now - self._away_since.setdefault(judge, now) < PATIENCE_S

    def _began(self) -> None:
        self.calls += 1


def _unscored(reason: UnscoredReason, detail: str) -> Reply:
    return Reply(unscored=Unscored(reason, detail))
