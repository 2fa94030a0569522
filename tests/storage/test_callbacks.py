import asyncio
from datetime import datetime, timedelta

import pytest

from app.domain.projects import Project
from app.storage.callbacks import callback_delivered, put_callback_off, take_due_callbacks
from app.storage.database import Database
from app.storage.grades import load_grade
from app.storage.verdicts import GradeStatus, finish_grade
from tests.storage.samples import assigned, judge, one_answer, rubric_in, rubric_of, seats_of


@pytest.fixture
async def grade(db: Database, project: Project, now: datetime) -> int:
    rubric = await rubric_in(db, project.id, now, rubric_of())
    made = await assigned(
        db,
        project.id,
        rubric,
        one_answer(),
        seats_of(judge()),
        now,
        callback_url="https://example.org/back",
    )
    return made.id


async def test_a_callback_is_due_when_its_grade_is_finished(
    db: Database, project: Project, now: datetime, grade: int
):
    assert await take_due_callbacks(db, now=now) == ()
    await finish_grade(db, project.id, grade, GradeStatus.COMPLETE, now=now)
    (due,) = await take_due_callbacks(db, now=now)
    assert (due.grade_id, due.project_id, due.attempts) == (grade, project.id, 1)
    stored = await load_grade(db, project.id, grade)
    assert stored is not None
    assert stored.callback_url == due.url == "https://example.org/back"


async def test_a_callback_is_taken_by_one_and_comes_back_if_nothing_is_heard(
    db: Database, project: Project, now: datetime, grade: int, database_url: str
):
    await finish_grade(db, project.id, grade, GradeStatus.COMPLETE, now=now)
    async with Database(database_url) as other:
        taken = await asyncio.gather(*(take_due_callbacks(one, now=now) for one in (db, other) * 3))
    assert sorted(map(len, taken)) == [0, 0, 0, 0, 0, 1]
    (again,) = await take_due_callbacks(db, now=now + timedelta(minutes=3))
    assert again.attempts == 2


async def test_a_delivered_callback_is_over_and_one_put_off_waits(
    db: Database, project: Project, now: datetime, grade: int
):
    await finish_grade(db, project.id, grade, GradeStatus.COMPLETE, now=now)
    await take_due_callbacks(db, now=now)
    later = now + timedelta(minutes=10)
    await put_callback_off(db, grade, error="500", try_again_at=later)
    assert await take_due_callbacks(db, now=later - timedelta(seconds=1)) == ()
    assert len(await take_due_callbacks(db, now=later)) == 1
    await callback_delivered(db, grade, now=later)
    assert await take_due_callbacks(db, now=later + timedelta(days=1)) == ()


async def test_a_callback_given_up_is_not_tried_again(
    db: Database, project: Project, now: datetime, grade: int
):
    await finish_grade(db, project.id, grade, GradeStatus.COMPLETE, now=now)
    await put_callback_off(db, grade, error="gone", try_again_at=None)
    assert await take_due_callbacks(db, now=now + timedelta(days=1)) == ()
