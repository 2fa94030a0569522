from dataclasses import replace

import pytest

from app.anchoring.ingest import Anchors
from app.domain.anchors import SIMULATED_PEOPLE, Pairing
from app.domain.items import Answer, Item
from app.domain.problems import BadInput
from app.storage.evidence import load_evidence
from app.storage.rubrics import put_rubric
from tests.anchoring.files import POINTWISE, csv_file, grade
from tests.storage.samples import anchored, graded, human, judge, reply, rubric_in, rubric_of, seats_of

ROWS = [grade(item_id=f"q{k}", score=3, annotator_type=SIMULATED_PEOPLE) for k in range(3)]


@pytest.fixture
async def rubric(db, project, now) -> None:
    await put_rubric(db, project.id, POINTWISE, now=now)


async def upload(anchors: Anchors, project):
    return await anchors.upload(project, file=csv_file(ROWS), rubric="helpfulness", anchor_set="gold")


async def test_made_up_people_are_refused_where_the_judges_are_real(db, project, now, rubric):
    with pytest.raises(BadInput) as refused:
        await upload(Anchors(db, now=lambda: now), project)
    assert [problem.row for problem in refused.value.problems] == [1, 2, 3]
    assert {problem.column for problem in refused.value.problems} == {"annotator_type"}
    assert "nobody graded" in refused.value.problems[0].problem


async def test_made_up_people_are_let_in_beside_simulated_judges_and_the_set_says_so(
    db, project, now, rubric
):
    done = await upload(Anchors(db, now=lambda: now, simulated_people=True), project)
    assert done.set_version is not None
    assert done.set_version.grades == 3
    assert done.set_version.warnings == ("SIMULATED: 3 grades come from made-up people, not from people.",)


async def test_other_words_for_made_up_people_are_refused_even_there(db, project, now, rubric):
    file = csv_file([{**ROWS[0], "annotator_type": "simulated_human"}])
    with pytest.raises(BadInput):
        await Anchors(db, now=lambda: now, simulated_people=True).upload(
            project, file=file, rubric="helpfulness", anchor_set="gold"
        )


@pytest.mark.parametrize(("simulated", "grades"), [(True, 2), (False, 1)])
async def test_what_made_up_people_say_never_stands_beside_real_verdicts(db, project, now, simulated, grades):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    item = Item("Why?", (Answer("bot", "one two"),), item_id="i1")
    await graded(db, project.id, rubric, item, seats_of(judge(simulated=simulated)), [reply(4.0)], now)
    by_lot = human(Pairing("i1", "bot"), 2.0, annotator="eve")
    made_up = replace(by_lot, provenance=replace(by_lot.provenance, annotator_type=SIMULATED_PEOPLE))
    await anchored(db, project.id, rubric, [human(Pairing("i1", "bot"), 2.0), made_up], now)
    evidence = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    assert len(evidence.h_value) == grades
