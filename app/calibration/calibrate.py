"""The use case: take a queued run, load its evidence, fit, store the version; say why where it cannot."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.calibration.design import build_design
from app.calibration.fit import fit_calibration
from app.calibration.judge_bias import judge_bias, worth_of_panel
from app.calibration.judge_details import judge_details
from app.calibration.model import describe
from app.calibration.snapshot import frame_of, snapshot_of
from app.domain.calibration import Calibration, RunStatus
from app.domain.ids import show_id
from app.domain.problems import BadInput, NotFound, Problem
from app.storage import calibrations
from app.storage.anchors import anchor_set_versions
from app.storage.calibrations import CalibrationRun
from app.storage.database import Database
from app.storage.evidence import Evidence, load_evidence
from app.storage.paging import Page
from app.storage.rubrics import get_rubric

TEXTS = 2_000  # units whose texts are looked at, to see whether anchors read like the traffic
SEED_BITS = 32  # of the run's id, so that a run can be repeated exactly


def utc_now() -> datetime:
    return datetime.now(UTC)


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
    bias = judge_bias(design)
    bias["panel"]["worth"] = worth_of_panel(design, fit)
    model = describe(design, fit) | {"bias": bias, "judge_details": judge_details(design, fit, bias)}
    return Computed(snapshot_of(design), model, frame, refusals)


ComputeElsewhere = Callable[[Evidence, int], Awaitable[Computed]]
"""Computes off the event loop: evidence and seed in."""


class FitBroke(Exception):
    """The fit ended without a result; the words say how."""


async def queue_calibrations(
    db: Database,
    project_id: int,
    *,
    rubric: str,
    criterion: str | None = None,
    anchor_sets: Sequence[str] | None = None,
    now: Callable[[], datetime] = utc_now,
) -> tuple[Calibration, ...]:
    """Queue one run per criterion (or for the one named).

    Raises
    ------
    NotFound
        If the project has no such rubric.
    BadInput
        If the rubric has no such criterion, or an anchor set is not one of its own.
    """
    found = await get_rubric(db, project_id, rubric)
    if found is None:
        raise NotFound("rubric", rubric)
    names = [one.name for one in found.rubric.criteria]
    problems = []
    if criterion is not None and criterion not in names:
        text = f"is none of the rubric's criteria: {', '.join(names)}"
        problems.append(Problem(text, path="body.criterion", value=criterion))
    for k, name in enumerate(anchor_sets or ()):
        versions = await anchor_set_versions(db, project_id, name)
        if not versions or versions[0].rubric != rubric:
            text = "is no anchor set of this rubric"
            problems.append(Problem(text, path=f"body.anchor_sets[{k}]", value=name))
    if problems:
        raise BadInput("this cannot be calibrated", problems)
    wanted = [name for name in names if criterion in (None, name)]
    return tuple(
        [
            await calibrations.queue_calibration(
                db, project_id, rubric=rubric, criterion=name, anchor_sets=anchor_sets, now=now()
            )
            for name in wanted
        ]
    )


async def find_calibration(db: Database, project_id: int, calibration_id: int) -> Calibration:
    """A calibration of the project; NotFound if it has none of that id."""
    found = await calibrations.get_calibration(db, project_id, calibration_id)
    if found is None:
        raise NotFound("calibration", show_id("c", calibration_id))
    return found


async def list_runs(
    db: Database,
    project_id: int,
    *,
    rubric: str | None,
    criterion: str | None,
    limit: int,
    cursor: str | None,
) -> Page[Calibration]:
    """A page of the project's calibrations, newest first."""
    return await calibrations.list_calibrations(
        db, project_id, rubric=rubric, criterion=criterion, limit=limit, cursor=cursor
    )


async def carry_out(
    db: Database, run: CalibrationRun, *, elsewhere: ComputeElsewhere, now: Callable[[], datetime]
) -> RunStatus:
    """Bring a claimed run to its stored end; what breaks is stored as a failure, not raised."""
    key, about = run.calibration.id, run.calibration
    try:
        evidence = await load_evidence(
            db, run.project_id, about.rubric, about.criterion, anchor_sets=run.anchor_sets, texts=TEXTS
        )
        done = await elsewhere(evidence, key & ((1 << SEED_BITS) - 1))
    except (KeyError, FitBroke) as error:
        await calibrations.fail_calibration(db, key, error=str(error.args[0]), now=now())
        return RunStatus.FAILED
    except Exception as error:
        text = f"the calibration broke: {type(error).__name__}: {error}"
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
