"""Invitations to grade: which person a key stands for, and in which queue."""

from datetime import datetime
from typing import Any

from sqlalchemy import Select, insert, select

from app.domain.annotation import Annotator, Invitation, Queue
from app.storage.database import Database
from app.storage.tables import annotation_queues, annotators, api_keys, invitations
from app.storage.times import from_ms, maybe_from_ms, to_ms


async def add_invitation(
    db: Database,
    project_id: int,
    *,
    key_id: int,
    queue: Queue,
    annotator: Annotator,
    expires_at: datetime | None,
    now: datetime,
) -> None:
    """Put on record whom a key stands for."""
    row = {
        "key_id": key_id,
        "project_id": project_id,
        "queue_id": queue.id,
        "annotator_id": annotator.id,
        "created_at": to_ms(now),
        "expires_at": None if expires_at is None else to_ms(expires_at),
    }
    await db.write(lambda c: c.execute(insert(invitations).values(row)).rowcount)


async def find_invitation(db: Database, key_id: int) -> Invitation | None:
    """Whom a key stands for, if it is an invitation's."""
    row = await db.read(
        lambda c: c.execute(_invitations().where(invitations.c.key_id == key_id)).one_or_none()
    )
    return None if row is None else _invitation(row)


async def invitations_to(db: Database, queue: Queue) -> tuple[Invitation, ...]:
    """Everyone who was invited to a queue, oldest first."""
    query = _invitations().where(invitations.c.queue_id == queue.id).order_by(invitations.c.key_id)
    return await db.read(lambda c: tuple(map(_invitation, c.execute(query))))


def _invitations() -> Select[Any]:
    return (
        select(
            invitations,
            annotation_queues.c.name.label("queue"),
            annotators.c.name,
            annotators.c.type,
            api_keys.c.revoked_at,
        )
        .join_from(invitations, annotation_queues, annotation_queues.c.id == invitations.c.queue_id)
        .join(annotators, annotators.c.id == invitations.c.annotator_id)
        .join(api_keys, api_keys.c.id == invitations.c.key_id)
    )


def _invitation(row: Any) -> Invitation:
    return Invitation(
        key_id=row.key_id,
        queue=row.queue,
        annotator=Annotator(row.annotator_id, row.name, row.type),
        created_at=from_ms(row.created_at),
        expires_at=maybe_from_ms(row.expires_at),
        revoked_at=maybe_from_ms(row.revoked_at),
    )
