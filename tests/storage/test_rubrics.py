import asyncio
from datetime import datetime

import pytest

from app.domain.problems import BadInput
from app.domain.projects import Project
from app.domain.rubrics import RubricKind, Scale
from app.storage.database import Database
from app.storage.rubrics import (
    criterion_ids,
    get_rubric,
    get_rubric_version,
    list_rubric_versions,
    list_rubrics,
    put_rubric,
)
from tests.storage.samples import rubric_of


async def test_only_changed_content_makes_a_version(db: Database, project: Project, now: datetime):
    one, two = rubric_of(name="r"), rubric_of(name="r", instructions="Otherwise.")
    versions = [await put_rubric(db, project.id, rubric, now=now) for rubric in (one, one, two, two, one)]
    assert [(version.version, new) for version, new in versions] == [
        (1, True),
        (1, False),
        (2, True),
        (2, False),
        (3, True),
    ]
    latest = await get_rubric(db, project.id, "r")
    assert latest is not None
    assert (latest.version, latest.rubric) == (3, one)
    assert await get_rubric(db, project.id, "r", 2) == versions[2][0]
    assert await get_rubric(db, project.id, "r", 4) is None
    assert await get_rubric_version(db, project.id, latest.id) == latest
    assert [v.version for v in await list_rubric_versions(db, project.id, "r")] == [1, 2, 3]


async def test_a_rubric_keeps_all_its_words(db: Database, project: Project, now: datetime):
    rubric = rubric_of(RubricKind.LISTWISE, scale=Scale.of_labels(("schlecht", "mäßig", "gut 🙂")))
    stored, _ = await put_rubric(db, project.id, rubric, now=now)
    assert (await get_rubric(db, project.id, rubric.name)) == stored
    assert stored.rubric == rubric


async def test_versions_put_at_once_are_counted_without_a_gap(
    db: Database, project: Project, now: datetime, database_url: str
):
    async with Database(database_url) as other:
        made = await asyncio.gather(
            *(
                put_rubric(one, project.id, rubric_of(name="r", instructions=f"{k} {place}"), now=now)
                for k in range(5)
                for place, one in enumerate((db, other))
            )
        )
    assert sorted(version.version for version, _ in made) == list(range(1, 11))


async def test_rubrics_are_listed_by_name_a_page_at_a_time(db: Database, project: Project, now: datetime):
    for name in ("c", "a", "b", "ä"):
        await put_rubric(db, project.id, rubric_of(name=name), now=now)
    await put_rubric(db, project.id, rubric_of(name="a", instructions="v2"), now=now)
    seen, cursor = [], None
    while True:
        page = await list_rubrics(db, project.id, limit=1, cursor=cursor)
        seen += [(version.rubric.name, version.version) for version in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == [("a", 2), ("b", 1), ("c", 1), ("ä", 1)]
    with pytest.raises(BadInput):
        await list_rubrics(db, project.id, cursor="\xff")


def test_a_criterion_is_another_when_its_measure_changes_and_the_same_when_its_words_do():
    before = criterion_ids(1, rubric_of())["quality"]
    assert criterion_ids(1, rubric_of(instructions="Otherwise."))["quality"] == before
    labels = rubric_of(scale=Scale.of_labels(("a", "b", "c", "d", "e")))
    assert criterion_ids(1, labels)["quality"] == before
    others = [
        criterion_ids(2, rubric_of())["quality"],
        criterion_ids(1, rubric_of(scale=Scale(1, 7)))["quality"],
        criterion_ids(1, rubric_of(scale=Scale(1, 5, None)))["quality"],
        criterion_ids(1, rubric_of(RubricKind.PAIRWISE, name="by pointwise"))["quality"],
    ]
    assert len({before, *others}) == 5
