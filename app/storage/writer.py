"""The group-commit writer: what queued while the last commit ran is committed next.

One task per process, no timer: an idle service commits a lone request at once, a busy one shares
each commit (and its flush to disk) among all that wait.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection

from app.domain.problems import Unavailable
from app.storage.statements import Insert, Row
from app.storage.tables import metadata

T = TypeVar("T")
Rows = Mapping[Insert, Sequence[Row]]
Transact = Callable[[Callable[[Connection], Any]], Awaitable[Any]]

_PARENTS_FIRST = {table.name: place for place, table in enumerate(metadata.sorted_tables)}
_LARGEST_GROUP = 1000  # bounds the memory and the time of one commit
_MOST_REMEMBERED = 200_000


class WriterClosed(RuntimeError):
    """A write after the database was closed."""


@dataclass(slots=True, eq=False)
class _Submission:
    rows: Rows
    work: Callable[[Connection], Any] | None
    done: asyncio.Future[Any]


@dataclass(slots=True)
class Writer:
    """Commits submissions in groups through ``transact``, which runs a function in one transaction.

    A submission is a set of rows, a function of the connection, or both. The function may be run
    again if the group fails, so it must not do anything but talk to the database; inside a group
    it has its own savepoint, so what it raises reaches its own caller only. Rows of all
    submissions are written after the functions, parents before children. If that fails, each
    submission is tried alone, so that a bad one fails alone.
    """

    transact: Transact
    _queue: deque[_Submission] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _closing: bool = False
    _known: set[int] = field(default_factory=set)

    def start(self) -> None:
        """Begin to take submissions, on the running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="storage writer")

    async def close(self) -> None:
        """Commit what is queued, then stop."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task

    def forget(self) -> None:
        """Forget which rows are known to be there; for when rows were deleted."""
        self._known.clear()

    async def submit(self, rows: Rows, work: Callable[[Connection], T] | None = None) -> T:
        """Return what ``work`` returned, once everything of this submission is durable.

        Raises
        ------
        WriterClosed
            After `close`.
        """
        if self._closing or self._task is None:
            raise WriterClosed("the database is closed")
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.append(_Submission(rows, work, done))
        self._wake.set()
        result: T = await done
        return result

    async def _run(self) -> None:
        while True:
            while self._queue:
                size = min(len(self._queue), _LARGEST_GROUP)
                await self._commit([self._queue.popleft() for _ in range(size)])
            if self._closing:
                return
            self._wake.clear()
            if not self._queue:
                await self._wake.wait()

    async def _commit(self, group: list[_Submission]) -> None:
        try:
            outcomes = await self.transact(lambda connection: self._write(connection, group))
        except Exception as error:
            if len(group) == 1 or isinstance(error, Unavailable):
                for submission in group:
                    _settle(submission, error)
                return
            for submission in group:
                await self._commit([submission])
            return
        for submission, outcome in zip(group, outcomes, strict=True):
            _settle(submission, outcome)
        self._remember(group)

    def _write(self, connection: Connection, group: list[_Submission]) -> list[Any]:
        outcomes = [_work(connection, submission, alone=len(group) == 1) for submission in group]
        gathered: dict[Insert, list[Row]] = {}
        for submission, outcome in zip(group, outcomes, strict=True):
            if not isinstance(outcome, _Raised):
                for insert, rows in submission.rows.items():
                    gathered.setdefault(insert, []).extend(rows)
        for insert, rows in gathered.items():
            if insert.remember:
                gathered[insert] = [row for row in rows if row[0] not in self._known]
        write_rows(connection, gathered)
        return outcomes

    def _remember(self, group: list[_Submission]) -> None:
        if len(self._known) > _MOST_REMEMBERED:
            self._known.clear()
        for submission in group:
            for insert, rows in submission.rows.items():
                if insert.remember:
                    self._known.update(row[0] for row in rows)


def merge(rows: dict[Insert, list[Row]], more: Rows) -> dict[Insert, list[Row]]:
    """Add ``more`` to ``rows``, and return these."""
    for insert, added in more.items():
        rows.setdefault(insert, []).extend(added)
    return rows


def write_rows(connection: Connection, rows: Rows) -> None:
    """Prepare and insert ``rows``, parents before children."""
    for insert in sorted(rows, key=lambda insert: _PARENTS_FIRST[insert.table.name]):
        prepared = list(rows[insert])
        if insert.prepare is not None and prepared:
            prepared = insert.prepare(connection, prepared)
        insert.execute(connection, prepared)


@dataclass(slots=True)
class _Raised:
    error: Exception


def _work(connection: Connection, submission: _Submission, *, alone: bool) -> Any:
    if submission.work is None:
        return None
    if alone:
        return submission.work(connection)
    try:
        with connection.begin_nested():
            return submission.work(connection)
    except Exception as error:
        return _Raised(error)


def _settle(submission: _Submission, outcome: Any) -> None:
    if submission.done.done():  # the caller went away; its rows are committed all the same
        return
    if isinstance(outcome, _Raised):
        submission.done.set_exception(outcome.error)
    elif isinstance(outcome, Exception):
        submission.done.set_exception(outcome)
    else:
        submission.done.set_result(outcome)
