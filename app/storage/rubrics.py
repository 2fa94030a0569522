"""Rubrics: changed content makes a new version, versions never change."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, insert, select, update

from app.domain.ids import content_id
from app.domain.rubrics import Rubric, RubricVersion
from app.storage.database import Database
from app.storage.locks import one_at_a_time
from app.storage.paging import Page, page_of, read_cursor
from app.storage.statements import Insert
from app.storage.tables import criteria, rubric_versions, rubrics
from app.storage.times import to_ms
from app.storage.words import name_of

CRITERIA = Insert(criteria, ("id", "project_id", "rubric_id", "name"), ignore=True)


def rubric_id(project_id: int, name: str) -> int:
    """The id of a rubric by its name."""
    return content_id(project_id, "rubric", name)


def criterion_ids(project_id: int, rubric: Rubric) -> Mapping[str, int]:
    """The id of each criterion by name.

    It names what verdicts can be pooled over: it survives new wording, not a new scale, direction
    or kind of rubric.
    """
    return _criterion_ids(project_id, rubric)


@lru_cache(maxsize=1024)
def _criterion_ids(project_id: int, rubric: Rubric) -> dict[str, int]:
    ids = {}
    for criterion in rubric.criteria:
        scale = criterion.scale
        measure = (repr(float(scale.low)), repr(float(scale.high)), str(scale.step and float(scale.step)))
        key = (rubric.name, rubric.kind, criterion.name, *measure, int(criterion.higher_is_better))
        ids[criterion.name] = content_id(project_id, "criterion", *key)
    return ids


async def put_rubric(
    db: Database, project_id: int, rubric: Rubric, *, now: datetime
) -> tuple[RubricVersion, bool]:
    """The rubric's version with this content, and whether it is new.

    Content equal to the latest version's changes nothing; any other becomes the next version.

    Raises
    ------
    BadInput
        If its name or a criterion's cannot be stored.
    """
    name_of(rubric.name, "name")
    for criterion in rubric.criteria:
        name_of(criterion.name, "criteria.name")

    def put(connection: Connection) -> tuple[RubricVersion, bool]:
        key = rubric_id(project_id, rubric.name)
        one_at_a_time(connection, key)
        latest = _latest(connection, key)
        if latest is not None and latest.rubric.digest() == rubric.digest():
            return latest, False
        version = 1 if latest is None else latest.version + 1
        made = RubricVersion(content_id(project_id, "rubric version", rubric.name, version), version, rubric)
        _store(connection, project_id, key, made, to_ms(now))
        return made, True

    return await db.write(put)


async def get_rubric(
    db: Database, project_id: int, name: str, version: int | None = None
) -> RubricVersion | None:
    """That version of a rubric, by default the latest; None if there is none."""
    key = rubric_id(project_id, name)
    return await db.read(lambda c: _latest(c, key) if version is None else _version(c, key, version))


async def get_rubric_version(db: Database, project_id: int, version_id: int) -> RubricVersion | None:
    """A rubric version by its id."""
    query = select(rubric_versions).where(
        rubric_versions.c.id == version_id, rubric_versions.c.project_id == project_id
    )
    return await db.read(lambda c: _maybe(c.execute(query).one_or_none()))


async def list_rubrics(
    db: Database, project_id: int, *, limit: int = 50, cursor: str | None = None
) -> Page[RubricVersion]:
    """The latest version of each rubric, by name."""
    query = (
        select(rubric_versions)
        .join(rubrics, rubrics.c.id == rubric_versions.c.rubric_id)
        .where(rubrics.c.project_id == project_id, rubric_versions.c.version == rubrics.c.latest_version)
        .order_by(rubrics.c.name)
        .limit(limit + 1)
    )
    after = read_cursor(cursor)
    if after is not None:
        query = query.where(rubrics.c.name > after)
    found = await db.read(lambda c: tuple(map(_rubric_version, c.execute(query))))
    return page_of(found, limit, lambda version: version.rubric.name)


async def list_rubric_versions(db: Database, project_id: int, name: str) -> tuple[RubricVersion, ...]:
    """Every version of a rubric, oldest first; empty if there is no such rubric."""
    query = (
        select(rubric_versions)
        .where(rubric_versions.c.rubric_id == rubric_id(project_id, name))
        .order_by(rubric_versions.c.version)
    )
    return await db.read(lambda c: tuple(map(_rubric_version, c.execute(query))))


def latest_rubric(connection: Connection, project_id: int, name: str) -> RubricVersion | None:
    """The latest version of a rubric, within a transaction."""
    return _latest(connection, rubric_id(project_id, name))


def _store(connection: Connection, project_id: int, key: int, made: RubricVersion, at: int) -> None:
    if made.version == 1:
        row = {"id": key, "project_id": project_id, "name": made.rubric.name, "created_at": at}
        connection.execute(insert(rubrics).values(**row, latest_version=1))
    else:
        newer = update(rubrics).where(rubrics.c.id == key).values(latest_version=made.version)
        connection.execute(newer)
    connection.execute(
        insert(rubric_versions).values(
            id=made.id,
            project_id=project_id,
            rubric_id=key,
            version=made.version,
            digest=made.rubric.digest(),
            content=made.rubric.canonical_json(),
            created_at=at,
        )
    )
    named = criterion_ids(project_id, made.rubric)
    CRITERIA.execute(connection, [(id_, project_id, key, name) for name, id_ in named.items()])


def _latest(connection: Connection, key: int) -> RubricVersion | None:
    query = (
        select(rubric_versions)
        .where(rubric_versions.c.rubric_id == key)
        .order_by(rubric_versions.c.version.desc())
        .limit(1)
    )
    return _maybe(connection.execute(query).one_or_none())


def _version(connection: Connection, key: int, version: int) -> RubricVersion | None:
    query = select(rubric_versions).where(
        rubric_versions.c.rubric_id == key, rubric_versions.c.version == version
    )
    return _maybe(connection.execute(query).one_or_none())


def _maybe(row: Any) -> RubricVersion | None:
    return None if row is None else _rubric_version(row)


def _rubric_version(row: Any) -> RubricVersion:
    return RubricVersion(row.id, row.version, Rubric.from_json(row.content))
