"""How many calls may go at once, and how many requests and tokens a minute.

Limits are kept before a provider has to enforce them. A wait that would outlast the caller's deadline is
not begun. Times are seconds of the running event loop; the buckets take them as arguments.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from app.domain.rates import RateKind
from app.judges.pool import Exhausted, Leases, Pool
from app.judges.project_rates import ProjectRates
from app.judges.rate_headers import allowances, remaining
from app.judges.turns import NOBODYS, Lane

LONGEST_PAUSE_S = 120.0
_CHARS_PER_TOKEN, _FIRST_OUTPUT = 4.0, 500.0  # before anything was heard
_MARGIN = 1.1  # answers differ in length
_LEARN = 0.1  # weight of the newest call
_BURST = 0.1  # of a minute's allowance may go at once; the rest flows in evenly


class NoPlace(Exception):
    """The limits leave no place before the deadline; ``waited`` if it was waited for in vain."""

    def __init__(self, detail: str, *, waited: bool) -> None:
        super().__init__(detail)
        self.detail, self.waited = detail, waited


@dataclass(slots=True)
class Bucket:
    """An allowance that flows in evenly and is taken in advance, so that callers go in order of arrival.

    In no minute does more than ``per_minute`` leave it, unless one call alone needs more than a tenth of
    that: such a call waits for a full bucket and leaves it in debt.
    """

    per_minute: float
    level: float = 0.0
    at: float | None = None

    @property
    def capacity(self) -> float:
        return max(1.0, _BURST * self.per_minute)

    @property
    def rate(self) -> float:
        """What flows in per second: a full bucket and a minute's flow make the allowance."""
        if self.capacity <= 1.0:
            return self.per_minute / 60.0
        return (self.per_minute - self.capacity) / 60.0

    def wait(self, amount: float, now: float) -> float:
        """Seconds until ``amount`` may go, if taken now."""
        self._flow(now)
        return max(0.0, (min(amount, self.capacity) - self.level) / self.rate)

    def take(self, amount: float, now: float) -> None:
        self._flow(now)
        self.level -= amount

    def give_back(self, amount: float) -> None:
        """Correct what was taken by what was used; negative if more was used."""
        self.level = min(self.capacity, self.level + amount)

    def _flow(self, now: float) -> None:
        if self.at is None:
            self.level = self.capacity
        elif now > self.at:
            self.level = min(self.capacity, self.level + (now - self.at) * self.rate)
        self.at = now if self.at is None else max(now, self.at)


