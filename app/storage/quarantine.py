"""Anchors that an audit put aside until a person decides."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, insert, select, update

from app.domain.audits import Quarantined
from app.domain.ids import content_id
from app.storage.anchor_texts import item_name
from app.storage.database import Database
from app.storage.paging import Page, page_of, read_number_cursor
from app.storage.tables import anchor_sets, human_verdicts, items, quarantine
from app.storage.times import from_ms, maybe_from_ms, to_ms
from app.storage.words import storable


def is_quarantined() -> ColumnElement[bool]:
    """Of a human verdict: nobody has decided yet whether its anchor may count."""
    q, h = quarantine.c, human_verdicts.c
    return exists().where(q.anchor_set_id == h.anchor_set_id, q.item_id == h.item_id, q.decision.is_(None))


async def put_aside(
    db: Database,
    project_id: int,
    *,
    anchor_set: str,
    audit_id: int,
    reasons: Mapping[int, str],
    cause: str,
    now: datetime,
) -> int:
    """Quarantine items (their ids, each with why) of a set; returns how many are new.

    ``cause`` names what they were found against: an anchor that a person kept in spite of that same cause
    stays in.
    """
    set_id = content_id(project_id, "anchor set", anchor_set)

    def add(connection: Connection) -> int:
        rows = connection.execute(select(quarantine).where(quarantine.c.anchor_set_id == set_id)).all()
        known = {row.item_id: row for row in rows}
        new = 0
        for item_id, reason in reasons.items():
            before = known.get(item_id)
            if before is not None and (before.decision is None or before.cause == cause):
                continue
            row = {
                "audit_id": audit_id, "reason": storable(reason), "cause": cause, "decision": None,
                "note": None, "decided_at": None, "created_at": to_ms(now),
            }  # fmt: skip
            if before is None:
                key = {
                    "id": content_id("quarantine", set_id, item_id), "project_id": project_id,
                    "anchor_set_id": set_id, "item_id": item_id,
                }  # fmt: skip
                connection.execute(insert(quarantine).values(key | row))
            else:
                connection.execute(update(quarantine).where(quarantine.c.id == before.id).values(row))
            new += 1
        return new

    return await db.write(add)


async def decide(
    db: Database, project_id: int, quarantine_id: int, *, decision: str, note: str | None, now: datetime
) -> bool:
    """Store a person's decision; False if there is nothing to decide (any more)."""
    q = quarantine.c
    waiting = update(quarantine).where(
        q.id == quarantine_id, q.project_id == project_id, q.decision.is_(None)
    )
    values = {"decision": decision, "note": note, "decided_at": to_ms(now)}
    return await db.write(lambda c: c.execute(waiting.values(values)).rowcount == 1)


async def get_quarantined(db: Database, project_id: int, quarantine_id: int) -> Quarantined | None:
    """One entry by id."""
    query = _entries(project_id).where(quarantine.c.id == quarantine_id)
    row = await db.read(lambda c: c.execute(query).one_or_none())
    return None if row is None else _quarantined(row)


async def list_quarantined(
    db: Database,
    project_id: int,
    *,
    anchor_set: str | None = None,
    audit_id: int | None = None,
    pending: bool | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Quarantined]:
    """What is or was put aside, in the order of ids; ``pending`` only what waits for a decision (or not)."""
    q = quarantine.c
    query = _entries(project_id).order_by(q.id)
    if anchor_set is not None:
        query = query.where(q.anchor_set_id == content_id(project_id, "anchor set", anchor_set))
    if audit_id is not None:
        query = query.where(q.audit_id == audit_id)
    if pending is not None:
        query = query.where(q.decision.is_(None) if pending else q.decision.is_not(None))
    after = read_number_cursor(cursor)
    if after is not None:
        query = query.where(q.id > after)
    found = await db.read(lambda c: tuple(map(_quarantined, c.execute(query.limit(limit + 1)))))
    return page_of(found, limit, lambda entry: entry.id)


def _entries(project_id: int) -> Any:
    return (
        select(quarantine, anchor_sets.c.name.label("anchor_set"), items.c.external_id)
        .join(anchor_sets, anchor_sets.c.id == quarantine.c.anchor_set_id)
        .join(items, items.c.id == quarantine.c.item_id)
        .where(quarantine.c.project_id == project_id)
    )


def _quarantined(row: Any) -> Quarantined:
    return Quarantined(
        id=row.id,
        anchor_set=row.anchor_set,
        item=item_name(row.external_id, row.item_id),
        audit_id=row.audit_id,
        reason=row.reason,
        decision=row.decision,
        note=row.note,
        created_at=from_ms(row.created_at),
        decided_at=maybe_from_ms(row.decided_at),
    )
