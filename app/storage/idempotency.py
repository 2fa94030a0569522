"""Idempotency keys: the same key and body gets the first answer, the same key with another body none."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from app.domain.ids import content_id
from app.storage import processes
from app.storage.database import Database
from app.storage.statements import Insert
from app.storage.tables import idempotency
from app.storage.times import to_ms

_CLAIMS = Insert(
    idempotency,
    ("id", "project_id", "key", "fingerprint", "process_id", "claim_id", "created_at"),
    ignore=True,
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """The request is ours to answer: end with `store_answer`, or `release` where it failed."""

    project_id: int
    key: str
    claim_id: int


@dataclass(frozen=True, slots=True)
class Replay:
    """The answer that was given first."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The key was used with another request."""

    key: str


@dataclass(frozen=True, slots=True)
class StillRunning:
    """The first request with this key has not been answered yet."""

    key: str


Claim = Claimed | Replay | KeyReused | StillRunning


async def claim(db: Database, project_id: int, key: str, fingerprint: str, *, now: datetime) -> Claim:
    """Claim ``key`` for the request with ``fingerprint`` (a hash of its method, path and body).

    Of several at once exactly one gets `Claimed`. The claim of a dead process is taken over.
    """
    row_id = content_id(project_id, "idempotency", key)
    ours = Claimed(project_id, key, db.new_id(now))
    row = (row_id, project_id, key, fingerprint, db.process_id, ours.claim_id, to_ms(now))

    def attempt(connection: Connection) -> Claim:
        _CLAIMS.execute(connection, [row])
        found = connection.execute(select(idempotency).where(idempotency.c.id == row_id)).one()
        if found.claim_id == ours.claim_id:
            return ours
        if found.fingerprint != fingerprint:
            return KeyReused(key)
        if found.status_code is not None:
            return Replay(found.status_code, json.loads(found.headers), bytes(found.body))
        if found.process_id in processes.living(connection, now) | {db.process_id}:
            return StillRunning(key)
        take = update(idempotency).where(idempotency.c.id == row_id, idempotency.c.claim_id == found.claim_id)
        taken = connection.execute(take.values(claim_id=ours.claim_id, process_id=db.process_id))
        return ours if taken.rowcount == 1 else StillRunning(key)

    return await db.write(attempt)


async def store_answer(
    db: Database, claimed: Claimed, *, status_code: int, headers: Mapping[str, str], body: bytes
) -> None:
    """Keep the answer for replays."""
    change = (
        update(idempotency)
        .where(idempotency.c.claim_id == claimed.claim_id)
        .where(idempotency.c.id == content_id(claimed.project_id, "idempotency", claimed.key))
        .values(status_code=status_code, headers=json.dumps(dict(headers)), body=body)
    )
    await db.write(lambda c: c.execute(change).rowcount)


async def release(db: Database, claimed: Claimed) -> None:
    """Give the key back, so that the same request may be tried again."""
    gone = (
        delete(idempotency)
        .where(idempotency.c.claim_id == claimed.claim_id)
        .where(idempotency.c.id == content_id(claimed.project_id, "idempotency", claimed.key))
    )
    await db.write(lambda c: c.execute(gone).rowcount)


async def forget_keys(db: Database, *, before: datetime) -> int:
    """Forget keys first used before that moment; returns how many."""
    gone = delete(idempotency).where(idempotency.c.created_at < to_ms(before))
    return await db.write(lambda c: c.execute(gone).rowcount)
