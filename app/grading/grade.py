"""Grading one item: draw the panel, put the draw on record, ask the judges, record what they said.

The assignment is committed before the first call and no transaction is held while judges think. What every
judge said is committed together with the grade's end, before anybody is told of it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from random import Random, SystemRandom
from typing import Any, Protocol

import structlog

from app.domain.ids import show_id
from app.domain.items import Item
from app.domain.judging import (
    Assignment,
    JudgeVersion,
    Reply,
    Seat,
    SecondStage,
    Unscored,
    UnscoredReason,
)
from app.domain.problems import NotFound
from app.domain.projects import Project
from app.domain.rubrics import RubricVersion
from app.grading.assignment import ByFamily, assign, eligible_judges
from app.grading.panel import Panel
from app.grading.requests import GradeRequest, check, exclusions
from app.grading.results import (
    SIMULATED_NOTE,
    Calibrated,
    Grade,
    SeatOutcome,
    Status,
    scored,
    status_of,
    summarise,
)
from app.grading.rubrics import Rubrics
from app.grading.spending import GradePermit, Wallet
from app.grading.stages import draw_second
from app.grading.stored import as_stored, from_storage
from app.judges.roster import Roster
from app.judges.turns import Lane
from app.storage import assignments, budgets, grades, verdicts
from app.storage.database import Database
from app.storage.writer import Rows

log = structlog.get_logger(__name__)

SEED_BITS = 53  # what JavaScript's numbers hold exactly
_STOPPED = Unscored(UnscoredReason.PROVIDER_ERROR, "the service stopped before this judge had answered")

Spawn = Callable[[Coroutine[Any, Any, Any], str], object]  # runs work that nobody waits for, under a name


class Calibrate(Protocol):
    """What turns the scores of a panel into calibrated ones; never raises for want of a calibration."""

    async def __call__(
        self, project_id: int, rubric: RubricVersion, item: Item, replies: Sequence[tuple[Seat, Reply]]
    ) -> Calibrated: ...


@dataclass(frozen=True, slots=True)
class Begun:
    """A grade whose assignment is on record. ``deadline`` is on the event loop's clock."""

    project: Project
    request: GradeRequest
    assigned: assignments.AssignedGrade
    assignment: Assignment
    eligible: ByFamily
    created_at: datetime
    deadline: float


