import json

import pytest

from app.anchoring.imports import Imports, ImportStatus
from app.domain.ids import show_id
from app.domain.problems import BadInput, Conflict, NotFound
from app.domain.rubrics import RubricVersion
from app.storage.evidence import load_evidence
from app.storage.rubrics import put_rubric
from tests.anchoring.files import PAIRWISE, POINTWISE, csv_file, verdict

ROWS = [
    verdict(item_id=f"q{k // 4}", judge=f"j{k % 4}", judge_family=f"f{k % 2}", score=1 + k % 5)
    for k in range(4000)
]


@pytest.fixture
async def rubric(db, project, now) -> RubricVersion:
    version, _ = await put_rubric(db, project.id, POINTWISE, now=now)
    return version


@pytest.fixture
def imports(db, now, rubric) -> Imports:
    return Imports(db, now=lambda: now)


async def bring_in(imports: Imports, project, rows, **options):
    running = await imports.begin(project, file=csv_file(rows), rubric="helpfulness", **options)
    return await running.run()


async def test_an_import_ends_with_its_verdicts_in_the_evidence(imports, project, db):
    done = await bring_in(imports, project, ROWS)
    assert (done.status, done.verdicts, done.rows_stored, done.rows_total) == (
        ImportStatus.DONE,
        4000,
        4000,
        4000,
    )
    assert (done.items, done.judges, done.duplicates) == (1000, 4, 0)
    evidence = await load_evidence(db, project.id, "helpfulness", "helpful")
    assert len(evidence.v_value) == 4000
    assert sorted(judge.name for judge in evidence.judges) == ["j0", "j1", "j2", "j3"]


async def test_the_same_file_twice_changes_nothing(imports, project, db):
    first = await bring_in(imports, project, ROWS)
    again = await bring_in(imports, project, ROWS)
    assert (again.repeated, again.id, again.verdicts) == (True, first.id, 4000)
    assert len((await load_evidence(db, project.id, "helpfulness", "helpful")).v_value) == 4000


async def test_verdicts_that_are_there_are_not_doubled_and_contradictions_are_counted(imports, project):
    await bring_in(imports, project, ROWS)
    changed = [ROWS[0] | {"score": 5}, ROWS[1], verdict(item_id="new")]
    done = await bring_in(imports, project, changed)
    assert (done.verdicts, done.duplicates, done.contradictions) == (1, 2, 1)
    assert "1 verdicts contradict what is there already, which stays." in done.warnings


async def test_one_bad_row_keeps_all_others_out_and_is_told_later_too(imports, project, db):
    running = await imports.begin(
        project, file=csv_file([*ROWS, verdict(item_id="q1", judge="j9", score=9)]), rubric="helpfulness"
    )
    await running.run_behind()
    told = await imports.progress(project, show_id("i", running.progress.id))
    assert told.status is ImportStatus.FAILED
    assert [(problem.row, problem.column) for problem in told.problems] == [(4001, "score")]
    assert told.counts == {"score is outside helpful's scale, 1 to 5": 1}
    assert len((await load_evidence(db, project.id, "helpfulness", "helpful")).v_value) == 0
    assert (await bring_in(imports, project, ROWS)).verdicts == 4000


async def test_progress_is_told_to_who_asks_and_to_other_processes_as_far_as_they_know(
    imports, project, db, now
):
    done = await bring_in(imports, project, ROWS)
    shown = show_id("i", done.id)
    assert await imports.progress(project, shown) is done
    elsewhere = await Imports(db, now=lambda: now).progress(project, shown)
    assert (elsewhere.status, elsewhere.verdicts, elsewhere.rows_read) == (ImportStatus.DONE, 4000, None)
    with pytest.raises(NotFound):
        await imports.progress(project, show_id("i", done.id + 1))


async def test_one_import_at_a_time_runs_in_a_project(imports, project):
    first = await imports.begin(project, file=csv_file(ROWS), rubric="helpfulness")
    with pytest.raises(Conflict, match="still running"):
        await imports.begin(project, file=csv_file(ROWS[:3]), rubric="helpfulness")
    assert (await first.run()).verdicts == 4000
    assert (await bring_in(imports, project, ROWS[:3])).duplicates == 3


async def test_a_check_stores_nothing(imports, project, db):
    checked = await imports.check(project, file=csv_file(ROWS), rubric="helpfulness", mapping=None)
    assert (checked.rows, checked.items, checked.voices) == (4000, 1000, 4)
    assert len((await load_evidence(db, project.id, "helpfulness", "helpful")).v_value) == 0


async def test_an_item_known_with_another_prompt_is_refused_by_name(imports, project):
    await bring_in(imports, project, [verdict(prompt="How?")])
    with pytest.raises(BadInput) as refused:
        await bring_in(imports, project, [verdict(prompt="Why?", judge="j2")])
    assert refused.value.problems[0].value == "q1"


async def test_a_mapping_that_does_not_fit_begins_nothing(imports, project):
    with pytest.raises(BadInput):
        await bring_in(imports, project, ROWS, mapping=json.dumps({"columns": {"annotator": "x"}}))
    with pytest.raises(NotFound, match="PUT /rubrics/nothing"):
        await imports.begin(project, file=csv_file(ROWS), rubric="nothing")
    assert (await bring_in(imports, project, ROWS)).verdicts == 4000


async def test_the_side_shown_first_is_kept(imports, project, db, now):
    await put_rubric(db, project.id, PAIRWISE, now=now)
    row = {"item_id": "q", "judge": "j", "judge_family": "f", "verdict": "A"}
    shown = [("ant", "bee", "1"), ("bee", "ant", "2"), ("ant", "bee", "both")]
    rows = [row | {"system_a": a, "system_b": b, "order": order} for a, b, order in shown]
    running = await imports.begin(project, file=csv_file(rows), rubric="pairs")
    await running.run()
    evidence = await load_evidence(db, project.id, "pairs", "better")
    assert sorted(zip(evidence.v_place.tolist(), evidence.v_value.tolist(), strict=True)) == [
        (-1, 1.0),
        (0, 1.0),
        (1, -1.0),
    ]
