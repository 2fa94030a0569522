"""Every row belongs to a project: the same names in two projects never meet."""

from datetime import datetime, timedelta

import pytest

from app.domain.anchors import Pairing
from app.domain.projects import PanelPolicy, Project, Scope
from app.storage.anchors import anchor_set_versions, list_anchor_sets
from app.storage.calibrations import (
    claim_calibration,
    finish_calibration,
    get_calibration,
    get_frame,
    latest_calibration,
    list_calibrations,
    queue_calibration,
)
from app.storage.database import Database
from app.storage.evidence import load_evidence
from app.storage.grades import load_grade
from app.storage.health import judge_health
from app.storage.idempotency import Claimed, claim
from app.storage.imports import get_import, open_import
from app.storage.judge_versions import list_judge_versions
from app.storage.keys import create_key, find_key, list_keys, revoke_key
from app.storage.paging import show_cursor
from app.storage.projects import find_project, get_or_create_project, get_project, set_policy
from app.storage.rubrics import get_rubric, get_rubric_version, list_rubric_versions, list_rubrics
from app.storage.tallies import verdict_tallies
from app.storage.verdicts import GradeStatus, finish_grade
from tests.storage.samples import (
    anchored,
    assigned,
    graded,
    human,
    imported,
    judge,
    one_answer,
    recorded,
    reply,
    rubric_in,
    rubric_of,
    seats_of,
)

NAME = rubric_of().name


@pytest.fixture
async def other(db: Database, now: datetime) -> Project:
    return await get_or_create_project(db, "other", now=now)


async def test_rubrics(db: Database, project: Project, other: Project, now: datetime):
    mine = await rubric_in(db, project.id, now, rubric_of())
    assert await get_rubric(db, other.id, NAME) is None
    assert await get_rubric_version(db, other.id, mine.id) is None
    assert await list_rubric_versions(db, other.id, NAME) == ()
    assert (await list_rubrics(db, other.id)).items == ()
    theirs = await rubric_in(db, other.id, now, rubric_of(instructions="theirs"))
    assert (theirs.version, theirs.id == mine.id) == (1, False)


async def test_grades(db: Database, project: Project, other: Project, now: datetime):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    grade = await assigned(db, project.id, rubric, one_answer(), seats_of(judge()), now)
    assert await load_grade(db, other.id, grade.id) is None
    assert not await finish_grade(db, other.id, grade.id, GradeStatus.FAILED, now=now)
    assert await load_grade(db, project.id, grade.id) is not None


async def test_items_and_answers_of_the_same_name(
    db: Database, project: Project, other: Project, now: datetime
):
    for one, prompt, value in ((project, "Why?", 1.0), (other, "How?", 5.0)):
        rubric = await rubric_in(db, one.id, now, rubric_of())
        item = one_answer("i1", prompt=prompt)
        await graded(db, one.id, rubric, item, seats_of(judge()), [reply(value)], now)
    mine = await load_evidence(db, project.id, NAME, "quality")
    theirs = await load_evidence(db, other.id, NAME, "quality")
    assert (mine.v_value.tolist(), theirs.v_value.tolist()) == ([1.0], [5.0])
    assert mine.unit_id.tolist() != theirs.unit_id.tolist()


async def test_judges_and_tallies(db: Database, project: Project, other: Project, now: datetime):
    for one in (project, other):
        await rubric_in(db, one.id, now, rubric_of())
    rubric = await get_rubric(db, project.id, NAME)
    assert rubric is not None
    await graded(db, project.id, rubric, one_answer(), seats_of(judge()), [reply(1.0)], now)
    assert await judge_health(db, other.id, since=now - timedelta(days=1)) == ()
    assert await list_judge_versions(db, other.id) == ()
    assert len((await verdict_tallies(db, other.id, NAME, "quality")).verdicts) == 0
    assert (await verdict_tallies(db, project.id, NAME, "quality")).verdicts.tolist() == [1]


async def test_imports(db: Database, project: Project, other: Project, now: datetime):
    for one in (project, other):
        rubric = await rubric_in(db, one.id, now, rubric_of())
        await imported(db, one.id, rubric, [recorded(Pairing("i1", "bot"), 2.0)], now, sha256="same file")
    again = await rubric_in(db, project.id, now, rubric_of())
    async with await open_import(db, project.id, rubric=again, sha256="new", now=now) as sink:
        assert await get_import(db, other.id, sink.report.id) is None
    evidence = await load_evidence(db, other.id, NAME, "quality")
    assert evidence.v_value.tolist() == [2.0]


async def test_anchors(db: Database, project: Project, other: Project, now: datetime):
    for one, value in ((project, 1.0), (other, 5.0)):
        rubric = await rubric_in(db, one.id, now, rubric_of())
        await anchored(db, one.id, rubric, [human(Pairing("i1", "bot"), value)], now)
    assert len((await list_anchor_sets(db, project.id)).items) == 1
    assert [one.version for one in await anchor_set_versions(db, other.id, "anchors")] == [1]
    evidence = await load_evidence(db, project.id, NAME, "quality")
    assert evidence.h_value.tolist() == [1.0]


async def test_calibrations(db: Database, project: Project, other: Project, now: datetime):
    for one in (project, other):
        await rubric_in(db, one.id, now, rubric_of())
    run = await queue_calibration(db, project.id, rubric=NAME, criterion="quality", now=now)
    theirs = await queue_calibration(db, other.id, rubric=NAME, criterion="quality", now=now)
    assert theirs.id != run.id
    claimed = [await claim_calibration(db, now=now) for _ in range(2)]
    assert {one and one.project_id for one in claimed} == {project.id, other.id}
    await finish_calibration(db, run.id, snapshot={}, model={}, frame=b"f", now=now)
    assert await get_calibration(db, other.id, run.id) is None
    assert await get_frame(db, other.id, run.id) is None
    assert await latest_calibration(db, other.id, rubric=NAME, criterion="quality") is None
    assert [one.id for one in (await list_calibrations(db, other.id)).items] == [theirs.id]


async def test_keys_policies_and_idempotency(db: Database, project: Project, other: Project, now: datetime):
    key = await create_key(
        db,
        project_id=project.id,
        name="k",
        prefix="p",
        mac=b"m",
        scopes=frozenset({Scope.ADMIN}),
        now=now,
    )
    assert await list_keys(db, other.id) == ()
    assert not await revoke_key(db, other.id, key.id, now=now)
    await set_policy(db, other.id, PanelPolicy(min_families=1))
    mine = await get_project(db, project.id)
    assert mine is not None
    assert mine.policy == PanelPolicy()
    for one in (project, other):
        assert isinstance(await claim(db, one.id, "key", "body", now=now), Claimed)


async def test_a_name_that_cannot_exist_is_not_found(db: Database, project: Project, now: datetime):
    await rubric_in(db, project.id, now, rubric_of())
    for name in ("no\x00name", "half \ud800"):
        assert await find_key(db, name) is None
        assert await find_project(db, name) is None
        assert await get_rubric(db, project.id, name) is None
        assert await list_judge_versions(db, project.id, name=name) == ()
        assert await latest_calibration(db, project.id, rubric=NAME, criterion=name) is None
        assert (await list_rubrics(db, project.id, cursor=show_cursor("a\x00"))).items
