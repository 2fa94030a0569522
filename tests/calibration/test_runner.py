"""Queued calibrations reach a stored end, whatever happens to the fit, and grades find the result."""

import asyncio
import os
import signal
from datetime import datetime

import numpy as np
import pytest

from app.calibration.apply import CalibratedScores
from app.calibration.calibrate import Computed, FitBroke, compute, queue_calibrations
from app.calibration.frame import Frame
from app.calibration.runner import CalibrationRunner, run_queued_calibrations
from app.calibration.worker import FitProcess
from app.domain.anchors import Pairing
from app.domain.calibration import RunStatus, ScoreStatus
from app.domain.ids import show_id
from app.domain.items import Answer, Item
from app.domain.judging import JudgeVersion, Seat
from app.domain.problems import BadInput, NotFound
from app.domain.projects import Project
from app.domain.rubrics import RubricVersion, Scale
from app.storage import calibrations
from app.storage.database import Database
from app.storage.evidence import Evidence
from tests.calibration.planted import plant
from tests.storage.samples import anchored, human, imported, recorded, reply, rubric_in, rubric_of
from tests.waiting import until

CONTINUOUS = rubric_of(scale=Scale(1, 5, None))


async def here(evidence: Evidence, seed: int) -> Computed:
    """The fit in a thread: what a child process would answer, sooner."""
    return await asyncio.to_thread(compute, evidence, seed=seed)


async def evidence_in(db: Database, project: Project, now: datetime, anchors: int = 80) -> RubricVersion:
    """A rubric with recorded verdicts and anchors of a known truth."""
    rubric = await rubric_in(db, project.id, now, CONTINUOUS)
    world = plant(prompts=40, systems=5, anchors=anchors).evidence

    def about(unit: int) -> Pairing:
        return Pairing(
            f"i{world.item[unit]}", world.systems[world.system[unit]], len_words=int(world.length[unit])
        )

    said = zip(world.v_unit, world.v_judge, np.clip(world.v_value, 1, 5), strict=True)
    votes = [recorded(about(u), float(v), by=world.judges[j].name) for u, j, v in said]
    await imported(db, project.id, rubric, votes, now)
    graded = zip(world.h_unit, world.h_annotator, np.clip(world.h_value, 1, 5), strict=True)
    people = [human(about(u), float(v), annotator=f"person-{a}") for u, a, v in graded]
    await anchored(db, project.id, rubric, people, now)
    return rubric


async def test_a_run_is_stored_with_its_snapshot_model_and_frame(
    db: Database, project: Project, now: datetime
) -> None:
    rubric = await evidence_in(db, project, now)
    (queued,) = await queue_calibrations(db, project.id, rubric=rubric.rubric.name)
    ends: list[RunStatus] = []
    done = await run_queued_calibrations(
        db, elsewhere=here, ended=lambda run, status, seconds: ends.append(status)
    )
    assert (done, ends) == (1, [RunStatus.DONE])
    stored = await calibrations.get_calibration(db, project.id, queued.id)
    assert stored is not None
    assert stored.snapshot["anchor_sets"] == [{"name": "anchors", "version": 1}]
    assert stored.snapshot["rubric_version"] == 1
    assert len(stored.snapshot["judges"]) == 6
    raw = await calibrations.get_frame(db, project.id, queued.id)
    assert raw is not None
    frame = Frame.from_bytes(raw)
    assert frame.labelled.sum() == 80
    error = np.nanmean((frame.out_of_fold - frame.human_mean)[frame.labelled] ** 2)
    assert error < np.nanmean((frame.raw_mean - frame.human_mean)[frame.labelled] ** 2)


async def test_grades_say_the_newest_calibration_once_it_is_stored(
    db: Database, project: Project, now: datetime
) -> None:
    rubric = await evidence_in(db, project, now)
    scores = CalibratedScores(db, clock=lambda: 0.0)
    item = Item("Why?", (Answer("system-1", "Because of it."),))
    seats = [
        (Seat(k, JudgeVersion(f"family of judge-{k}", f"judge-{k}", f"judge-{k}"), (0,), 0.5), reply(2.6))
        for k in (0, 2, 4)
    ]
    before = (await scores(project.id, rubric, item, seats))["quality"][0]
    assert before.status is ScoreStatus.JUDGE_RELATIVE
    assert before.score is None
    (queued,) = await queue_calibrations(db, project.id, rubric=rubric.rubric.name)
    await run_queued_calibrations(db, elsewhere=here)
    assert (await scores(project.id, rubric, item, seats))["quality"][0] == before  # looked for a moment ago
    scores.forget(project.id)
    after = (await scores(project.id, rubric, item, seats))["quality"][0]
    assert after.status is ScoreStatus.CALIBRATED
    assert after.calibration_id == show_id("c", queued.id)
    assert after.score is not None
    assert 1 <= after.score <= 5
    assert after.interval is not None


