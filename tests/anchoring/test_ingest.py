import json
from typing import Any

import pytest

from app.anchoring.ingest import Anchors, queue_calibrations
from app.domain.problems import BadInput, Conflict, NotFound
from app.domain.rubrics import RubricVersion
from app.storage.calibrations import list_calibrations
from app.storage.rubrics import put_rubric
from tests.anchoring.files import ONE, PAIRWISE, POINTWISE, csv_file, grade, gzipped, jsonl_file, preference

ROWS = [
    grade(
        item_id=f"q{k % 5}", annotator=f"ann-{k // 5}", score=1 + k % 5, prompt=f"How {k % 5}?", answer="So."
    )
    for k in range(15)
]


@pytest.fixture
async def rubric(db, project, now) -> RubricVersion:
    version, _ = await put_rubric(db, project.id, POINTWISE, now=now)
    return version


@pytest.fixture
def anchors(db, now, rubric) -> Anchors:
    return Anchors(db, now=lambda: now)


async def upload(anchors: Anchors, project, rows: list[dict[str, Any]], **options: Any):
    file = options.pop("file", None) or csv_file(rows)
    return await anchors.upload(
        project, file=file, **{"rubric": "helpfulness", "anchor_set": "gold", **options}
    )


async def test_a_file_becomes_the_first_version_of_its_set(anchors, project):
    done = await upload(anchors, project, ROWS)
    stands = done.set_version
    assert (stands.version, stands.items, stands.grades, stands.annotators) == (1, 5, 15, 3)
    assert (stands.sha256, done.changed) == (done.sha256, True)
    assert [version.version for version in await anchors.versions(project, "gold")] == [1]


async def test_the_same_file_twice_changes_nothing(anchors, project):
    first = await upload(anchors, project, ROWS)
    again = await upload(anchors, project, ROWS)
    assert (again.changed, again.set_version) == (False, first.set_version)


async def test_the_same_rows_in_another_format_change_nothing(anchors, project):
    first = await upload(anchors, project, ROWS)
    again = await upload(anchors, project, ROWS, file=gzipped(jsonl_file(ROWS)))
    assert again.sha256 != first.sha256
    assert (again.changed, again.set_version) == (False, first.set_version)


async def test_more_rows_make_a_version_on_top_and_a_changed_grade_replaces_the_old_one(anchors, project):
    await upload(anchors, project, ROWS)
    changed = await upload(anchors, project, [ROWS[0] | {"score": 5}, grade(item_id="q9")])
    stands = changed.set_version
    assert (stands.version, stands.parent, stands.grades) == (2, 1, 16)
    assert (stands.added, stands.removed) == (2, 1)


async def test_replace_makes_the_file_the_whole_set(anchors, project):
    await upload(anchors, project, ROWS)
    replaced = await upload(anchors, project, ROWS[:3], replace=True)
    assert (replaced.set_version.version, replaced.set_version.grades) == (2, 3)


async def test_a_dry_run_finds_everything_and_stores_nothing(anchors, project):
    dry = await upload(anchors, project, ROWS, dry_run=True)
    assert (dry.checked.rows, dry.checked.items, dry.checked.voices) == (15, 5, 3)
    assert (dry.changed, dry.set_version) == (False, None)
    with pytest.raises(BadInput):
        await upload(anchors, project, [grade(score=9)], dry_run=True)
    with pytest.raises(NotFound):
        await anchors.versions(project, "gold")


async def test_one_bad_row_keeps_all_others_out(anchors, project):
    with pytest.raises(BadInput) as refused:
        await upload(anchors, project, [*ROWS, grade(item_id="q99", score=9)])
    assert [problem.row for problem in refused.value.problems] == [16]
    with pytest.raises(NotFound):
        await anchors.versions(project, "gold")


async def test_an_item_known_with_another_prompt_is_refused_by_name(anchors, project):
    await upload(anchors, project, ROWS)
    with pytest.raises(BadInput) as refused:
        await upload(anchors, project, [ROWS[1] | {"prompt": "Else?"}], anchor_set="more")
    (problem,) = refused.value.problems
    assert (problem.column, problem.value) == ("item_id", "q1")


async def test_items_that_are_known_need_no_texts(anchors, project):
    await upload(anchors, project, ROWS)
    bare = [grade(item_id=f"q{k}", annotator="new") for k in range(5)]
    assert (await upload(anchors, project, bare)).set_version.items == 5


async def test_a_set_belongs_to_one_rubric(anchors, project, db, now):
    await put_rubric(db, project.id, ONE, now=now)
    await upload(anchors, project, ROWS)
    with pytest.raises(Conflict, match="belongs to the rubric 'helpfulness'"):
        await upload(anchors, project, [grade()], rubric="one")


async def test_a_rubric_that_is_not_there_is_told_how_to_be_made(anchors, project):
    with pytest.raises(NotFound, match="PUT /rubrics/nothing"):
        await upload(anchors, project, ROWS, rubric="nothing")


async def test_another_mapping_is_another_upload(anchors, project):
    rows = [row | {"rating": 5} for row in ROWS]
    await upload(anchors, project, rows)
    mapping = json.dumps({"columns": {"score": "rating"}})
    again = await upload(anchors, project, rows, mapping=mapping)
    assert again.changed
    assert again.set_version.version == 2


async def test_new_anchors_queue_a_calibration_of_each_of_their_criteria(anchors, project, db, now):
    anchors.schedule = queue_calibrations(db, lambda: now)
    await upload(anchors, project, ROWS)
    await upload(anchors, project, ROWS)
    page = await list_calibrations(db, project.id, rubric="helpfulness")
    assert [(run.criterion, run.status) for run in page.items] == [("helpful", "queued")]


async def test_preferences_go_the_same_way(anchors, project, db, now):
    await put_rubric(db, project.id, PAIRWISE, now=now)
    rows = [preference(item_id=f"q{k}", verdict="AB"[k % 2]) for k in range(6)]
    done = await upload(anchors, project, rows, rubric="pairs", anchor_set="pairs")
    assert done.set_version.grades == 6


async def test_twenty_thousand_grades_are_stored_in_one_go(anchors, project):
    rows = [grade(item_id=f"q{k}", score=1 + k % 5) for k in range(20_000)]
    assert (await upload(anchors, project, rows)).set_version.grades == 20_000


async def test_sets_are_listed_by_name(anchors, project):
    await upload(anchors, project, ROWS, anchor_set="b")
    await upload(anchors, project, ROWS[:4], anchor_set="a")
    page = await anchors.list(project, rubric=None, limit=1, cursor=None)
    assert [found.anchor_set for found in page.items] == ["a"]
    rest = await anchors.list(project, rubric="helpfulness", limit=5, cursor=page.next_cursor)
    assert [found.anchor_set for found in rest.items] == ["b"]
