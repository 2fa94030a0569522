"""Going on after the database was away: what is to be recorded is kept until it can be."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from app.storage.database import Database, is_there_already
from app.storage.passing import is_passing
from app.storage.writer import Rows

T = TypeVar("T")

log = structlog.get_logger(__name__)

_FIRST_S, _LONGEST_S = 0.2, 5.0
_SAY_EVERY_S = 10.0


_said_at = -1e9


def say_away(error: Exception) -> None:
    """Log that the database is away, once for all that wait for it now."""
    global _said_at
    if time.monotonic() - _said_at > _SAY_EVERY_S:
        _said_at = time.monotonic()
        log.warning("the database is away; trying again", error=type(error).__name__)


async def surely(work: Callable[[], Awaitable[T]]) -> T:
    """What ``work`` returns, tried again for as long as the database is away."""
    wait = _FIRST_S
    while True:
        try:
            return await work()
        except Exception as error:
            if not is_passing(error):
                raise
            say_away(error)
        await asyncio.sleep(wait)
        wait = min(2 * wait, _LONGEST_S)


async def submit_surely(db: Database, rows: Rows) -> None:
    """`Database.submit`, tried again for as long as the database is away.

    A commit whose answer was lost may have been done: then the same rows are there already, which only the
    holder of a chunk's claim can have written.
    """
    tried = 0

    async def submit() -> None:
        nonlocal tried
        tried += 1
        try:
            await db.submit(rows)
        except Exception as error:
            if tried > 1 and is_there_already(error):
                return
            raise

    await surely(submit)
