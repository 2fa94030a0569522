"""One database behind one door: read on a read-only snapshot, write through the group-commit writer.

SQLite is driven by its own threads, a whole transaction per hop (one writer thread, a few readers);
PostgreSQL by asyncpg. Either way a transaction is a plain function of a SQLAlchemy `Connection`.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from random import Random, SystemRandom
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, IntegrityError

from app.domain.ids import new_id
from app.storage import processes
from app.storage.postgresql import PATIENCE_S, PostgreSQL
from app.storage.times import to_ms
from app.storage.writer import Rows, Writer

T = TypeVar("T")

_BUSY_TIMEOUT_MS = 10_000


class UnsupportedDatabase(ValueError):
    """A URL of a database that the service cannot keep its promises on."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"cannot use the database {url!r}: {why}")
        self.url, self.why = url, why


def read_url(url: str) -> URL:
    """The driver's URL for ``url``: plain ``sqlite:///path`` and ``postgresql://...`` are understood.

    Raises
    ------
    UnsupportedDatabase
        For another database, an in-memory SQLite, or a string that is no URL.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise UnsupportedDatabase(url, "it is no database URL") from error
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+asyncpg")
    shown = parsed.render_as_string(hide_password=True)
    if backend != "sqlite":
        raise UnsupportedDatabase(shown, "only SQLite and PostgreSQL are supported")
    if parsed.database in (None, "", ":memory:"):
        raise UnsupportedDatabase(shown, "SQLite needs a file, as in sqlite:////var/lib/venire/venire.db")
    return parsed.set(drivername="sqlite")


def is_there_already(error: Exception) -> bool:
    """Whether rows were refused because others with their keys are there."""
    return isinstance(error, IntegrityError)


class _Engines(Protocol):
    async def read(self, work: Callable[[Connection], T], patience_s: float = ...) -> T: ...

    async def write(self, work: Callable[[Connection], T]) -> T: ...

    async def close(self) -> None: ...


class _SQLite:
    """A thread for writes and a few for reads; each transaction crosses to its thread once."""

    def __init__(self, url: URL, readers: int, cache_mb: int) -> None:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        self._writes = sqlite_engine(url, cache_mb=cache_mb)
        self._reads = sqlite_engine(url, read_only=True, pool_size=readers, cache_mb=cache_mb)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="sqlite-reader")
        self._connection: Connection | None = None

    async def read(self, work: Callable[[Connection], T], patience_s: float = 0) -> T:
        def run() -> T:
            with self._reads.connect() as connection, connection.begin():
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    async def write(self, work: Callable[[Connection], T]) -> T:
        def run() -> T:
            if self._connection is None:
                self._connection = self._writes.connect()
            with self._connection.begin():
                return work(self._connection)

        return await asyncio.get_running_loop().run_in_executor(self._writer, run)

    async def close(self) -> None:
        def run() -> None:
            if self._connection is not None:
                self._connection.close()
            self._writes.dispose()

        await asyncio.get_running_loop().run_in_executor(self._writer, run)
        self._writer.shutdown()
        await asyncio.to_thread(self._readers.shutdown)
        self._reads.dispose()


class Database:
    """The open database. Use as ``async with Database(url) as db`` or `open` and `close`.

    ``process_id`` stands in rows of unfinished work, so that others see when its owner is dead.
    ``cache_mb`` is the most that each connection to a SQLite file keeps of it.
    """

    def __init__(self, url: str, *, readers: int = 4, cache_mb: int = 32, rng: Random | None = None) -> None:
        self.url = read_url(url)
        self.backend = "sqlite" if self.url.get_backend_name() == "sqlite" else "postgresql"
        self._rng = rng or SystemRandom()
        self._readers, self._cache_mb = readers, cache_mb
        self.process_id = new_id(to_ms(datetime.now(UTC)), self._rng)
        self._id_moment, self._ids_of_moment = -1, set[int]()
        self._engines: _Engines | None = None
        self._writer: Writer | None = None
        self._beating: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, start the writer and put this process on record. The schema must be there."""
        kind = _SQLite if self.backend == "sqlite" else PostgreSQL
        engines: _Engines = kind(self.url, self._readers, self._cache_mb)
        self._engines, self._writer = engines, Writer(engines.write)
        self._writer.start()
        try:
            await self.write(lambda c: processes.enter(c, self.process_id, datetime.now(UTC)))
        except BaseException:
            await self._shut()
            raise
        self._beating = asyncio.get_running_loop().create_task(self._beat(), name="storage heartbeat")

    async def close(self) -> None:
        """Commit what is queued, take the process off the record and disconnect."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        try:
            if self._writer is not None:
                await self.write(lambda c: processes.leave(c, self.process_id))
        finally:
            await self._shut()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def read(self, work: Callable[[Connection], T], patience_s: float = PATIENCE_S) -> T:
        """Run ``work`` on one read-only snapshot; again, for ``patience_s`` at most, if its wire breaks."""
        return await self._open_engines().read(work, patience_s)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a write transaction; returns once it is durable. It may be run twice."""
        return await self._open_writer().submit({}, work)

    async def alone(self, work: Callable[[Connection], T]) -> T:
        """`write` in a transaction of its own, whose locks are held for nothing else.

        For what locks rows that several processes change: within a group of others' writes each process
        could hold what the other waits for.
        """
        return await self._open_engines().write(work)

    async def submit(self, rows: Rows) -> None:
        """Insert ``rows`` with whatever else is being committed; returns once they are durable."""
        await self._open_writer().submit(rows)

    async def ping(self) -> None:
        """Raise if the database does not answer now."""
        await self.read(lambda connection: connection.execute(text("SELECT 1")).scalar_one(), patience_s=0)

    def new_id(self, now: datetime) -> int:
        """An id that grows with time, and that this process has not given out before.

        Two processes can draw the same id in the same millisecond (one chance in four million per pair):
        who writes many at once draws again if the database refuses one.
        """
        moment = to_ms(now)
        if moment != self._id_moment:
            self._id_moment, self._ids_of_moment = moment, set()
        while (drawn := new_id(moment, self._rng)) in self._ids_of_moment:
            pass
        self._ids_of_moment.add(drawn)
        return drawn

    def forget(self) -> None:
        """Forget which rows are known to be there; after rows were deleted from outside."""
        self._open_writer().forget()

    def _open_engines(self) -> _Engines:
        if self._engines is None:
            raise RuntimeError("the database is not open")
        return self._engines

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise RuntimeError("the database is not open")
        return self._writer

    async def _shut(self) -> None:
        if self._writer is not None:
            await self._writer.close()
        if self._engines is not None:
            await self._engines.close()
        self._engines = self._writer = None

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(processes.BEAT_EVERY_S)
            await _quietly(self.write(lambda c: processes.beat(c, self.process_id, datetime.now(UTC))))


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """A missed beat is made up by the next one; what broke the database shows in the requests."""
    try:
        await work
    except Exception:
        return


def _switch_to_wal(connection: Any) -> None:
    """Also where another process opens the same new file: SQLite then refuses at once, without waiting."""
    until = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def sqlite_engine(
    url: URL,
    *,
    read_only: bool = False,
    pool_size: int = 1,
    foreign_keys: bool = True,
    cache_mb: int = 128,
) -> Engine:
    """An engine whose connections are set up for durability and for several processes on one file.

    Migrations that rebuild a table want ``foreign_keys`` off.
    """
    engine = create_engine(url, pool_size=pool_size, max_overflow=0, pool_timeout=60)

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin below, not where sqlite3 guesses
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        _switch_to_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA cache_size = {-1024 * cache_mb}")
        connection.execute(
            "PRAGMA wal_autocheckpoint = 16000"
        )  # 64 MiB: pages of a large import are written once
        if read_only:
            connection.execute("PRAGMA query_only = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine
