import asyncio
from datetime import datetime

import numpy as np
import pytest
from sqlalchemy import func, select, text, update

from app.domain.anchors import Pairing
from app.domain.items import ItemConflict
from app.domain.judging import ImportRunning
from app.domain.projects import Project
from app.domain.rubrics import RubricVersion
from app.storage.database import Database
from app.storage.evidence import load_evidence
from app.storage.imports import AlreadyImported, discard_abandoned_imports, get_import, open_import
from app.storage.projects import get_or_create_project
from app.storage.tables import imports, processes, verdicts
from app.storage.tallies import verdict_tallies
from tests.storage.samples import graded, judge, one_answer, recorded, reply, rubric_in, rubric_of, seats_of


@pytest.fixture
async def rubric(db: Database, project: Project, now: datetime) -> RubricVersion:
    return await rubric_in(db, project.id, now, rubric_of())


async def rows(db: Database) -> int:
    return await db.read(lambda c: c.execute(select(func.count()).select_from(verdicts)).scalar_one())


def many(count: int, *, by: str = "j1") -> list[object]:
    return [recorded(Pairing(f"i{k}", "bot"), float(1 + k % 5), by=by) for k in range(count)]


async def test_nothing_is_visible_until_everything_is(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    name = rubric.rubric.name
    async with await open_import(db, project.id, rubric=rubric, sha256="a", now=now) as sink:
        await sink.add(many(4_500))  # more than two batches
        assert await rows(db) == 4_000
        assert len((await load_evidence(db, project.id, name, "quality")).v_value) == 0
        assert len((await verdict_tallies(db, project.id, name, "quality")).verdicts) == 0
        report = await sink.finish(now=now)
    assert (report.verdicts, report.duplicates, report.contradictions) == (4_500, 0, 0)
    evidence = await load_evidence(db, project.id, name, "quality")
    assert len(evidence.v_value) == len(evidence.unit_id) == 4_500
    tallies = await verdict_tallies(db, project.id, name, "quality")
    assert tallies.verdicts.sum() == 4_500
    assert np.isclose(tallies.total.sum(), evidence.v_value.sum())
    assert await get_import(db, project.id, report.id) == (report, "done")


async def test_an_import_that_breaks_leaves_nothing_and_can_be_tried_again(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    sink = await open_import(db, project.id, rubric=rubric, sha256="a", now=now)

    async def two_prompts_for_one_item() -> None:
        async with sink:
            await sink.add(many(2_500))
            await sink.add([recorded(Pairing("i0", "bot", prompt="one"), 1.0, by="j2")])
            await sink.add([recorded(Pairing("i0", "bot", prompt="two"), 1.0, by="j3")])
            await sink.finish(now=now)

    with pytest.raises(ItemConflict):
        await two_prompts_for_one_item()
    assert await rows(db) == 0
    found = await get_import(db, project.id, sink.report.id)
    assert found is not None
    assert found[1] == "failed"
    async with await open_import(db, project.id, rubric=rubric, sha256="a", now=now) as sink:
        await sink.add(many(2_500))
        assert (await sink.finish(now=now)).verdicts == 2_500


async def test_taking_back_an_import_leaves_what_was_graded_meanwhile(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    async with await open_import(db, project.id, rubric=rubric, sha256="a", now=now) as sink:
        await sink.add(many(2_000))
        await graded(db, project.id, rubric, one_answer(), seats_of(judge()), [reply(4.0)], now)
        await sink.add(many(2_000, by="j2"))
    assert await rows(db) == 1
    evidence = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    assert evidence.v_value.tolist() == [4.0]


async def test_the_same_file_changes_nothing(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    async with await open_import(db, project.id, rubric=rubric, sha256="a", now=now) as sink:
        await sink.add(many(10))
        report = await sink.finish(now=now)
    with pytest.raises(AlreadyImported) as again:
        await open_import(db, project.id, rubric=rubric, sha256="a", now=now)
    assert (again.value.report.id, again.value.report.repeated) == (report.id, True)
    assert await rows(db) == 10


async def test_verdicts_that_are_there_already_are_counted_and_ignored(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    about = Pairing("i1", "bot")
    first = [recorded(about, 3.0), recorded(about, 3.0, draw=2), recorded(about, None, by="j2")]
    async with await open_import(db, project.id, rubric=rubric, sha256="a", now=now) as sink:
        await sink.add([*first, recorded(about, 3.0)])  # the last repeats the first
        report = await sink.finish(now=now)
    assert (report.verdicts, report.duplicates, report.contradictions) == (3, 1, 0)
    async with await open_import(db, project.id, rubric=rubric, sha256="b", now=now) as sink:
        await sink.add([*first[1:], recorded(about, 5.0), recorded(about, 1.0, draw=3)])
        report = await sink.finish(now=now)
    assert (report.verdicts, report.duplicates, report.contradictions) == (1, 3, 1)
    evidence = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    assert evidence.v_value[~np.isnan(evidence.v_value)].tolist() == [3.0, 3.0, 1.0]
    assert evidence.v_draw.tolist() == [1, 2, 1, 3]


async def test_an_import_without_anything_new_can_be_finished(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    async with await open_import(db, project.id, rubric=rubric, sha256="a", now=now) as sink:
        assert (await sink.finish(now=now)).verdicts == 0


async def test_one_import_runs_in_a_project_at_a_time(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    opened = await asyncio.gather(
        *(open_import(db, project.id, rubric=rubric, sha256=sha, now=now) for sha in "abc"),
        return_exceptions=True,
    )
    sinks = [one for one in opened if not isinstance(one, BaseException)]
    assert [type(one) for one in opened].count(ImportRunning) == 2
    other = await get_or_create_project(db, "other", now=now)
    theirs = await rubric_in(db, other.id, now, rubric_of())
    sinks.append(await open_import(db, other.id, rubric=theirs, sha256="a", now=now))
    for sink in sinks:
        await sink.abort()


async def test_what_a_killed_import_left_is_taken_back(
    db: Database, project: Project, now: datetime, rubric: RubricVersion, database_url: str
):
    dead = Database(database_url)
    await dead.open()
    sink = await open_import(dead, project.id, rubric=rubric, sha256="a", now=now)
    await sink.add(many(2_000))
    soon = datetime.now(tz=now.tzinfo)
    assert await discard_abandoned_imports(db, now=soon) == 0
    gone = update(processes).where(processes.c.id == dead.process_id).values(pid=2**22 + 1)
    await db.write(lambda c: c.execute(gone).rowcount)
    async with await open_import(db, project.id, rubric=rubric, sha256="a", now=soon) as again:
        assert await rows(db) == 0
        await again.add(many(3))
        await again.finish(now=soon)
    with pytest.raises(RuntimeError, match="taken back"):
        await sink.finish(now=soon)
    assert await rows(db) == 3
    await dead.close()


async def test_grading_goes_on_while_an_import_runs(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    async def grade() -> None:
        for k in range(20):
            item = one_answer(f"live {k}")
            await graded(db, project.id, rubric, item, seats_of(judge("live")), [reply(4.0)], now)

    async with await open_import(db, project.id, rubric=rubric, sha256="a", now=now) as sink:
        await asyncio.gather(sink.add(many(10_000)), grade())
        before = await load_evidence(db, project.id, rubric.rubric.name, "quality")
        await sink.finish(now=now)
    after = await load_evidence(
        db, project.id, rubric.rubric.name, "quality", after_verdict=before.newest_verdict
    )
    assert len(before.v_value) == 20
    assert len(after.v_value) == 10_000
    broken = text("SELECT count(*) FROM imports WHERE status <> 'done'")
    assert await db.read(lambda c: c.execute(broken).scalar_one()) == 0
    assert await db.read(lambda c: c.execute(select(imports.c.verdicts)).scalar_one()) == 10_000
