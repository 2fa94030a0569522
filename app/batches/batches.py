"""Batches as callers use them: made, watched, paused, gone on with, topped up, tried again, cancelled."""

from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import ceil
from random import SystemRandom

from app.batches.checking import Checker, Lines
from app.batches.estimate import Estimator
from app.batches.known import KnownItems, lines_of
from app.batches.lines import pack
from app.batches.providers.outbox import batching
from app.batches.stopping import RandomOrder, first_state, with_rule
from app.domain.batches import (
    AtProviders,
    Batch,
    BatchMode,
    BatchOptions,
    BatchStatus,
    Estimate,
    Worker,
)
from app.domain.ids import show_id
from app.domain.judging import JudgeVersion
from app.domain.problems import Conflict, NotFound
from app.domain.projects import Project
from app.domain.stopping import StopRule
from app.grading.grade import SEED_BITS, Grading
from app.grading.requests import GradeRequest
from app.grading.results import Grade
from app.grading.rubrics import Rubrics
from app.grading.stored import from_storage
from app.judges.roster import Roster
from app.storage import batches, workers
from app.storage.batch_comparisons import open_comparison
from app.storage.bulk_measures import BulkMeasures, bulk_measures
from app.storage.chunks import ItemResult, item_results
from app.storage.database import Database
from app.storage.grades import load_grades
from app.storage.health import typical_output
from app.storage.paging import Page
from app.storage.provider_batches import at_providers

