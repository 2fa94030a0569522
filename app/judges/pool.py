"""What this process holds of an allowance that it shares with others, and who waits for it.

A slice of about a second is leased at a time, with one small transaction, and spent in memory. What calls
really used is settled against the slice in hand, or against the next. What is not used goes back.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

import structlog

from app.domain.rates import Granted, RateKind, Want
from app.judges.turns import Lane, Turns

log = structlog.get_logger(__name__)

_SLICE_S = 1.0
_POLL_S, _URGENT_POLL_S = 0.6, 0.1
_AFTER_ERROR_S = 0.5
_DAY_S, _MINUTE_S = 86_400.0, 60.0


class Leases(Protocol):
    """Where allowances are kept for all processes; ``scope`` names a model at an endpoint, or a project."""

    async def lease(self, scope: str, wants: Sequence[Want], *, urgent: bool) -> Sequence[Granted]:
        """One answer per want, in their order. Who is not urgent leaves a reserve to those who are."""
        ...

    async def shrink(self, scope: str, kinds: Sequence[tuple[RateKind, float]], *, pause_s: float) -> None:
        """The provider turned a call away: let less flow for a while, and nothing for ``pause_s``.

        ``kinds`` come with their allowances.
        """
        ...

    async def of_projects(self) -> Mapping[int, Mapping[RateKind, float]]:
        """What the calls of each project may take in a minute, where that is limited."""
        ...


class Exhausted(Exception):
    """An allowance gives nothing before the deadline."""

    def __init__(self, detail: str, *, waited: bool) -> None:
        super().__init__(detail)
        self.detail, self.waited = detail, waited


@dataclass(slots=True)
class _Waiting:
    needs: Mapping[RateKind, float]
    served: asyncio.Future[None]


class Pool:
    """One scope's allowances, as far as this process holds them; ``whose`` are they, in words."""

    def __init__(self, leases: Leases, scope: str, *, rng: Random, whose: str = "the") -> None:
        self._leases, self._scope, self._rng, self._whose = leases, scope, rng, whose
        self._allowances: dict[RateKind, float] = {}
        self._hand: dict[RateKind, float] = {}
        self._ceilings: dict[RateKind, float] = {}
        self._turns: Turns[_Waiting] = Turns()
        self._woken, self._hurried = asyncio.Event(), asyncio.Event()  # by anybody, by somebody urgent
        self._pump: asyncio.Task[None] | None = None
        self._dry_until: dict[RateKind, float] = {}

    def allow(self, kind: RateKind, allowance: float | None) -> None:
        """Set an allowance; of several the tightest counts, None is none."""
        if allowance is not None:
            self._allowances[kind] = min(allowance, self._allowances.get(kind, allowance))
            self._hand.setdefault(kind, 0.0)

    def keep_to(self, allowances: Mapping[RateKind, float]) -> None:
        """Replace all allowances; who waits for one that is no more need not wait for it."""
        if allowances != self._allowances:
            self._allowances = dict(allowances)
            self._hand = {kind: self._hand.get(kind, 0.0) for kind in allowances}
            if self._turns:
                self._wake()

    @property
    def limited(self) -> bool:
        """Whether there is any allowance to keep to."""
        return bool(self._allowances)

    async def take(self, needs: Mapping[RateKind, float], lane: Lane, deadline: float) -> None:
        """Take what a call needs, waiting for it if need be; a wait that is cancelled takes nothing.

        Raises
        ------
        Exhausted
            At once where it is known that nothing comes before ``deadline`` (event-loop seconds).
        """
        needs = {kind: amount for kind, amount in needs.items() if kind in self._allowances}
        if not needs:
            return
        loop = asyncio.get_running_loop()
        for kind, until in self._dry_until.items():
            if until > deadline and until > loop.time():
                wait = until - loop.time()
                raise Exhausted(f"{self._said(kind)} is used up, {wait:.0f} s to wait", waited=False)
        if not self._turns and self._covers(needs):
            self._spend(needs)
            return
        waiting = _Waiting(needs, loop.create_future())
        self._turns.push(lane, self._share(needs), waiting)
        self._wake(urgent=lane.urgent)
        try:
            async with asyncio.timeout_at(deadline):
                await waiting.served
        except TimeoutError:
            detail = " and ".join(self._said(kind) for kind in needs if kind in self._allowances)
            raise Exhausted(f"no place before the deadline: {detail}", waited=True) from None
        except asyncio.CancelledError:
            if waiting.served.done() and not waiting.served.cancelled():
                self.settle(needs)  # it came while the wait was being cancelled
            raise

    def settle(self, back: Mapping[RateKind, float]) -> None:
        """Give back what was taken and not used; negative where more was used."""
        for kind, amount in back.items():
            if kind in self._hand:
                self._hand[kind] += amount
        if any(amount < 0.0 for amount in self._hand.values()):
            self._wake()

    def heard(self, kind: RateKind, remaining: float) -> None:
        """The provider said how much is left: it may be less than we believe."""
        if kind in self._allowances:
            self._ceilings[kind] = min(remaining, self._ceilings.get(kind, remaining))

    async def turned_away(self, pause_s: float, said: Mapping[RateKind, float]) -> None:
        """A 429 came; ``said`` are the provider's own allowances, where it named lower ones."""
        for kind, allowance in said.items():
            if kind in self._allowances and allowance > 0:
                self.allow(kind, allowance)
        flowing = [(k, a) for k, a in self._allowances.items() if k is not RateKind.DOLLARS]
        if flowing:
            try:
                await self._leases.shrink(self._scope, flowing, pause_s=pause_s)
            except Exception as error:  # this process pauses all the same
                log.warning("others were not told of a 429", scope=self._scope, exc_info=error)

    def _covers(self, needs: Mapping[RateKind, float]) -> bool:
        return all(self._hand[kind] >= amount for kind, amount in needs.items() if kind in self._hand)

    def _spend(self, needs: Mapping[RateKind, float]) -> None:
        for kind, amount in needs.items():
            if kind in self._hand:
                self._hand[kind] -= amount

    def _said(self, kind: RateKind) -> str:
        allowance = self._allowances[kind]
        if kind is RateKind.DOLLARS:
            return f"{self._whose} limit of ${allowance:g} a day"
        return f"{self._whose} limit of {allowance:g} {kind} per minute"

    def _share(self, needs: Mapping[RateKind, float]) -> float:
        """What part of the allowances a call takes: the scarcest counts."""
        return max(amount / self._allowances[kind] for kind, amount in needs.items())

    def _wake(self, *, urgent: bool = False) -> None:
        self._woken.set()
        if urgent:
            self._hurried.set()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._run(), name=f"leases of {self._scope}")

    async def _run(self) -> None:
        """Lease and serve while somebody waits; then, after a moment, give back what is left."""
        while True:
            self._woken.clear()
            self._serve()
            if self._turns or any(amount < 0.0 for amount in self._hand.values()):
                pause = await self._lease()
                self._serve()
                if pause > 0.0:
                    await _until(self._hurried, pause)
                self._hurried.clear()
            elif not await _until(self._woken, _SLICE_S):
                await self._return()
                if not self._woken.is_set():
                    return

    def _serve(self) -> None:
        while (first := self._turns.first()) is not None:
            if first.served.done():  # its caller gave up
                self._turns.pop()
            elif self._covers(first.needs):
                self._spend(self._turns.pop().needs)
                first.served.set_result(None)
            else:
                return

    async def _lease(self) -> float:
        """Lease what those who wait need, at most a slice; returns how long to wait before more."""
        urgent, first = self._turns.urgent, self._turns.first()
        wants = [self._want(kind, first) for kind in self._allowances]
        wants = [want for want in wants if want.amount > 0.0]
        if not wants:
            return 0.0
        try:
            granted = await self._leases.lease(self._scope, wants, urgent=urgent)
        except Exception as error:  # the database may be away: callers wait for their deadlines at most
            log.warning("no lease of rates", scope=self._scope, exc_info=error)
            return _AFTER_ERROR_S
        now, enough = asyncio.get_running_loop().time(), True
        for want, got in zip(wants, granted, strict=True):
            if got.kind in self._hand:
                self._hand[got.kind] += got.amount
            self._ceilings.pop(got.kind, None)
            if got.kind is RateKind.DOLLARS and got.amount < want.least:
                self._dry_until[got.kind] = now + got.wait_s
                self._refuse(got.kind, got.wait_s)
            enough = enough and got.amount >= want.amount
        if enough:
            return 0.0
        # Jitter, so that no process always comes just after another and finds nothing.
        return (_URGENT_POLL_S if urgent else _POLL_S) * self._rng.uniform(0.6, 1.4)

    def _refuse(self, kind: RateKind, wait_s: float) -> None:
        """Who is next needs more of what is only given tomorrow than is left."""
        if self._turns:
            served = self._turns.pop().served
            if not served.done():
                detail = f"{self._said(kind)} is used up, {wait_s:.0f} s to wait"
                served.set_exception(Exhausted(detail, waited=False))

    def _want(self, kind: RateKind, first: _Waiting | None) -> Want:
        allowance, hand = self._allowances[kind], self._hand[kind]
        demand = sum(waiting.needs.get(kind, 0.0) for waiting in self._turns if not waiting.served.done())
        seconds = _DAY_S if kind is RateKind.DOLLARS else _MINUTE_S
        a_slice = allowance / (100.0 if kind is RateKind.DOLLARS else seconds / _SLICE_S)
        least = 0.0 if first is None else first.needs.get(kind, 0.0)
        amount = min(demand, max(a_slice, least)) - hand
        return Want(kind, allowance, amount, max(0.0, least - hand), self._ceilings.get(kind))

    async def _return(self) -> None:
        wants = [Want(k, self._allowances[k], -hand) for k, hand in self._hand.items() if hand > 0.0]
        if not wants:
            return
        for want in wants:
            self._hand[want.kind] += want.amount
        try:
            await self._leases.lease(self._scope, wants, urgent=False)
        except Exception as error:
            log.warning("rates could not be given back", scope=self._scope, exc_info=error)


async def _until(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event, at most so long; whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
