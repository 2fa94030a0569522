import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from app.domain.calibration import RunStatus
from app.domain.problems import BadInput
from app.domain.projects import Project
from app.domain.rubrics import RubricVersion
from app.storage.calibrations import (
    claim_calibration,
    fail_calibration,
    finish_calibration,
    get_calibration,
    get_frame,
    latest_calibration,
    latest_calibration_id,
    list_calibrations,
    queue_calibration,
    refuse_calibration,
    requeue_abandoned_calibrations,
)
from app.storage.database import Database
from app.storage.tables import processes
from tests.storage.samples import rubric_in, rubric_of


@pytest.fixture
async def rubric(db: Database, project: Project, now: datetime) -> RubricVersion:
    return await rubric_in(db, project.id, now, rubric_of(name="r"))


async def queued(db: Database, project: Project, now: datetime, criterion: str = "quality") -> int:
    run = await queue_calibration(db, project.id, rubric="r", criterion=criterion, now=now)
    return run.id


async def fitted(db: Database, project: Project, now: datetime, model: dict[str, int]) -> int:
    await queued(db, project, now)
    run = await claim_calibration(db, now=now)
    assert run is not None
    assert await finish_calibration(
        db, run.calibration.id, snapshot={"verdicts": 3}, model=model, frame=b"\x00frame", now=now
    )
    return run.calibration.id


async def test_a_run_goes_from_the_queue_to_a_stored_fit(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    run = await queue_calibration(
        db, project.id, rubric="r", criterion="quality", anchor_sets=["b", "a"], now=now
    )
    assert run.status is RunStatus.QUEUED
    claimed = await claim_calibration(db, now=now)
    assert claimed is not None
    assert (claimed.project_id, claimed.anchor_sets) == (project.id, ("a", "b"))
    assert claimed.calibration.status is RunStatus.RUNNING
    assert await finish_calibration(
        db,
        run.id,
        snapshot={"verdicts": 3},
        model={"slope": 0.5},
        frame=b"\x00frame",
        refusals=["no interval for x"],
        now=now + timedelta(seconds=2),
    )
    stored = await get_calibration(db, project.id, run.id)
    assert stored is not None
    assert (stored.status, stored.model, stored.refusals) == (
        RunStatus.DONE,
        {"slope": 0.5},
        ("no interval for x",),
    )
    assert stored.finished_at == now + timedelta(seconds=2)
    assert await get_frame(db, project.id, run.id) == b"\x00frame"


async def test_only_one_process_gets_a_run(
    db: Database, project: Project, now: datetime, rubric: RubricVersion, database_url: str
):
    await queued(db, project, now)
    async with Database(database_url) as other:
        claims = await asyncio.gather(*(claim_calibration(one, now=now) for one in (db, other) * 4))
    assert sum(claim is not None for claim in claims) == 1


async def test_a_run_that_waits_already_stands_for_the_same_one(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    first = await queued(db, project, now)
    assert await queued(db, project, now) == first
    other = await queue_calibration(
        db, project.id, rubric="r", criterion="quality", anchor_sets=["s"], now=now + timedelta(seconds=1)
    )
    assert other.id != first
    await claim_calibration(db, now=now)
    assert await queued(db, project, now) != first  # what is running may have missed the newest data


async def test_a_finished_run_never_changes(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    run = await fitted(db, project, now, {"a": 1})
    assert not await finish_calibration(db, run, snapshot={}, model={}, frame=b"", now=now)
    assert not await refuse_calibration(db, run, refusals=["no"], snapshot={}, now=now)
    assert not await fail_calibration(db, run, error="broke", now=now)
    stored = await get_calibration(db, project.id, run)
    assert stored is not None
    assert (stored.status, stored.model) == (RunStatus.DONE, {"a": 1})


async def test_the_latest_is_the_newest_that_is_done(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    assert await latest_calibration(db, project.id, rubric="r", criterion="quality") is None
    await fitted(db, project, now, {"a": 1})
    second = await fitted(db, project, now + timedelta(seconds=1), {"a": 2})
    for outcome in ("refused", "failed"):
        run = await queued(db, project, now + timedelta(seconds=2))
        await claim_calibration(db, now=now)
        if outcome == "refused":
            assert await refuse_calibration(db, run, refusals=["too few"], snapshot={}, now=now)
        else:
            assert await fail_calibration(db, run, error="broke", now=now)
    latest = await latest_calibration(db, project.id, rubric="r", criterion="quality")
    assert latest is not None
    assert (latest.id, latest.model) == (second, {"a": 2})
    assert await latest_calibration_id(db, project.id, rubric="r", criterion="quality") == second
    assert await latest_calibration_id(db, project.id, rubric="r", criterion="style") is None


async def test_runs_are_listed_newest_first_a_page_at_a_time(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    made = [
        await queued(db, project, now + timedelta(seconds=k), criterion) for k, criterion in enumerate("abc")
    ]
    first = await list_calibrations(db, project.id, rubric="r", limit=2)
    assert [run.id for run in first.items] == [made[2], made[1]]
    rest = await list_calibrations(db, project.id, rubric="r", limit=2, cursor=first.next_cursor)
    assert [run.id for run in rest.items] == [made[0]]
    only = await list_calibrations(db, project.id, criterion="b")
    assert [run.id for run in only.items] == [made[1]]
    for cursor in ("!", "bm9uc2Vuc2U", "OTk5OTk5OTk5OTk5OTk5OTk5OTk"):
        with pytest.raises(BadInput, match="cursor"):
            await list_calibrations(db, project.id, cursor=cursor)


async def test_what_a_dead_process_left_running_is_queued_again(
    db: Database, project: Project, now: datetime, rubric: RubricVersion, database_url: str
):
    run = await queued(db, project, now)
    dead = Database(database_url)
    await dead.open()
    assert await claim_calibration(dead, now=now) is not None
    soon = datetime.now(tz=now.tzinfo)
    assert await requeue_abandoned_calibrations(db, now=soon) == 0
    gone = update(processes).where(processes.c.id == dead.process_id).values(pid=2**22 + 1)
    await db.write(lambda c: c.execute(gone).rowcount)
    assert await requeue_abandoned_calibrations(db, now=soon) == 1
    again = await claim_calibration(db, now=soon)
    assert again is not None
    assert again.calibration.id == run
    # The one presumed dead wakes up: it may no longer write.
    assert not await finish_calibration(dead, run, snapshot={}, model={}, frame=b"", now=soon)
    assert await finish_calibration(db, run, snapshot={}, model={}, frame=b"", now=soon)
    await dead.close()