SMALL_CHUNK, LARGE_CHUNK = 200, 500
_SMALL_CHUNKS = 20  # the first are small, so that a small batch can be shared among workers
_RESULTS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a batch goes, and what is left of it; None where nothing is known yet."""

    rate_per_s: float | None = None
    left_s: float | None = None
    cost_left_usd: float | None = None


class Batches:
    """The use case. All of it works on the record: workers see what was changed within a second."""

    def __init__(
        self,
        db: Database,
        roster: Roster,
        grading: Grading,
        rubrics: Rubrics,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db, self._grading, self._rubrics, self._now = db, grading, rubrics, now
        self._configs = {
            entry.judge.version: entry.config for entry in roster.entries if entry.judge is not None
        }
        self._batching = frozenset(judge.version for judge in roster.judges() if batching(judge))

    def lines_of(self, project: Project, wanted: KnownItems) -> Lines:
        """The lines of a batch of items that the project has."""
        return lines_of(self._db, self._rubrics, project, wanted)

    async def check(
        self,
        project: Project,
        lines: Lines,
        mode: BatchMode = BatchMode.LIVE,
        stop: StopRule | None = None,
    ) -> tuple[int, Estimate]:
        """How many requests these are and what they would cost; BadInput with everything that is wrong."""
        checker = await self._checker(project, mode)
        if stop is None:
            async for block in lines:
                await checker.check(block)
            checker.finish()
        else:
            await self._in_random_order(checker, lines, stop)
        return checker.items, checker.estimator.estimate()

    async def create(
        self,
        project: Project,
        lines: Lines,
        options: BatchOptions,
        *,
        name: str | None = None,
        budget_usd: float | None = None,
        stop: StopRule | None = None,
    ) -> Batch:
        """Check every line, reserve the budget and let workers begin.

        Without a ``budget_usd`` the high end of the estimate and a panel at its worst are one, rounded up to
        a cent; where judges go by batches, what has to be set aside to send them all at once
        (`Estimator.budget`). With ``stop`` the lines are graded in random order, until that comparison is
        decided.

        Raises
        ------
        BadInput
            With everything that is wrong with any line; nothing is paid then.
        """
        checker, now = await self._checker(project, options.mode), self._now()
        batch_id = self._db.new_id(now)
        await batches.open_batch(self._db, batch_id, project.id, name=name, options=options, now=now)
        try:
            if stop is None:
                chunks = await self._store(checker, batch_id, lines)
                checker.finish()
            else:
                order, stop = await self._in_random_order(checker, lines, stop)
                chunks = await self._store_as_drawn(project, batch_id, order, stop)
                options = with_rule(options, stop)
            estimate = checker.estimator.estimate()
            if budget_usd is None and estimate.high_usd > 0:
                budget_usd = ceil(100 * checker.estimator.budget()) / 100
            versions = {rubric: version.version for rubric, version in checker.versions.items()}
            await batches.start_batch(
                self._db,
                batch_id,
                project.id,
                options=replace(options, rubrics=versions),
                estimate=estimate,
                items=checker.items,
                chunks=chunks,
                budget_usd=budget_usd,
                now=self._now(),
            )
        except BaseException:
            await batches.drop_batch(self._db, batch_id)
            raise
        return await self.get(project, batch_id)

    async def get(self, project: Project, batch_id: int) -> Batch:
        """The batch as it stands; NotFound if the project has none of that id."""
        found = await batches.load_batch(self._db, project.id, batch_id)
        if found is None:
            raise NotFound("batch", show_id("b", batch_id))
        return found

    async def pause(self, project: Project, batch_id: int) -> Batch:
        """Begin no further call for it; those under way are recorded."""
        return await self._change(
            project, batch_id, BatchStatus.PAUSED, (BatchStatus.RUNNING,), reason="paused by its caller"
        )

    async def resume(self, project: Project, batch_id: int, *, top_up_usd: float = 0.0) -> Batch:
        """Go on, with a larger budget if it is topped up."""
        resting = {BatchStatus.PAUSED, BatchStatus.OUT_OF_BUDGET}
        if top_up_usd:
            resting.add(BatchStatus.RUNNING)
        return await self._change(project, batch_id, BatchStatus.RUNNING, resting, top_up_usd=top_up_usd)

    async def cancel(self, project: Project, batch_id: int) -> Batch:
        """Grade no more of it; what is graded stays."""
        going = tuple(status for status in BatchStatus if not status.over)
        return await self._change(
            project, batch_id, BatchStatus.CANCELLED, going, reason="cancelled by its caller"
        )

    async def retry_failed(
        self, project: Project, batch_id: int, *, partial: bool = False
    ) -> tuple[Batch, int]:
        """Grade items anew whose grade failed (or is only partial); returns how many these are."""
        await self.get(project, batch_id)
        endings = ("failed", "partial") if partial else ("failed",)
        allowed = (
            *(BatchStatus.DONE, BatchStatus.RUNNING, BatchStatus.PAUSED),
            BatchStatus.OUT_OF_BUDGET,
        )
        count = await batches.retry_items(self._db, batch_id, endings, only_from=allowed)
        found = await self.get(project, batch_id)
        if count is None:
            raise Conflict(f"the batch is {found.status.value}: its items are not graded any more")
        return found, count

    async def results(
        self, project: Project, batch_id: int, *, after: int = -1
    ) -> AsyncIterator[tuple[ItemResult, Grade | None]]:
        """What is graded so far, in the order of the file; an item that could not be has its problem."""
        await self.get(project, batch_id)
        while True:
            some = await item_results(self._db, batch_id, after=after, limit=_RESULTS_AT_ONCE)
            if not some:
                return
            ids = [one.grade_id for one in some if one.grade_id is not None]
            grades = {g.id: g for g in map(from_storage, await load_grades(self._db, project.id, ids))}
            for one in some:
                yield one, None if one.grade_id is None else grades[one.grade_id]
            after = some[-1].number

    def pace(self, batch: Batch) -> Pace:
        """How fast it went since it started, and how long and how dear the rest will be at that."""
        settled, left = batch.counts.settled, batch.items - batch.counts.settled
        if batch.started_at is None or not settled:
            return Pace()
        seconds = ((batch.finished_at or self._now()) - batch.started_at).total_seconds()
        rate = settled / seconds if seconds > 0 else None
        running, live = batch.status is BatchStatus.RUNNING, batch.options.mode is BatchMode.LIVE
        return Pace(
            rate_per_s=None if rate is None else round(rate, 3),
            left_s=round(left / rate, 1) if rate and running and live else None,
            cost_left_usd=round(batch.spending.spent_usd / settled * left, 9),
        )

    async def at_providers(self, batch: Batch) -> AtProviders | None:
        """What of it waits at the judges' providers; None for one that goes one by one."""
        if batch.options.mode is BatchMode.LIVE:
            return None
        return await at_providers(self._db, batch.id)

    async def warnings(self, batch: Batch) -> list[str]:
        """What its caller should know of a batch."""
        said = []
        by_batch = [one.by_batch for one in batch.estimate.judges]
        if batch.options.mode is BatchMode.BATCH and by_batch and not any(by_batch):
            said.append("No judge's provider has a batch endpoint: all of them are asked one by one.")
        if batch.status is BatchStatus.RUNNING and not await self.workers():
            said.append("No worker is running, so nothing is graded: start one with `venire worker`.")
        limit, at_once = batch.spending.limit_usd, sum(one.at_worst_usd for one in batch.estimate.judges)
        if limit is not None and limit < at_once and not batch.status.over:
            said.append(
                f"Sent to the providers all at once, its requests might cost up to about ${at_once:,.2f}, "
                f"more than its budget of ${limit:,.2f}: they are sent bit by bit, as replies show what they "
                "really cost. A larger budget makes fewer and larger batches."
            )
        if limit is not None and limit < batch.estimate.low_usd:
            said.append(
                f"Its budget of ${limit:,.4f} is below the low end of the estimate "
                f"(${batch.estimate.low_usd:,.4f}): it will probably stop before the end."
            )
        return said

    async def workers(self) -> tuple[Worker, ...]:
        """The workers that live."""
        return await workers.list_workers(self._db)

    async def measures(self) -> BulkMeasures:
        """Depths of the moment over all projects, for metrics."""
        return await bulk_measures(self._db)

    async def list(
        self,
        project: Project,
        *,
        status: Collection[BatchStatus] = (),
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Batch]:
        """The project's batches, newest first."""
        return await batches.list_batches(self._db, project.id, status=status, limit=limit, cursor=cursor)

    async def drop_abandoned(self) -> int:
        """Forget batches whose lines a process was reading that died."""
        return await batches.drop_abandoned(self._db, now=self._now())

    async def _checker(self, project: Project, mode: BatchMode) -> Checker:
        written = await typical_output(self._db, project.id, self._configs)
        by_batch = self._batching if mode is BatchMode.BATCH else frozenset[JudgeVersion]()
        estimator = Estimator(self._configs, written, by_batch)
        return Checker(self._db, project, self._grading, self._rubrics, estimator)

    async def _store(self, checker: Checker, batch_id: int, lines: Lines) -> int:
        """Check and store chunk after chunk; once a line is wrong the rest is only checked."""
        held: list[tuple[int, GradeRequest]] = []
        chunks = stored = 0

        async def store(count: int) -> None:
            nonlocal chunks, stored
            requests, held[:count] = held[:count], []
            await batches.add_chunk(
                self._db,
                batch_id,
                checker.project.id,
                number=chunks,
                first=stored,
                items=len(requests),
                requests=pack(requests),
            )
            chunks, stored = chunks + 1, stored + len(requests)

        async for block in lines:
            held += await checker.check(block)
            if checker.wrong:
                held.clear()
            while len(held) >= (size := SMALL_CHUNK if chunks < _SMALL_CHUNKS else LARGE_CHUNK):
                await store(size)
        if held:
            await store(len(held))
        return chunks

    async def _in_random_order(
        self, checker: Checker, lines: Lines, stop: StopRule
    ) -> tuple[RandomOrder, StopRule]:
        """All good lines by prompt, and the rule with what follows from them; BadInput as `create`."""
        order = RandomOrder(stop)
        async for block in lines:
            order.add(await checker.check(block))
        checker.finish()
        seed = SystemRandom().getrandbits(SEED_BITS)
        return order, await order.settle(self._db, checker.project, checker.versions, seed)

    async def _store_as_drawn(
        self, project: Project, batch_id: int, order: RandomOrder, stop: StopRule
    ) -> int:
        number = first = 0
        for requests in order.chunks(stop.seed):
            await batches.add_chunk(
                self._db,
                batch_id,
                project.id,
                number=number,
                first=first,
                items=len(requests),
                requests=pack(requests),
            )
            number, first = number + 1, first + len(requests)
        await open_comparison(self._db, batch_id, project.id, state=first_state(stop))
        return number

    async def _change(
        self,
        project: Project,
        batch_id: int,
        to: BatchStatus,
        only_from: Collection[BatchStatus],
        *,
        reason: str | None = None,
        top_up_usd: float = 0.0,
    ) -> Batch:
        found = await self.get(project, batch_id)
        changed = await batches.change_status(
            self._db,
            batch_id,
            to,
            only_from=only_from,
            reason=reason,
            top_up_usd=top_up_usd,
            now=self._now(),
        )
        if not changed:
            raise Conflict(f"the batch is {found.status.value}, which cannot become {to.value}")
        return await self.get(project, batch_id)
