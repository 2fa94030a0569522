"""Grading one chunk of a batch: panels drawn and on record before any call, every reply on record at once.

A chunk that was begun by a worker that died is gone on with where its records end: drawn panels are kept,
seats with a reply are not asked again.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial

import structlog

from app.batches.lines import unpack
from app.batches.patience import say_away, submit_surely, surely
from app.batches.providers.duty import Providers
from app.batches.providers.outbox import Outbox, Waits
from app.batches.seats import Seats
from app.batches.standing import Standing
from app.batches.stopping import Looks
from app.domain.batches import BatchStatus, Reuse
from app.domain.ids import show_id
from app.domain.items import ItemConflict
from app.domain.judging import Assignment, Reply, Seat, TooFewFamilies
from app.domain.problems import BadInput, NotFound
from app.domain.rubrics import RubricVersion
from app.grading.assignment import ByFamily
from app.grading.grade import Grading
from app.grading.panel import Panel
from app.grading.requests import GradeRequest
from app.grading.results import SeatOutcome, Status, status_of
from app.grading.rubrics import Rubrics
from app.grading.stored import as_stored
from app.judges.judge import Question, Withdrawn
from app.storage.assignments import AssignedGrade, put_assignment, replacement_rows, second_rows
from app.storage.batches import change_status
from app.storage.catalog import Catalog
from app.storage.chunks import (
    ITEMS,
    ClaimedChunk,
    ClaimLost,
    claim_chunk,
    finish_chunk,
    grades_of,
    item_row,
    leave_chunk,
    progress_rows,
)
from app.storage.database import Database, is_there_already
from app.storage.grades import load_grades
from app.storage.passing import is_passing
from app.storage.reusable import earlier_replies, seen_by
from app.storage.statements import Insert, Row
from app.storage.times import to_ms
from app.storage.verdicts import GradeStatus, closing_rows, reply_rows
from app.storage.writer import merge

log = structlog.get_logger(__name__)

_MOST_REDRAWN = 5
_SLICE = 50  # items whose assignments are committed together: small enough not to hold up other writers


class Ending(StrEnum):
    """How a worker left a chunk: done; handed on to another worker; or until its batch goes on."""

    DONE = "done"
    HANDED_ON = "handed on"
    RESTS = "rests"


@dataclass(slots=True)
class _Work:
    """An item on its way: its request, its panel, what is known of its seats."""

    number: int
    request: GradeRequest
    rubric: RubricVersion
    assigned: AssignedGrade
    assignment: Assignment
    eligible: ByFamily
    known: dict[int, Reply] = field(default_factory=dict)
    new: bool = False


class Chunks:
    """Grades chunks for this worker; at most ``at_once`` items of one chunk are on their way."""

    def __init__(
        self,
        db: Database,
        grading: Grading,
        rubrics: Rubrics,
        standing: Standing,
        seats: Seats,
        providers: Providers,
        *,
        at_once: int,
        now: Callable[[], datetime],
    ) -> None:
        self._db, self._grading, self._rubrics, self._providers = db, grading, rubrics, providers
        self._standing, self._seats, self._at_once, self._now = standing, seats, at_once, now
        self._looks = Looks(db, now)
        self._versions: dict[tuple[int, str, int], RubricVersion] = {}

    async def grade(self, batch_id: int, number: int) -> Ending:
        """Claim the chunk and grade what of it is not graded."""
        if self._standing.draining or self._standing.given_up:
            return Ending.HANDED_ON
        chunk = await surely(lambda: claim_chunk(self._db, batch_id, number, now=self._now()))
        if chunk is None:
            return Ending.RESTS
        self._standing.begin(chunk)
        ending = Ending.HANDED_ON
        try:
            outbox = self._providers.outbox(chunk)
            await self._grade(chunk, outbox)
            if await outbox.send():
                ending = Ending.RESTS
            else:
                # First the money: a batch that shows as done holds none.
                await self._return_money(chunk)
                await surely(lambda: finish_chunk(self._db, chunk, now=self._now()))
                ending = Ending.DONE
                if "stop_when" in chunk.options.more:
                    await self.look(batch_id)
        except Withdrawn:
            handed_on = self._standing.draining or self._standing.given_up
            ending = Ending.HANDED_ON if handed_on else Ending.RESTS
        except ClaimLost:
            log.warning("a chunk was taken over by another worker", chunk=number)
        except Exception as error:
            if is_passing(error):  # once it is over, somebody goes on
                say_away(error)
                await self._leave(chunk, Ending.HANDED_ON)
                return Ending.HANDED_ON
            # A fault of ours: the batch rests until somebody has looked.
            log.error("a chunk failed", batch=show_id("b", batch_id), chunk=number, exc_info=error)
            self._standing.stop(batch_id, BatchStatus.PAUSED)
            await self._pause(batch_id, error)
            ending = Ending.RESTS
        await self._leave(chunk, ending)
        return ending

    async def look(self, batch_id: int) -> None:
        """Take the looks at a batch's comparison that are due; once it is decided no further call begins."""
        if await surely(lambda: self._looks.look(batch_id)):
            self._standing.stop(batch_id, BatchStatus.DECIDED)

    async def _return_money(self, chunk: ClaimedChunk) -> None:
        """What is held for the batch and not needed, once no other chunk of it is at work here."""
        if self._standing.end(chunk) and not self._standing.given_up:
            await surely(lambda: self._seats.purses.close(chunk.batch_id))

    async def _leave(self, chunk: ClaimedChunk, ending: Ending) -> None:
        await self._return_money(chunk)
        if ending is not Ending.DONE:
            await surely(lambda: leave_chunk(self._db, chunk, to_engine=ending is Ending.HANDED_ON))

    async def _pause(self, batch_id: int, error: Exception) -> None:
        reason = f"something failed inside ({type(error).__name__}); it has been logged"
        await surely(
            lambda: change_status(
                self._db,
                batch_id,
                BatchStatus.PAUSED,
                only_from=(BatchStatus.RUNNING,),
                reason=reason,
                now=self._now(),
            )
        )

    async def _grade(self, chunk: ClaimedChunk, outbox: Outbox) -> None:
        """So many runners take item after item; an error ends them, once their calls have ended."""
        items = self._items(chunk)
        taking, failed = asyncio.Lock(), False

        async def run() -> None:
            nonlocal failed
            try:
                while True:
                    async with taking:
                        work = None if failed else await anext(items, None)
                    if work is None:
                        return
                    with contextlib.suppress(Waits):
                        await self._item(chunk, work, outbox)
            except BaseException:
                failed = True
                raise

        runners = [run() for _ in range(min(self._at_once, chunk.items))]
        ended = await asyncio.gather(*runners, return_exceptions=True)
        for error in sorted(filter(None, ended), key=lambda one: isinstance(one, Withdrawn)):
            raise error  # a fault of ours before a mere withdrawal

    async def _items(self, chunk: ClaimedChunk) -> AsyncIterator[_Work]:
        """The items still to be graded, slice by slice, their assignments on record."""
        requests = list(unpack(chunk.requests))
        on_record = await surely(lambda: grades_of(self._db, chunk))
        for start in range(0, len(requests), _SLICE):
            numbers = range(start + chunk.first, min(start + _SLICE, len(requests)) + chunk.first)
            begun = {n: on_record[n][0] for n in numbers if n in on_record and on_record[n][1]}
            new = [n for n in numbers if n not in on_record]
            works = await self._resumed(chunk, begun, requests) if begun else []
            if new:
                await self._standing.check(chunk)
                works += await self._assigned(chunk, {n: requests[n - chunk.first] for n in new})
            for work in works:
                yield work

    async def _resumed(
        self, chunk: ClaimedChunk, begun: dict[int, int | None], requests: list[tuple[int, GradeRequest]]
    ) -> list[_Work]:
        ids = {grade: number for number, grade in begun.items() if grade is not None}
        works = []
        for stored in await surely(lambda: load_grades(self._db, chunk.project.id, list(ids))):
            number = ids[stored.assigned.id]
            (_, request), rubric = requests[number - chunk.first], stored.assigned.rubric
            eligible = self._grading.eligible(chunk.project, rubric, request)
            assignment = self._grading.resumed(request, eligible, stored.assignment)
            known = dict(stored.replies)
            works.append(_Work(number, request, rubric, stored.assigned, assignment, eligible, known))
        return works

    async def _assigned(
        self, chunk: ClaimedChunk, requests: dict[int, tuple[int, GradeRequest]]
    ) -> list[_Work]:
        """Draw the panels of these items and put them on record; items that cannot be graded say why."""
        problems: dict[int, str] = {}
        redrawn = 0
        while True:
            catalog = Catalog(chunk.project.id, to_ms(self._now()))
            works = []
            for number, (line, request) in requests.items():
                if number in problems:
                    continue
                try:
                    works.append(await self._draw(chunk, catalog, number, line, request))
                except (BadInput, TooFewFamilies, NotFound) as error:
                    problems[number] = str(error)
            if chunk.options.reuse is Reuse.SAME_PROJECT:
                await self._reuse(catalog, works)
            for number, problem in problems.items():
                catalog.put(ITEMS, item_row(chunk, number, requests[number][0], None, problem))
            reused = sum(len(work.known) for work in works)
            merge(catalog.rows, progress_rows(chunk, failed=len(problems), reused=reused))
            try:
                await submit_surely(self._db, catalog.rows)
            except ItemConflict as conflict:
                for number, (_, request) in requests.items():
                    if request.item.item_id == conflict.item_id:
                        problems[number] = str(conflict)
                continue
            except Exception as error:
                if not is_there_already(error) or redrawn == _MOST_REDRAWN:
                    raise
                redrawn += 1  # another process drew the id of one of these grades
                continue
            return works

    async def _draw(
        self, chunk: ClaimedChunk, catalog: Catalog, number: int, line: int, request: GradeRequest
    ) -> _Work:
        rubric = await self._rubric(chunk, request.rubric)
        assignment, eligible = self._grading.draw(chunk.project, rubric, request)
        grade_id = self._db.new_id(self._now())
        assigned = put_assignment(
            catalog,
            grade_id=grade_id,
            process_id=self._db.process_id,
            rubric=rubric,
            item=request.item,
            assignment=assignment,
            request=request.kept(),
            batch_id=chunk.batch_id,
        )
        catalog.put(ITEMS, item_row(chunk, number, line, grade_id))
        return _Work(number, request, rubric, assigned, assignment, eligible, new=True)

    async def _rubric(self, chunk: ClaimedChunk, name: str) -> RubricVersion:
        """The version of a rubric that the batch was checked with; versions never change."""
        key = (chunk.project.id, name, chunk.options.rubrics[name])
        if key not in self._versions:
            self._versions[key] = await surely(partial(self._rubrics.version, chunk.project, *key[1:]))
        return self._versions[key]

    async def _reuse(self, catalog: Catalog, works: list[_Work]) -> None:
        """Let seats take what their judges said before of the same texts in the same order."""
        earlier = await surely(lambda: earlier_replies(self._db, [work.assigned for work in works]))
        for work in works:
            said = earlier.get(work.assigned.id, {})
            for seat in work.assignment.seats:
                reply = said.pop(seen_by(catalog.project_id, work.assigned, seat), None)
                if reply is not None:
                    work.known[seat.position] = reply
                    merge(catalog.rows, reply_rows(work.assigned, [(seat, reply)], self._now()))

    async def _reuse_later(
        self, chunk: ClaimedChunk, work: _Work, later: Sequence[Seat], rows: dict[Insert, list[Row]]
    ) -> int:
        """The same for seats of a second stage; returns how many took one."""
        if chunk.options.reuse is not Reuse.SAME_PROJECT or not later:
            return 0
        earlier = await surely(lambda: earlier_replies(self._db, [work.assigned]))
        said, reused = earlier.get(work.assigned.id, {}), 0
        for seat in later:
            reply = said.pop(seen_by(chunk.project.id, work.assigned, seat), None)
            if reply is not None:
                work.known[seat.position] = reply
                merge(rows, reply_rows(work.assigned, [(seat, reply)], self._now()))
                reused += 1
        return reused

    async def _item(self, chunk: ClaimedChunk, work: _Work, outbox: Outbox) -> None:
        request = work.request

        async def ask(seat: Seat, question: Question, share: float | None) -> Reply:
            outbox.take(work.number, work.assigned.id, seat, question, share, new=work.new)
            return await self._seats.ask(
                chunk, work.assigned, seat, question, timeout_s=request.timeout_s, share=share
            )

        async def record(seat: Seat) -> None:
            rows = replacement_rows(work.assigned, seat, now=self._now())
            await submit_surely(self._db, merge(rows, progress_rows(chunk)))

        async def draw_and_record(outcomes: Sequence[SeatOutcome], position: int) -> Sequence[Seat]:
            drawn = await self._grading.draw_second(
                chunk.project.id, work.rubric, request, work.assignment, outcomes, position
            )
            later = drawn.seats[len(outcomes) :]
            rows = second_rows(work.assigned, drawn, now=self._now())
            reused = await self._reuse_later(chunk, work, later, rows)
            spared = 0 if later else len(work.assignment.waiting)
            await submit_surely(self._db, merge(rows, progress_rows(chunk, reused=reused, spared=spared)))
            return later

        panel = Panel(
            rubric=work.rubric.rubric,
            item=request.item,
            assignment=work.assignment,
            eligible=work.eligible,
            judges={},
            timeout_s=request.timeout_s,
            deadline=float("inf") if outbox.replaces else 0.0,  # no time for replacements
            max_cost_usd=request.max_cost_usd,
            replaced=record,
            answered=lambda judge, reply: None,
            known=work.known,
            ask_seat=ask,
            second=draw_and_record,
        )
        outcomes = await panel.ask()
        status = status_of(outcomes)
        calibrated, warnings = await self._grading.derive(
            chunk.project.id, work.rubric, request.item, work.assignment, outcomes
        )
        rows = closing_rows(
            work.assigned, GradeStatus(status.value), self._now(), as_stored(calibrated, warnings)
        )
        counted = progress_rows(
            chunk,
            complete=status is Status.COMPLETE,
            partial=status is Status.PARTIAL,
            failed=status is Status.FAILED,
        )
        await submit_surely(self._db, merge(rows, counted))
