"""Workers beside a service or a command of this machine, each in a process of its own.

They end with the process that started them, whatever ends that; one that dies is started again.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping

_FIRST_S, _LONGEST_S = 0.5, 30.0  # before one that died is started again
_LONG_ENOUGH_S = 60.0  # it had lived, to be started again at once
_DRAIN_S = 75.0


@contextlib.asynccontextmanager
async def workers_nearby(count: int, environment: Mapping[str, str]) -> AsyncIterator[None]:
    """So many workers with this environment, until the block ends; what they have under way is recorded."""
    stopping = asyncio.Event()
    tasks = [asyncio.create_task(_keep(environment, stopping), name="worker nearby") for _ in range(count)]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep(environment: Mapping[str, str], stopping: asyncio.Event) -> None:
    wait = _FIRST_S
    while not stopping.is_set():
        begun = asyncio.get_running_loop().time()
        await _one(environment, stopping)
        if asyncio.get_running_loop().time() - begun > _LONG_ENOUGH_S:
            wait = _FIRST_S
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), wait)
        wait = min(2 * wait, _LONGEST_S)


async def _one(environment: Mapping[str, str], stopping: asyncio.Event) -> None:
    """One worker, from its start to its end."""
    entry = "from app.command import main; main()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", entry, "worker", "--parent", str(os.getpid())),
        env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )
    ended, told = asyncio.ensure_future(process.wait()), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((ended, told), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(ended), _DRAIN_S)
    finally:
        if process.returncode is None:
            process.kill()
        await ended
        told.cancel()
