"""Projects: whose rows these are, and their standing rules for panels."""

import json
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, select, update
from sqlalchemy.engine import Row

from app.domain.ids import content_id
from app.domain.projects import PanelPolicy, Project, ProjectLimits
from app.storage.database import Database
from app.storage.statements import Insert
from app.storage.tables import projects
from app.storage.times import to_ms

_PROJECTS = Insert(projects, ("id", "name", "policy", "created_at"), ignore=True)


async def get_or_create_project(db: Database, name: str = "default", *, now: datetime) -> Project:
    """The project of that name, made with the ordinary policy if it is not there."""
    found = await find_project(db, name)
    if found is not None:
        return found
    policy = json.dumps(asdict(PanelPolicy()))
    row = (content_id("project", name), name, policy, to_ms(now))
    await db.submit({_PROJECTS: [row]})
    made = await find_project(db, name)
    assert made is not None  # its insert was just committed, and projects are never deleted
    return made


async def find_project(db: Database, name: str) -> Project | None:
    """The project of that name, if there is one."""
    return await db.read(lambda c: _one(c, projects.c.name == name))


async def get_project(db: Database, project_id: int) -> Project | None:
    """The project of that id, if there is one."""
    return await db.read(lambda c: _one(c, projects.c.id == project_id))


async def list_projects(db: Database) -> tuple[Project, ...]:
    """All projects, by name."""
    return await db.read(
        lambda c: tuple(map(_project, c.execute(select(projects).order_by(projects.c.name))))
    )


async def set_policy(db: Database, project_id: int, policy: PanelPolicy) -> None:
    """Replace the project's rules for panels."""
    change = update(projects).where(projects.c.id == project_id).values(policy=json.dumps(asdict(policy)))
    await db.write(lambda c: c.execute(change).rowcount)


async def set_limits(db: Database, project_id: int, limits: ProjectLimits) -> None:
    """Replace what the project's calls may take of the providers."""
    change = update(projects).where(projects.c.id == project_id).values(limits=json.dumps(asdict(limits)))
    await db.write(lambda c: c.execute(change).rowcount)


async def limits_of_projects(db: Database, project_id: int | None = None) -> dict[int, ProjectLimits]:
    """The limits of every project that has any, or ever had; or only of that one."""
    query = select(projects.c.id, projects.c.limits).where(projects.c.limits.is_not(None))
    if project_id is not None:
        query = query.where(projects.c.id == project_id)
    return await db.read(lambda c: {r.id: ProjectLimits(**json.loads(r.limits)) for r in c.execute(query)})


def one_project(connection: Connection, project_id: int) -> Project:
    """The project of that id, which must be there."""
    return _project(connection.execute(select(projects).where(projects.c.id == project_id)).one())


def _one(connection: Connection, condition: object) -> Project | None:
    row = connection.execute(select(projects).where(condition)).one_or_none()  # type: ignore[arg-type]
    return None if row is None else _project(row)


def _project(row: Row[tuple[object, ...]]) -> Project:
    return Project(row.id, row.name, PanelPolicy(**json.loads(row.policy)))
