import asyncio
from datetime import datetime

import pytest

from app.domain.anchors import AnchorSetOfAnotherRubric, HumanVerdict, Pairing, Provenance
from app.domain.items import ItemConflict
from app.domain.projects import Project
from app.domain.rubrics import RubricKind, RubricVersion
from app.storage.anchors import add_anchor_version, anchor_set_versions, list_anchor_sets
from app.storage.database import Database
from app.storage.evidence import load_evidence
from tests.storage.samples import human, rubric_in, rubric_of

I1, I2, I3 = (Pairing(f"i{k}", "bot") for k in (1, 2, 3))


@pytest.fixture
async def rubric(db: Database, project: Project, now: datetime) -> RubricVersion:
    return await rubric_in(db, project.id, now, rubric_of())


async def values(db: Database, project: Project, rubric: RubricVersion) -> list[float]:
    evidence = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    return sorted(evidence.h_value.tolist())


async def test_a_set_grows_by_versions_that_say_what_they_changed(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    first = await add_anchor_version(
        db,
        project.id,
        rubric=rubric,
        name="s",
        verdicts=[human(I1, 1.0), human(I2, 2.0), human(I1, 3.0, annotator="ben")],
        sha256="a",
        warnings=["not blind"],
        now=now,
    )
    assert (first.version, first.parent, first.items, first.grades, first.annotators) == (1, None, 2, 3, 2)
    assert first.warnings == ("not blind",)
    second = await add_anchor_version(
        db,
        project.id,
        rubric=rubric,
        name="s",
        verdicts=[human(I2, 5.0), human(I3, 4.0), human(I1, 1.0)],  # changed, new, the same as before
        sha256="b",
        now=now,
    )
    assert (second.version, second.parent, second.added, second.removed) == (2, 1, 2, 1)
    assert (second.items, second.grades, second.annotators) == (3, 4, 2)
    assert await values(db, project, rubric) == [1.0, 3.0, 4.0, 5.0]
    assert await anchor_set_versions(db, project.id, "s") == (second, first)


async def test_replacing_makes_the_file_the_whole_set(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    old = [human(I1, 1.0), human(I2, 2.0)]
    new = [human(I2, 2.0), human(I3, 3.0)]

    async def put(verdicts: list[HumanVerdict], sha256: str) -> int:
        version = await add_anchor_version(
            db, project.id, rubric=rubric, name="s", verdicts=verdicts, sha256=sha256, replace=True, now=now
        )
        return version.version

    assert await put(old, "a") == 1
    assert await put(new, "b") == 2
    assert await values(db, project, rubric) == [2.0, 3.0]
    assert await put(new, "b") == 2  # nothing to do
    assert await put(old, "a") == 3  # an old file may come back
    assert await values(db, project, rubric) == [1.0, 2.0]


async def test_the_same_file_or_the_same_grades_make_no_version(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    verdicts = [human(I1, 1.0), human(I2, 2.0)]
    versions = [
        await add_anchor_version(
            db, project.id, rubric=rubric, name="s", verdicts=some, sha256=sha256, now=now
        )
        for some, sha256 in ((verdicts, "a"), (verdicts, "a"), (verdicts[:1], "another file"))
    ]
    assert versions[0] == versions[1] == versions[2]


async def test_a_pair_graded_in_either_order_is_one_unit(db: Database, project: Project, now: datetime):
    pairs = await rubric_in(db, project.id, now, rubric_of(RubricKind.PAIRWISE))
    ahead, back = Pairing("i1", "a", "b"), Pairing("i1", "b", "a")
    await add_anchor_version(
        db, project.id, rubric=pairs, name="s", verdicts=[human(ahead, 1.0)], sha256="a", now=now
    )
    same = await add_anchor_version(
        db, project.id, rubric=pairs, name="s", verdicts=[human(back, -1.0)], sha256="b", now=now
    )
    assert same.version == 1
    changed = await add_anchor_version(
        db, project.id, rubric=pairs, name="s", verdicts=[human(back, 1.0)], sha256="c", now=now
    )
    assert (changed.version, changed.grades) == (2, 1)
    assert await values(db, project, pairs) == [-1.0]


async def test_two_verdicts_of_one_person_on_one_answer_are_refused_whole(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    with pytest.raises(ValueError, match="'ann' has two verdicts on item 'i1'"):
        await add_anchor_version(
            db,
            project.id,
            rubric=rubric,
            name="s",
            verdicts=[human(I2, 1.0), human(I1, 1.0), human(I1, 2.0)],
            sha256="a",
            now=now,
        )
    assert await anchor_set_versions(db, project.id, "s") == ()


async def test_an_item_with_another_prompt_refuses_the_whole_file(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    await add_anchor_version(
        db,
        project.id,
        rubric=rubric,
        name="s",
        verdicts=[human(Pairing("i1", "bot", prompt="Why?"), 1.0)],
        sha256="a",
        now=now,
    )
    with pytest.raises(ItemConflict):
        await add_anchor_version(
            db,
            project.id,
            rubric=rubric,
            name="s",
            verdicts=[human(I2, 1.0), human(Pairing("i1", "bot", prompt="How?"), 1.0)],
            sha256="b",
            now=now,
        )
    assert await values(db, project, rubric) == [1.0]


async def test_a_set_belongs_to_one_rubric(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    await add_anchor_version(
        db, project.id, rubric=rubric, name="s", verdicts=[human(I1, 1.0)], sha256="a", now=now
    )
    other = await rubric_in(db, project.id, now, rubric_of(name="other"))
    with pytest.raises(AnchorSetOfAnotherRubric) as refused:
        await add_anchor_version(
            db, project.id, rubric=other, name="s", verdicts=[human(I1, 1.0)], sha256="b", now=now
        )
    assert (refused.value.rubric, refused.value.asked) == (rubric.rubric.name, "other")


async def test_uploads_at_once_become_one_version_after_the_other(
    db: Database, project: Project, now: datetime, rubric: RubricVersion, database_url: str
):
    async with Database(database_url) as other:
        made = await asyncio.gather(
            *(
                add_anchor_version(
                    one,
                    project.id,
                    rubric=rubric,
                    name="s",
                    verdicts=[human(Pairing(f"i{k}", "bot"), 1.0)],
                    sha256=str(k),
                    now=now,
                )
                for k, one in enumerate((db, other, db, other))
            )
        )
    assert sorted(version.version for version in made) == [1, 2, 3, 4]
    assert max(made, key=lambda version: version.version).grades == 4


async def test_sets_are_listed_by_name_a_page_at_a_time(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    for name in ("b", "a", "c"):
        await add_anchor_version(
            db, project.id, rubric=rubric, name=name, verdicts=[human(I1, 1.0)], sha256="a", now=now
        )
    first = await list_anchor_sets(db, project.id, limit=2)
    assert [one.anchor_set for one in first.items] == ["a", "b"]
    rest = await list_anchor_sets(db, project.id, limit=2, cursor=first.next_cursor)
    assert [one.anchor_set for one in rest.items] == ["c"]
    assert rest.next_cursor is None
    assert (await list_anchor_sets(db, project.id, rubric="none")).items == ()


async def test_where_a_grade_came_from_is_kept_and_makes_it_another_when_it_changes(
    db: Database, project: Project, now: datetime, rubric: RubricVersion
):
    def verdict(inclusion: float) -> HumanVerdict:
        return HumanVerdict(I1, "quality", 2.0, Provenance("ann", "crowd", now, "survey", True, inclusion))

    await add_anchor_version(
        db, project.id, rubric=rubric, name="s", verdicts=[verdict(0.25)], sha256="a", now=now
    )
    changed = await add_anchor_version(
        db, project.id, rubric=rubric, name="s", verdicts=[verdict(0.5)], sha256="b", now=now
    )
    assert changed.version == 2
    evidence = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    assert (evidence.h_inclusion.tolist(), evidence.annotator_types) == ([0.5], ("crowd",))