def _utc_now() -> datetime:
    """Now, to the millisecond, as it is stored: what is answered is what will be read again."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


class Grading:
    """The use case. ``watch`` hears every seat's reply, ``finished`` that a callback may be due."""

    def __init__(
        self,
        db: Database,
        roster: Roster,
        rubrics: Rubrics,
        calibrate: Calibrate,
        spawn: Spawn,
        *,
        watch: Callable[[JudgeVersion, Reply], None],
        finished: Callable[[], None],
        most_in_flight: int = 512,
        rng: Random | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._db, self._roster, self._rubrics = db, roster, rubrics
        self._calibrate, self._spawn, self._watch, self._finished = calibrate, spawn, watch, finished
        self._rng, self._now = rng or Random(SystemRandom().getrandbits(256)), now
        self._judges = self.judges = {judge.version: judge for judge in roster.judges()}
        self._families = frozenset(entry.config.family for entry in roster.entries)
        self._eligible = lru_cache(1024)(partial(eligible_judges, tuple(self._judges)))
        self._wallet = Wallet(db, self._now, spawn)
        self._places = asyncio.Semaphore(most_in_flight)
        self.waiting = self.in_flight = 0

    async def grade(self, project: Project, request: GradeRequest) -> Grade:
        """Grade and wait for it.

        Raises
        ------
        NotFound, BadInput, TooFewFamilies, ItemConflict, BudgetSpent
            Before anything is stored.
        """
        return await self._carry_out(await self._begin(project, request))

    async def begin(self, project: Project, request: GradeRequest) -> Grade:
        """Put the assignment on record and go on in the background; raises as `grade` does."""
        begun = await self._begin(project, request)
        self._spawn(self._carry_out(begun), f"grade {show_id('g', begun.assigned.id)}")
        seats = tuple(SeatOutcome(seat, None) for seat in begun.assignment.seats)
        return self._grade(begun, Status.PENDING, seats, {}, ())

    async def get(self, project: Project, grade_id: int) -> Grade:
        """A grade as it stands; NotFound if the project has none of that id."""
        stored = await grades.load_grade(self._db, project.id, grade_id)
        if stored is None:
            raise NotFound("grade", show_id("g", grade_id))
        return from_storage(stored)

    async def recover(self) -> int:
        """Close what dead processes left unfinished: their seats are unscored, with the reason said.

        Their judges are not asked again: whoever waited is gone, and a second call costs a second time.
        What calls of such a process may have cost at most counts as suspect.
        """
        suspect = await budgets.let_go_of_dead(self._db, now=self._now())
        if suspect:
            log.warning("calls of stopped processes may have cost at most", suspect_usd=suspect)
        recovered = 0
        while taken := await grades.take_over_grades(self._db, now=self._now()):
            for project_id, grade_id in taken:
                await self._close_abandoned(project_id, grade_id)
            recovered += len(taken)
        return recovered

    async def close(self) -> None:
        """Give back money that is set aside, as the process ends; what calls under way hold is suspect."""
        await self._wallet.close()
        await budgets.let_go(self._db)

    async def _begin(self, project: Project, request: GradeRequest) -> Begun:
        deadline = asyncio.get_running_loop().time() + request.timeout_s
        self._wallet.check(project.id)
        rubric = await self._rubrics.latest(project, request.rubric)
        assignment, eligible = self.draw(project, rubric, request, new=True)
        now = self._now()
        assigned = await assignments.record_assignment(
            self._db,
            grade_id=self._db.new_id(now),
            project_id=project.id,
            rubric=rubric,
            item=request.item,
            assignment=assignment,
            now=now,
            request=request.kept(),
            callback_url=request.callback_url,
        )
        return Begun(project, request, assigned, assignment, eligible, now, deadline)

    def draw(
        self, project: Project, rubric: RubricVersion, request: GradeRequest, *, new: bool = False
    ) -> tuple[Assignment, ByFamily]:
        """Draw the panel of a request, from the judges that may sit on it; nothing is recorded.

        ``new`` is as for `eligible`.

        Raises
        ------
        BadInput, TooFewFamilies
            If there can be no such panel.
        """
        eligible = self.eligible(project, rubric, request, new=new)
        seed = request.panel.seed
        if seed is None:
            seed = self._rng.getrandbits(SEED_BITS)
        return assign(eligible, request.panel, len(request.item.answers), seed), eligible

    def resumed(self, request: GradeRequest, eligible: ByFamily, stored: Assignment) -> Assignment:
        """A stored assignment with the seats that still wait for their second stage.

        They are drawn again from the stored seed; judges that went away meanwhile, or sit already, are not
        among them.
        """
        if request.panel.stages is None or stored.second is not None:
            return stored
        again = assign(eligible, request.panel, len(request.item.answers), stored.seed)
        seated = {seat.judge for seat in stored.seats}
        return replace(stored, waiting=tuple(seat for seat in again.waiting if seat.judge not in seated))

    async def draw_second(
        self,
        project_id: int,
        rubric: RubricVersion,
        request: GradeRequest,
        assignment: Assignment,
        outcomes: Sequence[SeatOutcome],
        position: int,
    ) -> Assignment:
        """Draw whether the seats that wait are asked, by what came of the others; nothing is recorded."""
        assert request.panel.stages is not None  # else no seat waits
        calibrated, _ = await self.derive(project_id, rubric, request.item, assignment, outcomes)
        return draw_second(
            request.panel.stages, assignment, rubric, request.item, outcomes, calibrated, position
        )

    def eligible(
        self, project: Project, rubric: RubricVersion, request: GradeRequest, *, new: bool = False
    ) -> ByFamily:
        """The judges that may sit on the request's panel; BadInput if it asks for what cannot be.

        A ``new`` request may name only families of the roster; one that was taken stays good if that changes.
        """
        check(request, rubric.rubric, project.policy, self._families if new else None)
        return self._eligible(exclusions(request, project.policy))

    async def derive(
        self,
        project_id: int,
        rubric: RubricVersion,
        item: Item,
        assignment: Assignment,
        outcomes: Sequence[SeatOutcome],
    ) -> tuple[Calibrated, tuple[str, ...]]:
        """What follows from the seats' replies: calibrated scores, and warnings."""
        warnings = self._warnings(assignment)
        try:
            return await self._calibrate(project_id, rubric, item, scored(outcomes)), warnings
        except Exception as error:  # what the judges said must be kept whatever the calibration does
            log.error("calibration could not be applied", rubric=rubric.rubric.name, exc_info=error)
            return {}, (*warnings, "The calibration could not be applied; scores are raw.")

    async def _carry_out(self, begun: Begun) -> Grade:
        permit = self._wallet.permit(begun.project.id)
        outcomes, second = await self._ask(begun, permit)
        status = status_of(outcomes)
        calibrated, warnings = await self.derive(
            begun.project.id, begun.assigned.rubric, begun.request.item, begun.assignment, outcomes
        )
        callback = begun.request.callback_url is not None
        derived = as_stored(calibrated, warnings)
        now = await self._record(begun.assigned, outcomes, status, derived, callback, permit.rows)
        if callback:
            self._finished()
        return self._grade(begun, status, outcomes, calibrated, warnings, now, second)

    async def _ask(
        self, begun: Begun, permit: GradePermit
    ) -> tuple[tuple[SeatOutcome, ...], SecondStage | None]:
        request, second = begun.request, None

        async def draw_and_record(outcomes: Sequence[SeatOutcome], position: int) -> Sequence[Seat]:
            nonlocal second
            drawn = await self.draw_second(
                begun.project.id, begun.assigned.rubric, request, begun.assignment, outcomes, position
            )
            await assignments.record_second(self._db, begun.assigned, drawn, now=self._now())
            second = drawn.second
            return drawn.seats[len(outcomes) :]

        async def record_replacement(seat: Seat) -> None:
            await assignments.record_replacement(self._db, begun.assigned, seat, now=self._now())

        panel = Panel(
            rubric=begun.assigned.rubric.rubric,
            item=request.item,
            assignment=begun.assignment,
            eligible=begun.eligible,
            judges=self._judges,
            timeout_s=request.timeout_s,
            deadline=begun.deadline,
            max_cost_usd=request.max_cost_usd,
            replaced=record_replacement,
            answered=self._watch,
            lane=Lane(begun.project.id),
            second=draw_and_record,
            permit=permit,
        )
        self.waiting += 1
        try:
            async with asyncio.timeout_at(begun.deadline):
                await self._places.acquire()
        except TimeoutError:
            return panel.turned_away(), None
        finally:
            self.waiting -= 1
        self.in_flight += 1
        try:
            return await panel.ask(), second
        finally:
            self.in_flight -= 1
            self._places.release()

    async def _record(
        self,
        assigned: assignments.AssignedGrade,
        outcomes: Sequence[SeatOutcome],
        status: Status,
        answered: Mapping[str, Any],
        callback: bool,
        spent: Rows,
    ) -> datetime:
        replies = [(one.seat, one.reply) for one in outcomes if one.reply is not None]
        now = self._now()
        await verdicts.record_outcome(
            self._db,
            assigned,
            replies,
            verdicts.GradeStatus(status.value),
            now=now,
            answered=answered,
            callback=callback,
            more=spent,
        )
        return now

    async def _close_abandoned(self, project_id: int, grade_id: int) -> None:
        stored = await grades.load_grade(self._db, project_id, grade_id)
        if stored is None:
            return
        silent = [seat for seat in stored.assignment.seats if seat.position not in stored.replies]
        outcomes = [SeatOutcome(seat, Reply(unscored=_STOPPED)) for seat in silent]
        answered = [SeatOutcome(seat, stored.replies.get(seat.position)) for seat in stored.assignment.seats]
        status = status_of(answered)
        derived = as_stored({}, (_STOPPED.detail,))
        callback = stored.callback_url is not None
        await self._record(stored.assigned, outcomes, status, derived, callback, {})

    def _warnings(self, assignment: Assignment) -> tuple[str, ...]:
        warnings = [SIMULATED_NOTE] if self._roster.simulated else []
        families = len({seat.judge.family for seat in (*assignment.seats, *assignment.waiting)})
        spared = assignment.second is not None and not assignment.second.asked
        if families < 3 and not spared:
            warnings.append(
                f"The panel was drawn from {families} famil{'y' if families == 1 else 'ies'}: "
                "with fewer than three, biases that a family shares do not average out."
            )
        return tuple(warnings)

    def _grade(
        self,
        begun: Begun,
        status: Status,
        outcomes: tuple[SeatOutcome, ...],
        calibrated: Calibrated,
        warnings: tuple[str, ...],
        finished_at: datetime | None = None,
        second: SecondStage | None = None,
    ) -> Grade:
        rubric, item = begun.assigned.rubric, begun.request.item
        return Grade(
            id=begun.assigned.id,
            status=status,
            rubric=rubric,
            item=item,
            seed=begun.assignment.seed,
            seats=outcomes,
            created_at=begun.created_at,
            finished_at=finished_at,
            simulated=self._roster.simulated,
            raw=summarise(rubric, len(item.answers), outcomes) if finished_at else {},
            calibrated=calibrated,
            warnings=warnings or self._warnings(begun.assignment),
            second=second,
        )
