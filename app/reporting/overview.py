"""Where a project stands: what is calibrated, what is missing, and the one step to take next."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.calibration import RunStatus
from app.domain.ids import show_id
from app.domain.projects import Project
from app.domain.rubrics import RubricVersion
from app.storage.activity import MOST_COUNTED, CalibrationHead, CriterionCounts, Standing, standing
from app.storage.database import Database

RECENT = timedelta(days=1)
MANY_NEW = 0.2  # verdicts since a calibration, as a share of those it rests on, that make a new one worth it
_NOTHING = CriterionCounts(0, 0, 0, 0)


class Step(StrEnum):
    """What a criterion, or the project, lacks; in the order in which it is to be done."""

    MAKE_RUBRIC = "make_rubric"
    BRING_VERDICTS = "bring_verdicts"
    UPLOAD_ANCHORS = "upload_anchors"
    CALIBRATE = "calibrate"
    WAIT = "wait"
    MEND = "mend"  # the newest run was refused or failed, and no older one stands in
    RECALIBRATE = "recalibrate"
    READ = "read"


class State(StrEnum):
    """How far a criterion is."""

    EMPTY = "empty"
    NOT_CALIBRATED = "not_calibrated"
    QUEUED = "queued"
    RUNNING = "running"
    REFUSED = "refused"
    FAILED = "failed"
    CALIBRATED = "calibrated"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class CriterionStanding:
    """One criterion. ``verdicts`` are those that count: real ones if there are any, else simulated.

    ``calibration_id`` is of the newest calibration that is done, ``run_id`` of the newest run if that is
    another one. ``new_verdicts`` came since the calibration's snapshot. ``why`` has refusals or the failure.
    """

    rubric: str
    criterion: str
    kind: str
    state: State
    step: Step
    verdicts: int
    judges: int
    human_grades: int
    simulated: bool
    calibration_id: str | None
    calibrated_at: datetime | None
    run_id: str | None
    new_verdicts: int
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole project. ``grades`` counts those of the last day by status, up to ``most_counted``."""

    criteria: tuple[CriterionStanding, ...]
    step: Step
    about: CriterionStanding | None
    grades: Mapping[str, int]
    most_counted: int
    imports: Mapping[str, int]
    imported_verdicts: int
    anchor_sets: int
    systems: int


async def overview(db: Database, project: Project, *, now: datetime) -> Overview:
    """Look at everything the project has; a handful of counting queries in one snapshot."""
    found = await standing(db, project.id, since=now - RECENT)
    criteria = tuple(
        _criterion(found, version, criterion.name)
        for version in found.rubrics
        for criterion in version.rubric.criteria
    )
    step, about = next_step(criteria)
    return Overview(
        criteria=criteria,
        step=step,
        about=about,
        grades=found.grades,
        most_counted=MOST_COUNTED,
        imports=found.imports,
        imported_verdicts=found.imported,
        anchor_sets=sum(found.anchor_sets.values()),
        systems=found.systems,
    )


_URGENCY = (
    *(Step.MEND, Step.WAIT, Step.CALIBRATE, Step.RECALIBRATE),
    *(Step.UPLOAD_ANCHORS, Step.READ, Step.BRING_VERDICTS),
)


def next_step(criteria: tuple[CriterionStanding, ...]) -> tuple[Step, CriterionStanding | None]:
    """The step to take first, and the criterion it is about.

    What is nearest to a result goes first; a criterion without any verdict is only mentioned when no other
    has anything to read.
    """
    for step in _URGENCY:
        for criterion in criteria:
            if criterion.step is step:
                return step, criterion
    return Step.MAKE_RUBRIC, None


def _criterion(found: Standing, version: RubricVersion, name: str) -> CriterionStanding:
    key = version.rubric.name, name
    counts, newest, done = found.counts.get(key, _NOTHING), found.newest.get(key), found.newest_done.get(key)
    simulated = not counts.verdicts and counts.simulated_verdicts > 0
    verdicts = counts.simulated_verdicts if simulated else counts.verdicts
    state = _state(counts, version, newest, done)
    new = 0 if done is None else max(0, verdicts - int(done.counts.get("verdicts", 0)))
    grown = done is not None and new > MANY_NEW * max(1, int(done.counts.get("verdicts", 0)))
    return CriterionStanding(
        rubric=version.rubric.name,
        criterion=name,
        kind=version.rubric.kind.value,
        state=state,
        step=_step(state, verdicts, counts.human_grades, grown),
        verdicts=verdicts,
        judges=counts.judges,
        human_grades=counts.human_grades,
        simulated=simulated,
        calibration_id=None if done is None else show_id("c", done.id),
        calibrated_at=None if done is None else done.finished_at,
        run_id=None if newest is None or newest is done else show_id("c", newest.id),
        new_verdicts=new,
        why=() if newest is None or newest is done else (_reasons(newest) or _words(newest.error)),
    )


_OPEN = {RunStatus.QUEUED: State.QUEUED, RunStatus.RUNNING: State.RUNNING}


def _state(
    counts: CriterionCounts,
    version: RubricVersion,
    newest: CalibrationHead | None,
    done: CalibrationHead | None,
) -> State:
    if done is not None:
        return State.CALIBRATED if done.rubric_version in (None, version.version) else State.STALE
    if newest is not None:
        return _OPEN.get(newest.status) or (
            State.REFUSED if newest.status is RunStatus.REFUSED else State.FAILED
        )
    if counts == _NOTHING:
        return State.EMPTY
    return State.NOT_CALIBRATED


def _step(state: State, verdicts: int, human_grades: int, grown: bool) -> Step:
    if state in (State.QUEUED, State.RUNNING):
        return Step.WAIT
    if state is State.STALE or (state is State.CALIBRATED and grown):
        return Step.RECALIBRATE
    if state is State.CALIBRATED:
        return Step.READ
    if not verdicts:
        return Step.BRING_VERDICTS
    if not human_grades:
        return Step.UPLOAD_ANCHORS
    return Step.CALIBRATE if state is State.NOT_CALIBRATED else Step.MEND


def _reasons(run: CalibrationHead) -> tuple[str, ...]:
    """Refusals without the names that programs tell them by."""
    return tuple(text.partition(": ")[2] or text for text in run.refusals)


def _words(error: str | None) -> tuple[str, ...]:
    return () if error is None else (error,)
