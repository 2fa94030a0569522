"""What an anchor set holds at a version: its members with their texts, and the hash of that content."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Select, insert, select

from app.domain.ids import content_id
from app.storage.anchor_texts import item_name, members_at
from app.storage.columns import is_one_of
from app.storage.database import Database
from app.storage.tables import (
    anchor_exports,
    annotators,
    answers,
    criteria,
    human_verdicts,
    items,
    systems,
    texts,
)
from app.storage.times import maybe_from_ms, to_ms

_PIECE = 2_000


@dataclass(frozen=True, slots=True)
class AnchorMember:
    """One grade of a set with all texts it is about; None where a text is not known here."""

    item: str
    prompt: str | None
    context: str | None
    reference: str | None
    system: str
    answer: str | None
    other_system: str | None
    other_answer: str | None
    criterion: str
    value: float
    annotator: str
    annotator_type: str
    graded_at: datetime | None
    source: str | None
    blind: bool | None
    inclusion_probability: float | None


async def anchor_members(
    db: Database, project_id: int, name: str, version: int, after: int = 0
) -> tuple[tuple[AnchorMember, ...], int | None]:
    """Some thousand members of a set at a version, and the row to go on after (None: that was all)."""
    set_id = content_id(project_id, "anchor set", name)
    h = human_verdicts.c
    query = _members(set_id, version).where(h.id > after).order_by(h.id).limit(_PIECE)

    def read(connection: Connection) -> tuple[tuple[AnchorMember, ...], int | None]:
        rows = connection.execute(query).all()
        ids = {one for row in rows for one in row[:5] if one is not None}
        bodies = {
            row.id: bytes(row.body).decode("utf-8", "replace")
            for row in connection.execute(
                select(texts.c.id, texts.c.body).where(is_one_of(connection, texts.c.id, sorted(ids)))
            )
        }
        found = tuple(_member(row, bodies) for row in rows)
        return found, rows[-1].id if len(rows) == _PIECE else None

    return await db.read(read)


async def note_export(
    db: Database, project_id: int, name: str, *, version: int, what: str, now: datetime
) -> None:
    """Keep on record that grades or texts of a version left the service."""
    row = {
        "id": db.new_id(now),
        "project_id": project_id,
        "anchor_set_id": content_id(project_id, "anchor set", name),
        "version": version,
        "what": what,
        "created_at": to_ms(now),
    }
    await db.write(lambda c: c.execute(insert(anchor_exports).values(row)).rowcount)


def content_hash(connection: Connection, set_id: int, version: int | None) -> str:
    """SHA-256 of a set's members at a version (None: now), whatever made them its members.

    A member is its item (the caller's id), the hashes of its texts, its systems, criterion, annotator (name
    and type) and value, as JSON; the set is the sorted hashes of these, so that equal content has an equal
    hash in every database.
    """
    rows = connection.execute(_members(set_id, version)).all()
    ids = sorted({one for row in rows for one in row[:5] if one is not None})
    hashes: dict[int | None, str | None] = {None: None}
    for start in range(0, len(ids), 20_000):
        some = is_one_of(connection, texts.c.id, ids[start : start + 20_000])
        hashes.update(
            (row.id, row.sha256) for row in connection.execute(select(texts.c.id, texts.c.sha256).where(some))
        )
    members = sorted(_digests(rows, hashes))
    whole = sha256()
    for member in members:
        whole.update(member)
    return whole.hexdigest()


def _digests(rows: Any, hashes: dict[int | None, str | None]) -> Iterator[bytes]:
    for row in rows:
        about = [row.external_id, *(hashes[one] for one in row[:5]), row.system, row.other_system]
        said = [row.criterion, row.annotator, row.annotator_type, float(row.value)]
        yield sha256(json.dumps([*about, *said], ensure_ascii=False).encode("utf-8", "replace")).digest()


def _members(set_id: int, version: int | None) -> Select[Any]:
    """Members at a version; the first five columns are ids of texts."""
    h = human_verdicts.c
    other_answers, other_systems = answers.alias(), systems.alias()
    return (
        select(
            items.c.prompt_text_id, items.c.context_text_id, items.c.reference_text_id,
            answers.c.text_id, other_answers.c.text_id.label("other_text_id"),
            h.id, h.item_id, items.c.external_id, systems.c.name.label("system"),
            other_systems.c.name.label("other_system"), criteria.c.name.label("criterion"),
            annotators.c.name.label("annotator"), annotators.c.type.label("annotator_type"), h.value,
            h.graded_at, h.source, h.blind, h.inclusion_probability,
        )
        .select_from(human_verdicts)
        .join(items, items.c.id == h.item_id)
        .join(answers, answers.c.id == h.answer_id)
        .outerjoin(other_answers, other_answers.c.id == h.other_answer_id)
        .join(systems, systems.c.id == h.system_id)
        .outerjoin(other_systems, other_systems.c.id == h.other_system_id)
        .join(criteria, criteria.c.id == h.criterion_id)
        .join(annotators, annotators.c.id == h.annotator_id)
        .where(h.anchor_set_id == set_id, *members_at(version))
    )  # fmt: skip


def _member(row: Any, bodies: dict[int, str]) -> AnchorMember:
    prompt, context, reference, answer, other = (None if one is None else bodies.get(one) for one in row[:5])
    return AnchorMember(
        item=item_name(row.external_id, row.item_id),
        prompt=prompt,
        context=context,
        reference=reference,
        system=row.system,
        answer=answer,
        other_system=row.other_system,
        other_answer=other,
        criterion=row.criterion,
        value=row.value,
        annotator=row.annotator,
        annotator_type=row.annotator_type,
        graded_at=maybe_from_ms(row.graded_at),
        source=row.source,
        blind=row.blind,
        inclusion_probability=row.inclusion_probability,
    )
