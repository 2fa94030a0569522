"""A cold regrade on a database of each kind: what it draws, and who has seen it before."""

from datetime import datetime
from typing import Any

import pytest

from app.anchoring.ingest import Anchors
from app.annotating.desk import Desk
from app.annotating.queues import NamedItem, Queues
from app.annotating.regrade import Regrades
from app.annotating.regrade_draw import RegradeRequest
from app.domain.annotation import Regrade, chances_of
from app.domain.problems import BadInput
from app.domain.projects import Project
from app.reporting.quality_report import Quality
from app.storage import annotation_queues
from app.storage.anchor_texts import anchor_texts, shown_grades
from app.storage.annotations import annotator_of
from app.storage.database import Database
from app.storage.earlier_graders import earlier_graders
from app.storage.rubrics import put_rubric
from app.storage.shown_items import anchors_with_texts
from tests.anchoring.files import ONE, csv_file, grade

SIZES = {"bot-a": 12, "bot-b": 6, "bot-c": 1}


def rows() -> list[dict[str, Any]]:
    """ann graded everything, bob what bot-b said."""
    return [
        grade(item_id=f"q{k}", system=system, prompt=f"Question {k}?", answer=f"{system} on {k}.")
        | {"annotator": who, "criterion": "helpful", "score": 3}
        for system, size in SIZES.items()
        for k in range(size)
        for who in (("ann", "bob") if system == "bot-b" else ("ann",))
    ]


@pytest.fixture
async def regrades(db: Database, project: Project, now: datetime) -> Regrades:
    await put_rubric(db, project.id, ONE, now=now)
    await Anchors(db).upload(project, file=csv_file(rows()), rubric="one", anchor_set="first")
    queues = Queues(db, Quality(db), seed=lambda: 7, now=lambda: now)
    return Regrades(db, queues, seed=lambda: 7, now=lambda: now)


async def test_every_system_is_drawn_from_and_chances_are_on_record(
    db: Database, project: Project, regrades: Regrades
):
    queue, plan = await regrades.begin(project, "first", RegradeRequest(items=8))
    assert [(one.system, one.size, one.drawn) for one in plan.cells] == [
        ("bot-a", 12, 5), ("bot-b", 6, 2), ("bot-c", 1, 1)]  # fmt: skip
    kept = await annotation_queues.find_queue(db, project.id, queue.name)
    assert kept is not None
    assert kept.regrade == Regrade(version=1, stratum=None, seed=7)
    items = await annotation_queues.queue_items(db, queue)
    chances = sorted(chances_of(items).values())
    assert chances == pytest.approx(sorted([5 / 12] * 5 + [2 / 6] * 2 + [1.0]))
    again, _ = await regrades.begin(project, "first", RegradeRequest(items=8))
    assert again.name != queue.name
    drawn = [{one.answer_ids for one in await annotation_queues.queue_items(db, q)} for q in (queue, again)]
    assert drawn[0] == drawn[1]  # the same seed, the same draw


async def test_whoever_graded_an_answer_anywhere_has_seen_it(
    db: Database, project: Project, regrades: Regrades
):
    await Anchors(db).retire(project, "first", annotators=("bob",), reason="left")
    other = await regrades.queues.create(project, name="other", rubric="one", anchor_set="elsewhere")
    await regrades.queues.add(project, other, [NamedItem("q0", ("bot-c",))], 1)
    desk, eve = Desk(db), annotator_of(project.id, "Eve", "expert")
    item = await desk.next(other, eve)
    assert item is not None
    await desk.save(other, eve, item.id, scores={"helpful": [4]})

    queue, _ = await regrades.begin(project, "first", RegradeRequest(items=19))
    seen = [sorted(names) for names in (await earlier_graders(db, queue)).values()]
    assert sorted(seen) == sorted([["ann"]] * 12 + [["ann", "bob"]] * 6 + [["Eve", "ann"]])
    mine = {name: await desk.mine(queue, annotator_of(project.id, name, "student"))
            for name in ("ann", "BOB", "eve", "kim")}  # fmt: skip
    assert {name: one.left for name, one in mine.items()} == {"ann": 0, "BOB": 13, "eve": 18, "kim": 19}


async def test_anchors_without_texts_are_drawn_where_the_text_is_known(
    db: Database, project: Project, regrades: Regrades, now: datetime
):
    """As in an anchor file of grades alone, whose answers came with verdicts or from a grade."""
    bare = [{**one, "prompt": "", "answer": "", "annotator": "dan"} for one in rows()]
    await Anchors(db).upload(project, file=csv_file(bare), rubric="one", anchor_set="bare")
    queue, plan = await regrades.begin(project, "bare", RegradeRequest(items=19))
    assert (plan.population, plan.untexted) == (19, 0)
    graders = (await earlier_graders(db, queue)).values()
    assert all(
        {"ann", "dan"} <= names for names in graders
    )  # the one saw the text, the other is asked about it
    desk = Desk(db)
    assert (await desk.mine(queue, annotator_of(project.id, "Dan", "student"))).left == 0
    while (item := await desk.next(queue, annotator_of(project.id, "kim", "expert"))) is not None:
        assert item.prompt
        assert all(item.answers)
        await desk.save(queue, annotator_of(project.id, "kim", "expert"), item.id, scores={"helpful": [3]})
    before = await shown_grades(db, project.id, "bare")
    items = await annotation_queues.queue_items(db, queue)
    assert {(one.answer_id,) for one in before} == {one.answer_ids for one in items}
    # The other audits read the same texts.
    told = {(one.item, one.text) for one in await anchor_texts(db, project.id, "bare")}
    assert told == {(one.item, one.text) for one in await anchor_texts(db, project.id, "first")}
    shown = await anchors_with_texts(db, project.id, "bare")
    assert shown == await anchors_with_texts(db, project.id, "first")
    assert len(shown) == 19


async def test_more_systems_than_draws_are_put_together(project: Project, regrades: Regrades):
    plan = await regrades.plan(project, "first", RegradeRequest(items=2))
    assert [(one.system, one.size, one.drawn) for one in plan.cells] == [(None, 19, 2)]
    assert "more systems and strata than draws" in plan.warnings[0]


async def test_both_a_number_and_a_power_are_too_much(project: Project, regrades: Regrades):
    with pytest.raises(BadInput) as refused:
        await regrades.plan(project, "first", RegradeRequest(items=9, power=0.8))
    assert [one.path for one in refused.value.problems] == ["items"]
