"""Asking a panel: every seat at once, and another judge of the same family where one fails."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from app.domain.ids import content_id
from app.domain.items import Item
from app.domain.judging import Assignment, JudgeVersion, Reply, Seat, Unscored, UnscoredReason
from app.domain.rubrics import Rubric
from app.grading.assignment import ByFamily, draw_replacement
from app.grading.purse import OutOfBudget
from app.grading.results import SeatOutcome
from app.grading.spending import out_of_budget
from app.judges.judge import Judge, Permit, Question
from app.judges.turns import NOBODYS, Lane

T = TypeVar("T")

log = structlog.get_logger(__name__)

_GRACE_S = 0.5  # judges keep the deadline themselves; this is how long we wait for one that does not
_LEAST_TIME_S = 1.0  # with less time left than this, or a tenth of the whole, no replacement is drawn
_LEAST_SHARE = 0.1


AskSeat = Callable[[Seat, Question, float | None], Awaitable[Reply]]
"""Asks a seat's judge; the number is what the seat may cost at most, if that is limited."""

DrawSecond = Callable[[Sequence[SeatOutcome], int], Awaitable[Sequence[Seat]]]
"""From what came of the first stage, and the next free position: the seats of the second that are asked."""


@dataclass(slots=True)
class Panel:
    """One item's panel at work. ``replaced`` makes a replacement seat durable before its judge is called.

    ``deadline`` is in seconds on the event loop's clock; ``max_cost_usd`` is shared equally among the
    seats drawn at first, and a replacement has what is left of the share it takes over.

    ``known`` has replies that are on record already, by position: these seats are not asked again.
    ``second`` draws whether the seats that wait are asked, once the others have ended, and puts it on record.
    ``lane`` says for whom judges are asked, ``permit`` gives leave for each attempt. ``ask_seat`` asks in
    place of the ordinary way; what it raises ends the panel.
    """

    rubric: Rubric
    item: Item
    assignment: Assignment
    eligible: ByFamily
    judges: Mapping[JudgeVersion, Judge]
    timeout_s: float
    deadline: float
    max_cost_usd: float | None
    replaced: Callable[[Seat], Awaitable[None]]
    answered: Callable[[JudgeVersion, Reply], None]
    known: Mapping[int, Reply] = field(default_factory=dict)
    ask_seat: AskSeat | None = None
    lane: Lane = NOBODYS
    second: DrawSecond | None = None
    permit: Permit | None = None
    _seated: set[JudgeVersion] = field(default_factory=set)
    _positions: int = 0

    async def ask(self) -> tuple[SeatOutcome, ...]:
        """Every seat with its reply, replacements last; never raises for anything a judge does."""
        seats, waiting = self.assignment.seats, self.assignment.waiting
        self._seated = {seat.judge for seat in (*seats, *waiting)}  # who waits replaces nobody
        self._positions = len(seats)
        drawn = [seat for seat in seats if seat.replaces is None]
        share = None if self.max_cost_usd is None else self.max_cost_usd / (len(drawn) + len(waiting))
        outcomes = await self._stage(drawn, share)
        if waiting and self.second is not None:
            later = await self.second(outcomes, self._positions)
            self._positions += len(later)
            outcomes += await self._stage(later, share)
        return tuple(sorted(outcomes, key=lambda outcome: outcome.seat.position))

    async def _stage(self, seats: Sequence[Seat], share: float | None) -> list[SeatOutcome]:
        chains = await _all(self._fill(seat, share) for seat in seats)
        return [outcome for chain in chains for outcome in chain]

    def turned_away(self) -> tuple[SeatOutcome, ...]:
        """Every seat unscored, because the time was over before this grade's turn; nobody is asked."""
        why = f"this grade's turn did not come within {self.timeout_s:g} s: too many were at work"
        reply = _unscored(UnscoredReason.TIMEOUT, why)
        for seat in self.assignment.seats:
            self.answered(seat.judge, reply)
        return tuple(SeatOutcome(seat, reply) for seat in self.assignment.seats)

    async def _fill(self, seat: Seat, share: float | None) -> list[SeatOutcome]:
        """The seat and its replacements, until one gives a verdict or none may be drawn any more."""
        chain: list[SeatOutcome] = []
        following: Seat | None = seat
        while following is not None:
            reply = self.known.get(following.position)
            if reply is None:
                reply = await self._ask(following, share)
                self.answered(following.judge, reply)
            chain.append(SeatOutcome(following, reply))
            if share is not None:
                share -= reply.usage.cost_usd
            following = await self._replacement(following, reply, share)
        return chain

    async def _replacement(self, failed: Seat, reply: Reply, share: float | None) -> Seat | None:
        for drawn in self.assignment.seats:
            if drawn.replaces == failed.position:  # by a process that died
                return drawn
        left = self.deadline - asyncio.get_running_loop().time()
        too_late = left < max(_LEAST_TIME_S, _LEAST_SHARE * self.timeout_s)
        spent = share is not None and share <= 0
        if reply.unscored is None or too_late or spent:
            return None
        seat = draw_replacement(failed, self.eligible, self._seated, self.assignment.seed, self._positions)
        if seat is not None:
            self._seated.add(seat.judge)
            self._positions += 1
            await self.replaced(seat)
        return seat

    async def _ask(self, seat: Seat, share: float | None) -> Reply:
        question = question_of(self.rubric, self.item, self.assignment.seed, seat, self.lane)
        if self.ask_seat is not None:
            return await self.ask_seat(seat, question, share)
        try:
            async with asyncio.timeout_at(self.deadline + _GRACE_S):
                judge = self.judges[seat.judge]
                return await judge.judge(
                    question, deadline=self.deadline, max_cost_usd=share, permit=self.permit
                )
        except OutOfBudget as error:
            return Reply(unscored=out_of_budget(error))
        except TimeoutError:
            return _unscored(UnscoredReason.TIMEOUT, f"no answer within {self.timeout_s:g} s")
        except Exception as error:
            # A judge never raises for what a provider does, so this is a fault of ours; it costs one seat.
            log.error("judge failed inside", judge=seat.judge.name, exc_info=error)
            return _unscored(
                UnscoredReason.PROVIDER_ERROR, f"the judge failed inside: {type(error).__name__}"
            )


def question_of(rubric: Rubric, item: Item, seed: int, seat: Seat, lane: Lane = NOBODYS) -> Question:
    """What a seat is asked, the same whenever it is asked; ``seed`` is its panel's."""
    return Question(
        rubric=rubric,
        prompt=item.prompt,
        answers=item.answers,
        order=seat.order,
        seed=content_id("question", seed, seat.position),
        context=item.context,
        reference=item.reference,
        item_id=item.item_id,
        lane=lane,
    )


async def _all(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Everything that comes of them; if some raise, the first error, once all have come to an end."""
    found = await asyncio.gather(*coroutines, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return [one for one in found if not isinstance(one, BaseException)]


def _unscored(reason: UnscoredReason, detail: str) -> Reply:
    return Reply(unscored=Unscored(reason, detail))