class Slots:
    """Places for calls under way; the urgent get them first, in order of arrival. ``limit`` may change."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._rest: deque[asyncio.Future[None]] = deque()

    @property
    def free(self) -> bool:
        """Whether a place may be taken without a wait."""
        return self.used < self.limit and not self._urgent and not self._rest

    async def take(self, *, urgent: bool = True) -> None:
        """Take a place, waiting for one if need be; a cancelled wait takes none."""
        if self.free:
            self.used += 1
            return
        place = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._rest).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.give()  # it came while the wait was being cancelled
            raise

    def give(self) -> None:
        """Leave a place to the next who waits."""
        self.used -= 1
        while (waiting := self._urgent or self._rest) and self.used < self.limit:
            place = waiting.popleft()
            if not place.done():
                self.used += 1
                place.set_result(None)


class Limits:
    """The limits of one model at one endpoint, shared by every judge that calls it.

    Requests and tokens are counted per model, as providers do. Places are counted twice: no model has more
    calls under way than its own ``max_concurrency``, and no endpoint more than the most that any of its
    models may have (``endpoint``).

    Once they are shared (`share`), rates are leased from what all processes have in common; places are each
    process's own.
    """

    def __init__(self, endpoint: Slots, max_concurrency: int) -> None:
        self._endpoint, self._model = endpoint, Slots(max_concurrency)
        self._requests: Bucket | None = None
        self._tokens: Bucket | None = None
        self._paused_until = 0.0
        self._output: float | None = None
        self._per_char = 1 / _CHARS_PER_TOKEN
        self._dollars: float | None = None
        self.pool: Pool | None = None
        self._projects: ProjectRates | None = None
        endpoint.limit = max(endpoint.limit, max_concurrency)

    def tighten(
        self,
        *,
        max_concurrency: int,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        usd_per_day: float | None = None,
    ) -> None:
        """Apply a judge's configured limits; of several judges of one model the tightest count."""
        self._model.limit = min(self._model.limit, max_concurrency)
        self._requests = _tighter(self._requests, requests_per_minute)
        self._tokens = _tighter(self._tokens, tokens_per_minute)
        if usd_per_day is not None:
            self._dollars = min(usd_per_day, usd_per_day if self._dollars is None else self._dollars)

    def share(self, leases: Leases, scope: str, rng: Random, projects: ProjectRates) -> None:
        """Keep to rates that other processes keep to as well, under the name ``scope``, and to projects'."""
        self._projects = projects
        pool = Pool(leases, scope, rng=rng)
        pool.allow(RateKind.REQUESTS, self._requests.per_minute if self._requests else None)
        pool.allow(RateKind.TOKENS, self._tokens.per_minute if self._tokens else None)
        pool.allow(RateKind.DOLLARS, self._dollars)
        self.pool = pool if pool.limited else None

    @property
    def counts_dollars(self) -> bool:
        """Whether what calls cost is limited by the day."""
        return self.pool is not None and self._dollars is not None

    def heard(self, headers: Mapping[str, str]) -> None:
        """A reply's headers, which may say that less is left than we believe."""
        if self.pool is not None:
            for kind, left in remaining(headers).items():
                self.pool.heard(kind, left)

    async def turned_away(self, pause_s: float, headers: Mapping[str, str]) -> None:
        """A call got 429: all processes slow down for a while."""
        if self.pool is not None:
            await self.pool.turned_away(min(pause_s, LONGEST_PAUSE_S), allowances(headers))

    def estimate(self, prompt_chars: int, max_output_tokens: int) -> float:
        """Tokens that a call will probably use, by what prompts and answers took so far."""
        output = _FIRST_OUTPUT if self._output is None else _MARGIN * self._output
        return self._per_char * prompt_chars + min(output, max_output_tokens)

    def learn(self, prompt_chars: int, input_tokens: float, output_tokens: float) -> None:
        """What a call took, by which the next are estimated."""
        if output_tokens > 0:
            known = output_tokens if self._output is None else self._output
            self._output = known + _LEARN * (output_tokens - known)
        if input_tokens > 0 and prompt_chars > 0:
            self._per_char += _LEARN * (input_tokens / prompt_chars - self._per_char)

    def pause(self, seconds: float, now: float) -> None:
        """Let no further call begin for a while: the provider said so.

        At most two minutes: after that one call asks again, as quotas can be raised at any time.
        """
        self._paused_until = max(self._paused_until, now + min(seconds, LONGEST_PAUSE_S))

    async def enter(
        self, tokens: float, deadline: float, *, lane: Lane = NOBODYS, dollars: float = 0.0
    ) -> None:
        """Wait for a place; whoever gets one owes a `leave`. ``dollars`` is the most the call may cost.

        Raises
        ------
        NoPlace
            At once if rates leave no room before ``deadline``; at the deadline if all places stay taken.
        """
        await self._wait_for_rates(tokens, dollars, lane, deadline)
        if self._model.free and self._endpoint.free:
            self._model.used += 1
            self._endpoint.used += 1
            return
        try:
            async with asyncio.timeout_at(deadline):
                await self._model.take(urgent=lane.urgent)
                try:
                    await self._endpoint.take(urgent=lane.urgent)
                except BaseException:
                    self._model.give()
                    raise
        except TimeoutError:
            self._untake(tokens, dollars, lane)
            detail = f"all {self._model.limit} places at the provider were taken until the deadline"
            raise NoPlace(detail, waited=True) from None
        except BaseException:
            self._untake(tokens, dollars, lane)
            raise

    def leave(
        self,
        tokens: float,
        used: float,
        *,
        lane: Lane = NOBODYS,
        dollars: float = 0.0,
        cost: float = 0.0,
    ) -> None:
        """Give the place back. ``used`` tokens replace the estimate unless 0.

        ``dollars`` were taken, ``cost`` is what the call really cost.
        """
        self._endpoint.give()
        self._model.give()
        unused = tokens - used if used > 0 else 0.0
        if self._projects is not None:
            self._projects.settle({RateKind.TOKENS: unused}, lane)
        if self.pool is not None:
            self.pool.settle({RateKind.TOKENS: unused, RateKind.DOLLARS: dollars - cost})
        elif self._tokens is not None and used > 0:
            self._tokens.give_back(tokens - used)

    def paid(self, cost: float) -> None:
        """Something was paid for that took no place: it counts against the day's dollars."""
        if self.pool is not None and cost:
            self.pool.settle({RateKind.DOLLARS: -cost})

    async def _wait_for_rates(self, tokens: float, dollars: float, lane: Lane, deadline: float) -> None:
        unlimited = self._requests is None and self._tokens is None and self.pool is None
        if unlimited and self._projects is None and not self._paused_until:
            return
        now = asyncio.get_running_loop().time()
        waits = [(self._paused_until - now, "the provider asked for a pause")]
        shared = self.pool is not None
        if self._requests is not None and not shared:
            limit = f"the limit of {self._requests.per_minute:g} requests per minute"
            waits.append((self._requests.wait(1.0, now), limit))
        if self._tokens is not None and not shared:
            limit = f"the limit of {self._tokens.per_minute:g} tokens per minute"
            waits.append((self._tokens.wait(tokens, now), limit))
        wait, limit = max(waits)
        if now + wait > deadline:
            raise NoPlace(f"no place before the deadline: {limit}, {wait:.1f} s to wait", waited=False)
        if self._projects is not None:
            if wait > 0:
                await asyncio.sleep(wait)
            await self._take_shared(self._projects, _needs(tokens, dollars), lane, deadline)
            return
        if self._requests is not None:
            self._requests.take(1.0, now)
        if self._tokens is not None:
            self._tokens.take(tokens, now)
        if wait > 0:
            try:
                await asyncio.sleep(wait)
            except BaseException:
                self._untake(tokens, dollars, lane)
                raise

    async def _take_shared(
        self, projects: ProjectRates, needs: Mapping[RateKind, float], lane: Lane, deadline: float
    ) -> None:
        """The project's share first: who waits for it must not keep others from the model's."""
        try:
            await projects.take(needs, lane, deadline)
            if self.pool is not None:
                try:
                    await self.pool.take(needs, lane, deadline)
                except BaseException:
                    projects.settle(needs, lane)
                    raise
        except Exhausted as error:
            raise NoPlace(error.detail, waited=False) from None

    def _untake(self, tokens: float, dollars: float, lane: Lane) -> None:
        if self._projects is not None:
            self._projects.settle(_needs(tokens, dollars), lane)
        if self.pool is not None:
            self.pool.settle(_needs(tokens, dollars))
            return
        if self._requests is not None:
            self._requests.give_back(1.0)
        if self._tokens is not None:
            self._tokens.give_back(tokens)


def _needs(tokens: float, dollars: float) -> Mapping[RateKind, float]:
    return {RateKind.REQUESTS: 1.0, RateKind.TOKENS: tokens, RateKind.DOLLARS: dollars}


def _tighter(bucket: Bucket | None, per_minute: float | None) -> Bucket | None:
    if per_minute is None or (bucket is not None and bucket.per_minute <= per_minute):
        return bucket
    return Bucket(per_minute)