async def test_too_few_anchors_end_refused_and_grades_say_what_is_missing(
    db: Database, project: Project, now: datetime
) -> None:
    rubric = await evidence_in(db, project, now, anchors=12)
    (queued,) = await queue_calibrations(db, project.id, rubric=rubric.rubric.name)
    await run_queued_calibrations(db, elsewhere=here)
    stored = await calibrations.get_calibration(db, project.id, queued.id)
    assert stored is not None
    assert stored.status is RunStatus.REFUSED
    assert stored.refusals[0].startswith("too_few_prompts")
    item = Item("Why?", (Answer("system-1", "Because of it."),))
    judge = JudgeVersion("family of judge-0", "judge-0", "judge-0")
    scores = CalibratedScores(db, clock=lambda: 0.0)
    found = (await scores(project.id, rubric, item, [(Seat(0, judge, (0,), 0.5), reply(2.6))]))["quality"][0]
    assert found.status is ScoreStatus.INSUFFICIENT_ANCHORS
    assert found.interval is None
    assert "20 are needed" in found.warnings[0]


async def test_a_fit_that_breaks_is_stored_as_failed_with_the_words(
    db: Database, project: Project, now: datetime
) -> None:
    rubric = await rubric_in(db, project.id, now, CONTINUOUS)

    async def killed(evidence: Evidence, seed: int) -> Computed:
        raise FitBroke("the fit was killed by signal 9")

    async def broken(evidence: Evidence, seed: int) -> Computed:
        raise ZeroDivisionError("by nought")

    for how, words in ((killed, "killed by signal 9"), (broken, "ZeroDivisionError: by nought")):
        (queued,) = await queue_calibrations(db, project.id, rubric=rubric.rubric.name)
        await run_queued_calibrations(db, elsewhere=how)
        stored = await calibrations.get_calibration(db, project.id, queued.id)
        assert stored is not None
        assert stored.status is RunStatus.FAILED
        assert words in str(stored.error)


async def test_what_does_not_exist_cannot_be_queued(db: Database, project: Project, now: datetime) -> None:
    rubric = await rubric_in(db, project.id, now, CONTINUOUS)
    with pytest.raises(NotFound, match="nowhere"):
        await queue_calibrations(db, project.id, rubric="nowhere")
    with pytest.raises(BadInput) as caught:
        await queue_calibrations(
            db, project.id, rubric=rubric.rubric.name, criterion="charm", anchor_sets=["ghost"]
        )
    assert [problem.path for problem in caught.value.problems] == ["body.criterion", "body.anchor_sets[0]"]


async def test_the_runner_starts_at_once_when_woken(db: Database, project: Project, now: datetime) -> None:
    rubric = await rubric_in(db, project.id, now, CONTINUOUS)
    ended = asyncio.Event()
    runner = CalibrationRunner(db, elsewhere=here, poll_s=3600, ended=lambda *_: ended.set())
    task = asyncio.create_task(runner.run_forever())
    await asyncio.sleep(0.05)
    await queue_calibrations(db, project.id, rubric=rubric.rubric.name)
    runner.wake()
    await asyncio.wait_for(ended.wait(), 60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_child_process_answers_what_this_one_would_again_and_again() -> None:
    world = plant(prompts=30, systems=3, anchors=40).evidence
    async with FitProcess() as fit:
        theirs, again = await fit(world, 5), await fit(world, 5)
    ours = compute(world, seed=5)
    assert theirs == again
    assert theirs.snapshot == ours.snapshot
    assert theirs.refusals == ours.refusals
    for mine, other in zip(ours.model["fixed_effects"], theirs.model["fixed_effects"], strict=True):
        assert other["estimate"] == pytest.approx(mine["estimate"], abs=1e-6)  # sums in another order


async def test_a_fit_that_breaks_says_how_and_the_next_one_works() -> None:
    async with FitProcess() as fit:
        with pytest.raises(FitBroke, match="the fit broke: AttributeError"):
            await fit("no evidence", 5)  # type: ignore[arg-type]
        assert (await fit(plant(anchors=5).evidence, 5)).frame is None


async def test_a_child_that_is_killed_is_told_and_the_next_question_gets_another() -> None:
    async with FitProcess() as fit:
        await fit(plant(anchors=5).evidence, 5)
        assert fit._child is not None
        os.kill(fit._child.pid, signal.SIGKILL)
        with pytest.raises(FitBroke, match="killed by signal 9"):
            await fit(plant(anchors=5).evidence, 5)
        assert (await fit(plant(anchors=5).evidence, 5)).frame is None


async def test_cancelling_kills_the_child() -> None:
    async with FitProcess() as fit:
        task = asyncio.create_task(fit(plant(prompts=29, anchors=100).evidence, 5))
        await until(lambda: fit._child)
        assert fit._child is not None
        pid = fit._child.pid
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_cancelled_end_of_a_child_is_an_end_all_the_same() -> None:
    fit = FitProcess()
    await fit(plant(anchors=5).evidence, 5)
    assert fit._child is not None
    pid = fit._child.pid
    ending = asyncio.create_task(fit.__aexit__(None, None, None))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
