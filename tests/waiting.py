"""Waiting in a test for what happens elsewhere, however long a busy machine takes for it."""

import asyncio
from collections.abc import Callable


async def until(true: Callable[[], object], seconds: float = 60) -> None:
    """Return once ``true()`` is; TimeoutError if it never comes to that."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.005)
