"""How files with certain columns were read the last time: remembered per project."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from app.domain.ids import content_id
from app.storage.database import Database
from app.storage.tables import column_mappings
from app.storage.times import from_ms, to_ms

MOST_REMEMBERED = 200
"""Mappings of one project; the one used longest ago makes room."""


@dataclass(frozen=True, slots=True)
class RememberedMapping:
    """``kind`` of the rubric, ``shape`` of the file, its ``columns``, sorted."""

    id: int
    kind: str
    shape: str
    columns: tuple[str, ...]
    mapping: str
    used_at: datetime


async def remember_mapping(
    db: Database,
    project_id: int,
    *,
    kind: str,
    shape: str,
    columns: Collection[str],
    mapping: str,
    now: datetime,
) -> None:
    """Keep ``mapping`` for files with exactly these columns, instead of what was kept for them before."""
    named = sorted(columns)
    key = _key(project_id, kind, shape, named)
    row = {
        "id": key,
        "project_id": project_id,
        "kind": kind,
        "shape": shape,
        "columns": json.dumps(named, ensure_ascii=False),
        "mapping": mapping,
        "used_at": to_ms(now),
    }
    c = column_mappings.c
    oldest = (
        select(c.id).where(c.project_id == project_id).order_by(c.used_at.desc()).offset(MOST_REMEMBERED - 1)
    )

    def keep(connection: Connection) -> None:
        connection.execute(delete(column_mappings).where(c.id == key))
        crowded = list(connection.execute(oldest).scalars())
        connection.execute(delete(column_mappings).where(c.id.in_(crowded)))
        connection.execute(insert(column_mappings).values(row))

    await db.write(keep)


async def find_mapping(
    db: Database, project_id: int, *, kind: str, shape: str, columns: Collection[str]
) -> RememberedMapping | None:
    """What is kept for files with exactly these columns."""
    query = select(column_mappings).where(
        column_mappings.c.id == _key(project_id, kind, shape, sorted(columns))
    )
    return await db.read(lambda c: next((_shown(row) for row in c.execute(query)), None))


async def list_mappings(db: Database, project_id: int) -> tuple[RememberedMapping, ...]:
    """All of a project, the last used first."""
    c = column_mappings.c
    query = select(column_mappings).where(c.project_id == project_id).order_by(c.used_at.desc(), c.id)
    return await db.read(lambda connection: tuple(map(_shown, connection.execute(query))))


async def forget_mapping(db: Database, project_id: int, mapping_id: int) -> bool:
    """Forget one; False if the project has none of that id."""
    c = column_mappings.c
    gone = delete(column_mappings).where(c.project_id == project_id, c.id == mapping_id)
    return await db.write(lambda connection: connection.execute(gone).rowcount > 0)


def _key(project_id: int, kind: str, shape: str, columns: list[str]) -> int:
    return content_id(project_id, "column mapping", kind, shape, *columns)


def _shown(row: Any) -> RememberedMapping:
    columns = tuple(json.loads(row.columns))
    return RememberedMapping(row.id, row.kind, row.shape, columns, row.mapping, from_ms(row.used_at))
