"""API keys: looked up by their open prefix, proved by the HMAC of their secret."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from app.domain.projects import ApiKey, Scope
from app.storage.database import Database
from app.storage.tables import api_keys, projects
from app.storage.times import from_ms, maybe_from_ms, to_ms


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key with what proves it: ``mac`` is the HMAC-SHA-256 of its secret."""

    key: ApiKey
    project_id: int
    mac: bytes


_with_project = select(api_keys, projects.c.name.label("project")).join_from(api_keys, projects)


async def create_key(
    db: Database,
    *,
    project_id: int,
    name: str,
    prefix: str,
    mac: bytes,
    scopes: frozenset[Scope],
    now: datetime,
) -> ApiKey:
    """Store a key; the secret itself is never stored. Prefixes are unique over all projects."""
    row = {
        "id": db.new_id(now),
        "project_id": project_id,
        "name": name,
        "prefix": prefix,
        "mac": mac,
        "scopes": " ".join(sorted(scopes)),
        "created_at": to_ms(now),
    }

    def create(connection: Connection) -> ApiKey:
        connection.execute(insert(api_keys).values(row))
        return _key(connection.execute(_with_project.where(api_keys.c.id == row["id"])).one())

    return await db.write(create)


async def find_key(db: Database, prefix: str) -> StoredKey | None:
    """The key of that prefix, also when it was revoked: the caller checks ``revoked_at``."""

    def find(connection: Connection) -> StoredKey | None:
        row = connection.execute(_with_project.where(api_keys.c.prefix == prefix)).one_or_none()
        return None if row is None else StoredKey(_key(row), row.project_id, row.mac)

    return await db.read(find)


async def list_keys(db: Database, project_id: int) -> tuple[ApiKey, ...]:
    """The project's keys, oldest first, revoked ones included."""
    query = _with_project.where(api_keys.c.project_id == project_id).order_by(api_keys.c.id)
    return await db.read(lambda c: tuple(map(_key, c.execute(query))))


async def revoke_key(db: Database, project_id: int, key_id: int, *, now: datetime) -> bool:
    """Revoke a key of the project; False if it has none of that id. A second time changes nothing."""
    mine = (api_keys.c.id == key_id) & (api_keys.c.project_id == project_id)

    def revoke(connection: Connection) -> bool:
        change = update(api_keys).where(mine, api_keys.c.revoked_at.is_(None))
        connection.execute(change.values(revoked_at=to_ms(now)))
        return connection.execute(select(api_keys.c.id).where(mine)).first() is not None

    return await db.write(revoke)


async def touch_key(db: Database, key_id: int, *, now: datetime) -> None:
    """Note that a key was used; callers do this now and then, not on every request."""
    change = update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=to_ms(now))
    await db.write(lambda c: c.execute(change).rowcount)


async def any_key(db: Database) -> bool:
    """Whether the database ever had a key: without one the service is open to this machine, and stays local.

    A revoked key counts: whoever revokes the last one, perhaps because it leaked, must not open every door.
    """
    query = select(api_keys.c.id).limit(1)
    return await db.read(lambda c: c.execute(query).first() is not None)


def _key(row: Any) -> ApiKey:
    return ApiKey(
        id=row.id,
        project=row.project,
        name=row.name,
        prefix=row.prefix,
        scopes=frozenset(Scope(scope) for scope in row.scopes.split()),
        created_at=from_ms(row.created_at),
        last_used_at=maybe_from_ms(row.last_used_at),
        revoked_at=maybe_from_ms(row.revoked_at),
    )
