import asyncio
import json
from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.domain.items import Answer, Item, ItemConflict
from app.domain.judging import Reply, Seat, Unscored, UnscoredReason
from app.domain.problems import BadInput
from app.domain.projects import Project
from app.domain.rubrics import RubricKind
from app.storage.assignments import record_replacement
from app.storage.database import Database
from app.storage.grades import load_grade, take_over_grades
from app.storage.tables import answers, grades, items, processes, replies, seats, texts, verdicts
from app.storage.verdicts import GradeStatus, finish_grade, record_replies
from tests.storage.samples import (
    assigned,
    graded,
    judge,
    one_answer,
    reply,
    rubric_in,
    rubric_of,
    seats_of,
)


@pytest.mark.parametrize("kind", list(RubricKind))
async def test_a_grade_is_loaded_as_it_was_recorded(
    db: Database, project: Project, now: datetime, kind: RubricKind
):
    n = {RubricKind.POINTWISE: 1, RubricKind.PAIRWISE: 2, RubricKind.LISTWISE: 3}[kind]
    names = ("zeta", "alpha", "mid")[:n]
    item = Item(
        "Why?",
        tuple(Answer(name, f"{name} says\x00 so", "fam", "m-1") for name in names),
        item_id="i1",
        context="c",
        reference="r",
        strata={"language": "de", "domain": "billing"},
    )
    rubric = await rubric_in(db, project.id, now, rubric_of(kind))
    orders = (tuple(range(n)), tuple(reversed(range(n))))
    assignment = seats_of(judge("j1"), judge("j2"), orders=orders)
    values = (1.0,) if kind is RubricKind.PAIRWISE else tuple(float(k + 1) for k in range(n))
    said = [reply(*values, expected=0.5), Reply(unscored=Unscored(UnscoredReason.TIMEOUT, "60 s are over"))]
    grade = await graded(db, project.id, rubric, item, assignment, said, now)
    assert await finish_grade(
        db, project.id, grade.id, GradeStatus.PARTIAL, now=now, answered={"raw": {"quality": 3}}
    )
    stored = await load_grade(db, project.id, grade.id)
    assert stored is not None
    assert (stored.item, stored.assignment, stored.assigned) == (item, assignment, grade)
    assert dict(stored.replies) == dict(enumerate(said))
    assert (stored.status, stored.created_at, stored.finished_at) == (GradeStatus.PARTIAL, now, now)
    assert stored.answered == {"raw": {"quality": 3}}


async def test_the_assignment_is_on_record_before_any_reply(db: Database, project: Project, now: datetime):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    assignment = seats_of(judge("j1"), judge("j2", "f2"))
    grade = await assigned(db, project.id, rubric, one_answer(None), assignment, now)
    stored = await load_grade(db, project.id, grade.id)
    assert stored is not None
    assert stored.assignment == assignment
    assert (stored.status, dict(stored.replies)) == (GradeStatus.PENDING, {})


