"""The durable engine (DBOS, its MIT core): which chunk is to be graded by whom, through every crash.

One workflow grades one chunk; it has no steps of its own, as what it does is on record in our ledger. Chunks
are enqueued by a parent workflow under ids that follow from what they are, so that neither a crash nor two
workers enqueue one twice or never. The queue has a partition per project: each worker works on a few chunks
of every project, not on all chunks of the first.

The engine's own recovery is for restarts of the same executor. Executors here are processes that come and go:
`Engine.take_over` hands the work of a dead one on.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog
from dbos import DBOS, DBOSConfig, SetEnqueueOptions, SetWorkflowID

from app.batches.chunk import Ending

log = structlog.get_logger(__name__)

NAME = "venire"
VERSION = "batches-1"  # of the workflows: raise it when old ones cannot be gone on with
_QUEUE, _CHUNK, _HAND_OVER = "chunks", "grade_chunk", "hand_over"
_POLL_S = 0.1
_AT_ONCE_PER_PROJECT, _AT_ONCE = 2, 16
_FINISHED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_UNDER_WAY = ["PENDING", "ENQUEUED", "DELAYED"]

GradeChunk = Callable[[int, int], Awaitable[Ending]]
HandOver = Callable[[int, int, Sequence[int]], Awaitable[None]]


class Engine:
    """One per process, as DBOS is. ``grade`` grades a chunk; ``note`` marks chunks as handed over."""

    def __init__(self, system_database_url: str, executor: str, grade: GradeChunk, note: HandOver) -> None:
        self._grade, self._note = grade, note
        config: DBOSConfig = {
            "name": NAME,
            "system_database_url": system_database_url,
            "application_version": VERSION,
            "executor_id": executor,
            "log_level": "ERROR",
            "use_listen_notify": False,
            "sys_db_pool_size": 10,
            "scheduler_polling_interval_sec": 3600.0,
        }
        DBOS(config=config)
        self.at_work, self._stopped = 0, False

        async def grade_chunk(batch_id: int, number: int, round_: int) -> None:
            self.at_work += 1
            try:
                await self._run_chunk(batch_id, number, round_)
            finally:
                self.at_work -= 1

        async def hand_over(batch_id: int, project_id: int, round_: int, numbers: list[int]) -> None:
            await self._run_parent(batch_id, project_id, round_, numbers)

        # Only functions can be workflows, not methods.
        self._chunk = DBOS.workflow(name=_CHUNK)(grade_chunk)
        self._parent = DBOS.workflow(name=_HAND_OVER)(hand_over)

    async def start(self) -> None:
        """Begin to take chunks; workflows run on the running event loop."""
        DBOS.launch()
        await DBOS.register_queue_async(
            _QUEUE,
            worker_concurrency=_AT_ONCE,
            partition_worker_concurrency=_AT_ONCE_PER_PROJECT,
            polling_interval_sec=_POLL_S,
            on_conflict="always_update",
        )

    def stop(self) -> None:
        """Take no more chunks and let go of the engine's database."""
        self._stopped = True
        DBOS.destroy(destroy_registry=True)
        # It had put its own thread pool, now shut, in the place of the loop's.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())

    async def hand_over(self, batch_id: int, project_id: int, round_: int, numbers: Sequence[int]) -> None:
        """Have these chunks of a batch graded; who asks for the same round twice gets it once."""
        with SetWorkflowID(f"batch-{batch_id}-{round_}"):
            await DBOS.start_workflow_async(self._parent, batch_id, project_id, round_, list(numbers))

    async def take_over(self, executor: str) -> int:
        """Put everything that a dead executor had begun back in its queue; returns how many workflows."""
        left = await DBOS.list_workflows_async(
            executor_id=executor, status="PENDING", load_input=False, load_output=False
        )
        chunks = [one.workflow_id for one in left if one.name == _CHUNK]
        parents = [one.workflow_id for one in left if one.name != _CHUNK]
        await self.put_back(chunks)
        if parents:
            await DBOS.resume_workflows_async(parents)
        return len(left)

    async def put_back(self, workflow_ids: Sequence[str]) -> None:
        """Let other workers have these chunks."""
        if workflow_ids:
            await DBOS.resume_workflows_async(list(workflow_ids), queue_name=_QUEUE)

    async def missing(
        self, chunks: Sequence[tuple[int, int, int]], living: Collection[str]
    ) -> list[tuple[int, int, int]]:
        """Those (batch, number, round) that the engine has not, or not any more.

        Chunks that it gave to an executor that is none of the ``living`` go back to its queue.
        """
        ids = {chunk_workflow(*chunk): chunk for chunk in chunks}
        found = await DBOS.list_workflows_async(
            workflow_ids=list(ids), status=_UNDER_WAY, load_input=False, load_output=False
        )
        await self.put_back(
            [one.workflow_id for one in found if one.status == "PENDING" and one.executor_id not in living]
        )
        there = {one.workflow_id for one in found}
        return [chunk for workflow, chunk in ids.items() if workflow not in there]

    async def forget_finished(self, limit: int = 1000) -> int:
        """Delete finished workflows: what they did is in our own tables. Returns how many."""
        finished = await DBOS.list_workflows_async(
            status=_FINISHED, name=[_CHUNK, _HAND_OVER], limit=limit, load_input=False, load_output=False
        )
        if finished:
            await DBOS.delete_workflows_async([one.workflow_id for one in finished])
        return len(finished)

    async def _run_parent(self, batch_id: int, project_id: int, round_: int, numbers: list[int]) -> None:
        await self._note(batch_id, round_, numbers)
        for number in numbers:
            with (
                SetWorkflowID(chunk_workflow(batch_id, number, round_)),
                SetEnqueueOptions(queue_partition_key=str(project_id)),
            ):
                await DBOS.enqueue_workflow_async(_QUEUE, self._chunk, batch_id, number, round_)

    async def _run_chunk(self, batch_id: int, number: int, round_: int) -> None:
        ending = await self._grade(batch_id, number)
        if self._stopped:
            await asyncio.Event().wait()  # the engine is gone: whoever takes over has what it had given us
        if ending is Ending.HANDED_ON:
            # Back in the queue it is no longer ours, and that we return here is not recorded as its end.
            await self.put_back([chunk_workflow(batch_id, number, round_)])


def chunk_workflow(batch_id: int, number: int, round_: int) -> str:
    """The id of the workflow that grades a chunk in a round."""
    return f"chunk-{batch_id}-{number}-{round_}"


def system_database(database_url: Any) -> str:
    """Where the engine keeps its tables: a file of its own beside a SQLite database, else a schema within.

    ``database_url`` is a SQLAlchemy URL.
    """
    if database_url.get_backend_name() == "sqlite":
        path = Path(str(database_url.database)).absolute()
        path = path.with_name(f"{path.stem}-jobs.db")
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")  # stays; ten times as fast as its default
        return f"sqlite:///{quote(str(path))}"
    return str(database_url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False))
