"""How many calls may go at once, and how many requests and tokens a minute.

Limits are kept before a provider has to enforce them. A wait that would outlast the caller's deadline is
not begun. Times are seconds of the running event loop; the buckets take them as arguments.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

LONGEST_PAUSE_S = 120.0
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
    """Places for calls under way; those who wait get them in order of arrival. ``limit`` may change."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def free(self) -> bool:
        """Whether a place may be taken without a wait."""
        return self.used < self.limit and not self._waiting

    async def take(self) -> None:
        """Take a place, waiting for one if need be; a cancelled wait takes none."""
        if self.free:
            self.used += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.give()  # it came while the wait was being cancelled
            raise

    def give(self) -> None:
        """Leave a place to the next who waits."""
        self.used -= 1
        while self._waiting and self.used < self.limit:
            place = self._waiting.popleft()
            if not place.done():
                self.used += 1
                place.set_result(None)


class Limits:
    """The limits of one model at one endpoint, shared by every judge that calls it.

    Requests and tokens are counted per model, as providers do. Places are counted twice: no model has more
    calls under way than its own ``max_concurrency``, and no endpoint more than the most that any of its
    models may have (``endpoint``).
    """

    def __init__(self, endpoint: Slots, max_concurrency: int) -> None:
        self._endpoint, self._model = endpoint, Slots(max_concurrency)
        self._requests: Bucket | None = None
        self._tokens: Bucket | None = None
        self._paused_until = 0.0
        self._typical_output: float | None = None
        endpoint.limit = max(endpoint.limit, max_concurrency)

    def tighten(
        self, *, max_concurrency: int, requests_per_minute: float | None, tokens_per_minute: float | None
    ) -> None:
        """Apply a judge's configured limits; of several judges of one model the tightest count."""
        self._model.limit = min(self._model.limit, max_concurrency)
        self._requests = _tighter(self._requests, requests_per_minute)
        self._tokens = _tighter(self._tokens, tokens_per_minute)

    def estimate(self, prompt_chars: int, max_output_tokens: int) -> float:
        """Tokens that a call will probably use: about four characters each, and what answers took so far."""
        output = max_output_tokens if self._typical_output is None else 1.5 * self._typical_output
        return prompt_chars / 4 + min(output, max_output_tokens)

    def pause(self, seconds: float, now: float) -> None:
        """Let no further call begin for a while: the provider said so.

        At most two minutes: after that one call asks again, as quotas can be raised at any time.
        """
        self._paused_until = max(self._paused_until, now + min(seconds, LONGEST_PAUSE_S))

    async def enter(self, tokens: float, deadline: float) -> None:
        """Wait for a place; whoever gets one owes a `leave`.

        Raises
        ------
        NoPlace
            At once if rates leave no room before ``deadline``; at the deadline if all places stay taken.
        """
        await self._wait_for_rates(tokens, deadline)
        if self._model.free and self._endpoint.free:
            self._model.used += 1
            self._endpoint.used += 1
            return
        try:
            async with asyncio.timeout_at(deadline):
                await self._model.take()
                try:
                    await self._endpoint.take()
                except BaseException:
                    self._model.give()
                    raise
        except TimeoutError:
            self._untake(tokens)
            detail = f"all {self._model.limit} places at the provider were taken until the deadline"
            raise NoPlace(detail, waited=True) from None
        except BaseException:
            self._untake(tokens)
            raise

    def leave(self, tokens: float, used: float, output: float) -> None:
        """Give the place back. ``used`` tokens replace the estimate unless 0; ``output`` were written."""
        self._endpoint.give()
        self._model.give()
        if self._tokens is not None and used > 0:
            self._tokens.give_back(tokens - used)
        if output > 0:
            known = self._typical_output
            self._typical_output = output if known is None else 0.9 * known + 0.1 * output

    async def _wait_for_rates(self, tokens: float, deadline: float) -> None:
        if self._requests is None and self._tokens is None and not self._paused_until:
            return
        now = asyncio.get_running_loop().time()
        waits = [(self._paused_until - now, "the provider asked for a pause")]
        if self._requests is not None:
            limit = f"the limit of {self._requests.per_minute:g} requests per minute"
            waits.append((self._requests.wait(1.0, now), limit))
        if self._tokens is not None:
            limit = f"the limit of {self._tokens.per_minute:g} tokens per minute"
            waits.append((self._tokens.wait(tokens, now), limit))
        wait, limit = max(waits)
        if now + wait > deadline:
            raise NoPlace(f"no place before the deadline: {limit}, {wait:.1f} s to wait", waited=False)
        if self._requests is not None:
            self._requests.take(1.0, now)
        if self._tokens is not None:
            self._tokens.take(tokens, now)
        if wait > 0:
            try:
                await asyncio.sleep(wait)
            except BaseException:
                self._untake(tokens)
                raise

    def _untake(self, tokens: float) -> None:
        if self._requests is not None:
            self._requests.give_back(1.0)
        if self._tokens is not None:
            self._tokens.give_back(tokens)


def _tighter(bucket: Bucket | None, per_minute: float | None) -> Bucket | None:
    if per_minute is None or (bucket is not None and bucket.per_minute <= per_minute):
        return bucket
    return Bucket(per_minute)