async def test_a_replacement_takes_its_seat_beside_the_failed_one(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    grade = await assigned(db, project.id, rubric, one_answer(), seats_of(judge("j1")), now)
    stand_in = Seat(1, judge("j2"), (0,), 1.0, replaces=0)
    await record_replacement(db, grade, stand_in, now=now)
    await record_replies(db, grade, [(stand_in, reply(4.0))], now=now)
    stored = await load_grade(db, project.id, grade.id)
    assert stored is not None
    assert stored.assignment.seats[1] == stand_in
    assert stored.replies == {1: reply(4.0)}


async def test_a_seat_replies_once(db: Database, project: Project, now: datetime):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    assignment = seats_of(judge())
    grade = await graded(db, project.id, rubric, one_answer(), assignment, [reply(4.0)], now)
    with pytest.raises(IntegrityError):
        await record_replies(db, grade, [(assignment.seats[0], reply(1.0))], now=now)
    values = await db.read(lambda c: list(c.execute(select(verdicts.c.value)).scalars()))
    assert values == [4.0]


async def test_a_grade_is_finished_once(db: Database, project: Project, now: datetime):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    grade = await assigned(db, project.id, rubric, one_answer(), seats_of(judge()), now)
    closed = await asyncio.gather(
        *(finish_grade(db, project.id, grade.id, status, now=now) for status in list(GradeStatus)[1:])
    )
    assert sorted(closed) == [False, False, True]


async def test_an_item_id_stands_for_one_prompt(db: Database, project: Project, now: datetime):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    await assigned(db, project.id, rubric, one_answer("i1", prompt="Why?"), seats_of(judge()), now)
    results = await asyncio.gather(
        assigned(db, project.id, rubric, one_answer("i1", prompt="How?"), seats_of(judge()), now),
        assigned(db, project.id, rubric, one_answer("i1", prompt="Why?"), seats_of(judge()), now),
        return_exceptions=True,
    )
    assert isinstance(results[0], ItemConflict)
    assert results[0].item_id == "i1"
    assert not isinstance(results[1], BaseException)


async def test_two_prompts_for_one_new_item_id_at_once_leave_one(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    results = await asyncio.gather(
        *(
            assigned(db, project.id, rubric, one_answer("i1", prompt=prompt), seats_of(judge()), now)
            for prompt in ("Why?", "How?")
        ),
        return_exceptions=True,
    )
    assert [isinstance(result, ItemConflict) for result in results].count(True) == 1


async def test_texts_and_items_are_stored_once(db: Database, project: Project, now: datetime):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    await asyncio.gather(
        *(assigned(db, project.id, rubric, one_answer(None), seats_of(judge()), now) for _ in range(5))
    )
    counts = await db.read(
        lambda c: [len(c.execute(select(t.c.id)).all()) for t in (texts, items, answers, grades)]
    )
    assert counts == [2, 1, 1, 5]


@pytest.mark.parametrize("name", ["bot\x00", "bot\ud800"])
async def test_a_name_that_cannot_be_stored_is_refused_in_words(
    db: Database, project: Project, now: datetime, name: str
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    with pytest.raises(BadInput, match="cannot be stored") as refused:
        await assigned(db, project.id, rubric, one_answer(system=name), seats_of(judge()), now)
    assert refused.value.problems[0].column == "system"


async def test_what_a_judge_says_is_stored_whatever_it_says(db: Database, project: Project, now: datetime):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    strange = Reply(scores=reply(4.0).scores, rationale="nul \x00, half \ud800, emoji 🙂")
    grade = await graded(db, project.id, rubric, one_answer(), seats_of(judge()), [strange], now)
    stored = await load_grade(db, project.id, grade.id)
    assert stored is not None
    assert stored.replies[0].rationale == "nul �, half �, emoji 🙂"


@pytest.mark.parametrize(
    "statement",
    [
        update(verdicts).values(value=5.0),
        delete(verdicts),
        update(replies).values(cost_usd=0.0),
        delete(replies),
        text("UPDATE rubric_versions SET content = ''"),
        text("DELETE FROM rubric_versions"),
    ],
    ids=str,
)
async def test_the_database_itself_refuses_to_change_what_was_recorded(
    db: Database, project: Project, now: datetime, statement: object
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    await graded(db, project.id, rubric, one_answer(), seats_of(judge()), [reply(4.0)], now)
    with pytest.raises(DBAPIError, match="append-only"):
        await db.write(lambda c: c.execute(statement).rowcount)  # type: ignore[call-overload]


async def test_verdicts_are_numbered_in_the_order_of_commit_without_gaps_to_come(
    db: Database, project: Project, now: datetime, database_url: str
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    newest = text("SELECT newest, (SELECT count(*) FROM verdicts) FROM ledger")
    async with Database(database_url) as other:

        async def write(one: Database) -> None:
            for _ in range(10):
                await graded(one, project.id, rubric, one_answer(), seats_of(judge()), [reply(4.0)], now)

        async def watch() -> list[tuple[int, int]]:
            return [tuple(await db.read(lambda c: c.execute(newest).one())) for _ in range(30)]

        seen, *_ = await asyncio.gather(watch(), *(write(one) for one in (db, other) for _ in range(3)))
    # Whoever sees number n sees all n verdicts, at any moment, with two processes writing.
    assert all(number == rows for number, rows in seen)
    assert await db.read(lambda c: tuple(c.execute(newest).one())) == (60, 60)


async def test_grades_of_a_dead_process_are_taken_over_once(
    db: Database, project: Project, now: datetime, database_url: str
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    dead = Database(database_url)
    await dead.open()
    left = await assigned(dead, project.id, rubric, one_answer(), seats_of(judge()), now)
    mine = await assigned(db, project.id, rubric, one_answer(), seats_of(judge()), now)
    async with Database(database_url) as third:
        soon = datetime.now(tz=now.tzinfo)
        assert await take_over_grades(third, now=soon) == ()
        gone = update(processes).where(processes.c.id == dead.process_id).values(pid=2**22 + 1)
        await db.write(lambda c: c.execute(gone).rowcount)
        taken = await asyncio.gather(take_over_grades(db, now=soon), take_over_grades(third, now=soon))
        assert sorted(taken, key=len) == [(), ((project.id, left.id),)]
        silent = soon + timedelta(minutes=1)
        abandoned = {grade for _, grade in await take_over_grades(third, now=silent)}
        assert mine.id in abandoned
    await dead.close()


async def test_seats_keep_the_order_shown(db: Database, project: Project, now: datetime):
    rubric = await rubric_in(db, project.id, now, rubric_of(RubricKind.PAIRWISE))
    item = Item("Why?", (Answer("b", "x"), Answer("a", "y")))
    await assigned(db, project.id, rubric, item, seats_of(judge(), orders=((1, 0),)), now)
    shown = await db.read(lambda c: list(c.execute(select(seats.c.shown)).scalars()))
    assert [json.loads(order) for order in shown] == [[1, 0]]
