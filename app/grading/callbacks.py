"""Telling callers that a grade is finished: signed, retried, and owed until delivered or given up."""

import asyncio
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

import structlog

from app.domain.ids import show_id
from app.grading.results import Grade
from app.grading.stored import from_storage
from app.storage import callbacks, grades
from app.storage.callbacks import DueCallback
from app.storage.database import Database

log = structlog.get_logger(__name__)

SIGNATURE = "Venire-Signature"
RETRY_AFTER = tuple(timedelta(seconds=s) for s in (5, 30, 120, 600, 3600))  # then it is given up
_LOOK_EVERY_S = 5.0  # for what other processes left behind; our own callbacks do not wait for it
_TIMEOUT_S = 10.0
_STOP_S = 5.0  # for deliveries under way when the service stops; others wait until their lease is over


class CallbackRefused(Exception):
    """The receiver answered, but not with 2xx."""


def sign(secret: str, body: bytes, at: datetime) -> str:
    """The value of the signature header: ``t=<unix seconds>,v1=<HMAC-SHA-256 of "t.body">``."""
    seconds = int(at.timestamp())
    mac = hmac.new(secret.encode(), f"{seconds}.".encode() + body, "sha256")
    return f"t={seconds},v1={mac.hexdigest()}"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Callbacks:
    """Delivers what is due. ``render`` makes a grade's body, ``secret`` the key of a project's signatures."""

    def __init__(
        self,
        db: Database,
        render: Callable[[Grade], bytes],
        secret: Callable[[int], str],
        *,
        retry_after: tuple[timedelta, ...] | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._db, self._render, self._secret, self._now = db, render, secret, now
        self._retry_after = RETRY_AFTER if retry_after is None else retry_after
        self._due = asyncio.Event()

    def wake(self) -> None:
        """Look for due callbacks now."""
        self._due.set()

    async def run(self) -> None:
        """Deliver until cancelled; what is under way then is delivered first, unless that takes long."""
        while True:
            self._due.clear()
            delivery = asyncio.create_task(self.deliver_due())
            try:
                delivered = await asyncio.shield(delivery)
            except asyncio.CancelledError:
                await asyncio.wait([delivery], timeout=_STOP_S)
                raise
            except Exception as error:  # the database may be away for a while; what is due stays due
                log.error("callbacks could not be delivered", exc_info=error)
                delivered = 0
            if not delivered:
                await _wait(self._due, min(_LOOK_EVERY_S, *(d.total_seconds() for d in self._retry_after)))

    async def deliver_due(self) -> int:
        """Try everything that is due once; returns how many were tried."""
        due = await callbacks.take_due_callbacks(self._db, now=self._now())
        await asyncio.gather(*(self._deliver(one) for one in due))
        return len(due)

    async def _deliver(self, due: DueCallback) -> None:
        stored = await grades.load_grade(self._db, due.project_id, due.grade_id)
        if stored is None:
            return
        body = self._render(from_storage(stored))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "venire",
            SIGNATURE: sign(self._secret(due.project_id), body, self._now()),
        }
        try:
            await asyncio.to_thread(_post, due.url, body, headers)
        except (OSError, HTTPException, CallbackRefused, ValueError) as error:
            await self._put_off(due, f"{type(error).__name__}: {error}")
        else:
            await callbacks.callback_delivered(self._db, due.grade_id, now=self._now())

    async def _put_off(self, due: DueCallback, error: str) -> None:
        retry = due.attempts <= len(self._retry_after)
        again = self._now() + self._retry_after[due.attempts - 1] if retry else None
        log.warning("callback failed", grade=show_id("g", due.grade_id), error=error, gave_up=not retry)
        await callbacks.put_callback_off(self._db, due.grade_id, error=error[:500], try_again_at=again)


def _post(url: str, body: bytes, headers: dict[str, str]) -> None:
    """POST without following redirects: the result goes where the caller said, or nowhere."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        if not 200 <= response.status < 300:
            raise CallbackRefused(f"answered {response.status}")
    finally:
        connection.close()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
