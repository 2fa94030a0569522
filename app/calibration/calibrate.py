"""The use case: take a queued run, load its evidence, fit, store the version; say why where it cannot."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.calibration.design import build_design
from app.calibration.fit import fit_calibration
from app.calibration.judge_bias import judge_bias
from app.calibration.model import describe
from app.calibration.snapshot import frame_of, snapshot_of
from app.domain.calibration import Calibration, RunStatus
from app.domain.problems import BadInput, NotFound, Problem
from app.storage import calibrations
from app.storage.calibrations import CalibrationRun
from app.storage.database import Database
from app.storage.evidence import Evidence, load_evidence
from app.storage.rubrics import get_rubric

_SEED_BITS = 32  # of the run's id, so that a run can be repeated exactly


@dataclass(frozen=True, slots=True)
class Computed:
    """What a fit leaves to be stored; ``frame`` is None if nothing could be calibrated."""

    snapshot: dict[str, Any]
    model: dict[str, Any]
    frame: bytes | None
    refusals: tuple[str, ...]


def compute(evidence: Evidence, *, seed: int) -> Computed:
    """Fit ``evidence``; pure, for a thread or process of its own."""
    design = build_design(evidence)
    fit = fit_calibration(design, seed=seed)
    frame = frame_of(design, fit).to_bytes() if fit.item is not None else None
    refusals = tuple(str(refusal) for refusal in fit.refusals)
    model = describe(design, fit) | {"bias": judge_bias(design)}
    return Computed(snapshot_of(design), model, frame, refusals)


async def queue_calibrations(
    db: Database,
    project_id: int,
    *,
    rubric: str,
    criterion: str | None = None,
    anchor_sets: Sequence[str] | None = None,
    now: datetime,
) -> tuple[Calibration, ...]:
    """Queue one run per criterion (or for the one named).

    Raises
    ------
    NotFound
        If the project has no such rubric.
    BadInput
        If the rubric has no such criterion.
    """
    found = await get_rubric(db, project_id, rubric)
    if found is None:
        raise NotFound("rubric", rubric)
    names = [one.name for one in found.rubric.criteria]
    if criterion is not None and criterion not in names:
        problem = Problem(
            f"is none of the rubric's criteria: {', '.join(names)}", path="criterion", value=criterion
        )
        raise BadInput("there is nothing to calibrate", [problem])
    return tuple(
        [
            await calibrations.queue_calibration(
                db, project_id, rubric=rubric, criterion=name, anchor_sets=anchor_sets, now=now
            )
            for name in names
            if criterion in (None, name)
        ]
    )


async def run_calibration(
    db: Database, run: CalibrationRun, *, executor: Executor | None, now: Callable[[], datetime]
) -> RunStatus:
    """Carry out a claimed run to its stored end; what breaks is stored as a failure, not raised."""
    key = run.calibration.id
    try:
        evidence = await load_evidence(
            db, run.project_id, run.calibration.rubric, run.calibration.criterion, anchor_sets=run.anchor_sets
        )
        loop = asyncio.get_running_loop()
        done = await loop.run_in_executor(executor, _compute_seeded, evidence, key)
    except KeyError as error:
        await calibrations.fail_calibration(db, key, error=str(error.args[0]), now=now())
        return RunStatus.FAILED
    except Exception as error:
        text = f"the fit broke: {type(error).__name__}: {error}"
        await calibrations.fail_calibration(db, key, error=text, now=now())
        return RunStatus.FAILED
    if done.frame is None:
        await calibrations.refuse_calibration(
            db, key, refusals=done.refusals, snapshot=done.snapshot, model=done.model, now=now()
        )
        return RunStatus.REFUSED
    await calibrations.finish_calibration(
        db, key, snapshot=done.snapshot, model=done.model, frame=done.frame, refusals=done.refusals, now=now()
    )
    return RunStatus.DONE


def _compute_seeded(evidence: Evidence, key: int) -> Computed:
    return compute(evidence, seed=key & ((1 << _SEED_BITS) - 1))


def _utc_now() -> datetime:
    return datetime.now(UTC)


async def run_queued_calibrations(
    db: Database,
    *,
    executor: Executor | None = None,
    now: Callable[[], datetime] = _utc_now,
    ended: Callable[[CalibrationRun, RunStatus], None] | None = None,
) -> int:
    """Carry out every queued run, oldest first; returns how many.

    ``executor`` runs the fits (None: the event loop's threads), ``ended`` is told of every end.
    """
    count = 0
    while (run := await calibrations.claim_calibration(db, now=now())) is not None:
        status = await run_calibration(db, run, executor=executor, now=now)
        if ended is not None:
            ended(run, status)
        count += 1
    return count


class CalibrationRunner:
    """The service's background task: runs what is queued, at once when woken, else every ``poll_s`` seconds.

    Polling finds what another process queued and what a dead one left behind.
    """

    def __init__(
        self,
        db: Database,
        *,
        executor: Executor | None = None,
        poll_s: float = 5.0,
        now: Callable[[], datetime] = _utc_now,
        ended: Callable[[CalibrationRun, RunStatus], None] | None = None,
        broke: Callable[[Exception], None] | None = None,
    ) -> None:
        self._db, self._executor, self._poll_s, self._now = db, executor, poll_s, now
        self._ended, self._broke = ended, broke
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look at the queue now."""
        self._woken.set()

    async def run_forever(self) -> None:
        """Until cancelled. A storage failure is told to ``broke`` and tried again after ``poll_s``."""
        while True:
            self._woken.clear()
            try:
                await calibrations.requeue_abandoned_calibrations(self._db, now=self._now())
                await run_queued_calibrations(
                    self._db, executor=self._executor, now=self._now, ended=self._ended
                )
            except Exception as error:
                if self._broke is not None:
                    self._broke(error)
            try:
                await asyncio.wait_for(self._woken.wait(), self._poll_s)
            except TimeoutError:
                continue
