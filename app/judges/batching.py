"""Providers' batch endpoints in no provider's words: many requests sent at once, answered within a day.

A batch at a provider cannot be sent twice by accident only if its sender can find it again: `BatchWire.find`
looks for one whose creation was begun and of which nobody knows whether it was done.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import IO, Any, Protocol, TypeVar

import httpx2

from app.domain.judging import UnscoredReason
from app.judges.completion import CallFailed, Completion
from app.judges.failures import broken, misshapen, refused
from app.judges.prompt import Prompt

T = TypeVar("T")

TALK_S, TRANSFER_S = 60.0, 1800.0
"""Time for a small exchange, and for one that carries a whole batch."""

INTENT = "venire_intent"
"""The name under which a batch's metadata say which intent of ours it carries out."""

NOT_FOUND = 404


class Standing(StrEnum):
    """Where a batch at a provider stands; all but the first two are for good.

    ``full``: not begun, as the account has too much waiting at the provider; it may be sent again later.
    """

    WORKING = "working"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"
    FULL = "full"

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self not in (Standing.WORKING, Standing.CANCELLING)


@dataclass(frozen=True, slots=True)
class Size:
    """The most that fits in one batch."""

    requests: int
    bytes: int


@dataclass(frozen=True, slots=True)
class AtProvider:
    """A batch as its provider shows it. ``done`` and ``failed`` count requests, as far as it tells.

    ``results`` name where they are; ``detail`` says why the whole batch failed.
    """

    id: str
    standing: Standing
    requests: int
    done: int
    failed: int
    created_at: datetime
    expires_at: datetime | None = None
    results: tuple[str, ...] = ()
    detail: str | None = None


class Ended(StrEnum):
    """How one request of a batch ended. Only answered and failed ones were tried."""

    ANSWERED = "answered"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class LineResult:
    """What came of a request: a completion if it was answered, why not if it failed."""

    custom_id: str
    ended: Ended
    completion: Completion | None = None
    failure: CallFailed | None = None


class BatchWire(Protocol):
    """One model behind a provider's batch endpoint. What goes wrong with an exchange is a `CallFailed`."""

    @property
    def size(self) -> Size:
        """The most that one batch may hold."""
        ...

    def line(self, custom_id: str, prompt: Prompt) -> bytes:
        """A request as it stands in a batch: JSON on one line, without its end."""
        ...

    async def upload(self, name: str, lines: IO[bytes]) -> str | None:
        """Bring the lines to the provider, where that is a step of its own; returns what it calls them."""
        ...

    async def create(self, intent: str, lines: IO[bytes], uploaded: str | None) -> AtProvider:
        """Begin a batch of these lines, marked with ``intent`` where the provider can keep a mark."""
        ...

    async def find(
        self, intent: str, uploaded: str | None, *, since: datetime, requests: int, known: Collection[str]
    ) -> tuple[AtProvider | None, bool]:
        """The batch that carries out ``intent``, if it was begun at all, not before ``since``.

        ``known`` are batches that carry out other intents. Returns None and True if it is not there, None
        and False if that cannot be told yet.
        """
        ...

    async def look(self, batch_id: str) -> AtProvider:
        """The batch as it stands."""
        ...

    async def cancel(self, batch_id: str) -> AtProvider:
        """End it early; what is done stays. One that is over already stays as it is."""
        ...

    async def fetch(self, batch: AtProvider, into: IO[bytes]) -> None:
        """Write all its results, one per line, in no particular order."""
        ...

    def read(self, line: bytes) -> LineResult:
        """A line of the results; ValueError if it cannot be understood."""
        ...


async def talk(exchange: Callable[[], Awaitable[T]], *, secret: str, seconds: float = TALK_S) -> T:
    """What ``exchange``, a call of an SDK, returns.

    Raises
    ------
    CallFailed
        For whatever goes wrong on the way, with ``secret`` kept out of its words.
    """
    try:
        async with asyncio.timeout(seconds):
            return await exchange()
    except CallFailed:
        raise
    except TimeoutError:
        raise CallFailed(
            UnscoredReason.TIMEOUT, f"no reply within {seconds:g} s", retry=True, alive=False
        ) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise misshapen(error) from None
    except Exception as error:
        response: Any = getattr(error, "response", None)  # both SDKs raise on a status of 400 or more
        if isinstance(response, httpx2.Response):
            raise refused(response, secret=secret, now=time.time()) from None
        raise broken(error, secret=secret) from None
