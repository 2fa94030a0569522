"""PostgreSQL through pooled asyncpg connections; one that breaks costs its caller time, not an answer.

A transaction whose connection broke is run again. If it broke while the commit was under way, the server is
asked first what became of it, so that nothing is written twice.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import TypeVar

from sqlalchemy import URL, Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.domain.problems import Unavailable
from app.storage.passing import is_passing

T = TypeVar("T")

PATIENCE_S = 30.0  # a server that restarts is back by then
_PAUSES_S = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # then 2 s again and again


class OutcomeUnknown(RuntimeError):
    """The connection broke while a commit was under way, and the server no longer knows what became of it."""


class PostgreSQL:
    """Reads are read-only snapshots, writes plain transactions.

    What it is given to run may be run again, for at most ``patience_s``, and must do nothing but talk to the
    database. A server that stays away longer is `Unavailable`.
    """

    def __init__(self, url: URL, readers: int, cache_mb: int) -> None:
        self._engine: AsyncEngine = create_async_engine(
            url, pool_size=readers + 1, max_overflow=0, pool_pre_ping=True, pool_timeout=60
        )

    async def read(self, work: Callable[[Connection], T], patience_s: float = PATIENCE_S) -> T:
        pauses = _pauses(patience_s)
        while True:
            try:
                async with self._engine.connect() as connection:
                    await connection.execution_options(
                        isolation_level="REPEATABLE READ", postgresql_readonly=True
                    )
                    async with connection.begin():
                        return await connection.run_sync(work)
            except Exception as error:
                await _pause(error, pauses)

    async def write(self, work: Callable[[Connection], T]) -> T:
        pauses = _pauses(PATIENCE_S)
        while True:
            committing: str | None = None
            try:
                async with self._engine.begin() as connection:
                    result = await connection.run_sync(work)
                    committing = await _transaction_id(connection)
                return result
            except Exception as error:
                if committing is not None and is_passing(error) and await self._has_committed(committing):
                    return result
                await _pause(error, pauses)

    async def close(self) -> None:
        await self._engine.dispose()

    async def _has_committed(self, transaction: str) -> bool:
        """What became of a transaction whose commit was under way.

        Raises
        ------
        OutcomeUnknown
            If the server has forgotten it, or it does not end.
        """
        status = text("SELECT pg_xact_status(CAST(CAST(:id AS text) AS xid8))")
        for pause in _pauses(PATIENCE_S):
            found = await self.read(lambda c: c.execute(status, {"id": transaction}).scalar_one())
            if found != "in progress":
                break
            await asyncio.sleep(pause)
        if found not in ("committed", "aborted"):
            raise OutcomeUnknown(f"whether transaction {transaction} was committed is not known")
        return bool(found == "committed")


async def _transaction_id(connection: AsyncConnection) -> str | None:
    """The id under which a commit can be asked for; None where nothing was written."""
    found = await connection.scalar(text("SELECT CAST(pg_current_xact_id_if_assigned() AS text)"))
    return None if found is None else str(found)


def _pauses(patience_s: float) -> Iterator[float]:
    """Pauses between tries until ``patience_s`` have passed."""
    loop = asyncio.get_running_loop()
    until = loop.time() + patience_s
    tries = 0
    while loop.time() < until:
        yield _PAUSES_S[min(tries, len(_PAUSES_S) - 1)]
        tries += 1


async def _pause(error: Exception, pauses: Iterator[float]) -> None:
    """Wait before the next try; raise where that would not help, or has been tried for long enough."""
    if not is_passing(error):
        raise error
    pause = next(pauses, None)
    if pause is None:
        raise Unavailable("the database does not answer") from error
    await asyncio.sleep(pause)
