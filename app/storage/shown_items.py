"""Anchors as a judge is shown them: prompt and answers with their texts."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from app.domain.ids import content_id
from app.domain.items import Answer, Item
from app.storage.anchor_texts import item_name
from app.storage.columns import is_one_of
from app.storage.database import Database
from app.storage.meant_answers import meant_answers
from app.storage.tables import answers, human_verdicts, items, systems, texts


@dataclass(frozen=True, slots=True)
class ShownItem:
    """One answer, or pair, that people graded; ``prompt`` is a code that items of one prompt share."""

    item: Item
    name: str
    prompt: int


async def anchors_with_texts(db: Database, project_id: int, anchor_set: str) -> tuple[ShownItem, ...]:
    """Every graded answer (or pair) of a set whose prompt and answers are known with their texts, by ids."""
    set_id = content_id(project_id, "anchor set", anchor_set)
    return await db.read(lambda c: _load(c, set_id))


def _load(connection: Connection, set_id: int) -> tuple[ShownItem, ...]:
    h = human_verdicts.c
    graded = connection.execute(
        select(h.item_id, h.answer_id, h.other_answer_id)
        .where(h.anchor_set_id == set_id, h.removed_in.is_(None))
        .distinct()
    ).all()
    named = {one for row in graded for one in row[1:] if one is not None}
    meant = meant_answers(connection, named)
    units = sorted(
        {(item, tuple(meant.get(one, one) for one in both if one is not None)) for item, *both in graded}
    )
    item_ids = sorted({item for item, _ in units})
    answer_ids = sorted({one for _, shown in units for one in shown})
    about = {
        row.id: row
        for row in connection.execute(select(items).where(is_one_of(connection, items.c.id, item_ids)))
    }
    a, s = answers.c, systems.c
    said = {
        row.id: row
        for row in connection.execute(
            select(a.id, a.text_id, s.name, s.family, s.model)
            .join(systems, s.id == a.system_id)
            .where(is_one_of(connection, a.id, answer_ids))
        )
    }
    wanted = {row.text_id for row in said.values()}
    wanted |= {one for row in about.values() for one in (row.prompt_text_id, row.context_text_id)}
    wanted |= {row.reference_text_id for row in about.values()}
    ids = sorted(one for one in wanted if one is not None)
    bodies = {
        row.id: bytes(row.body).decode("utf-8", "replace")
        for row in connection.execute(
            select(texts.c.id, texts.c.body).where(is_one_of(connection, texts.c.id, ids))
        )
    }
    found = []
    for item_id, answered in units:
        row, shown = about[item_id], [said[one] for one in answered]
        if row.prompt_text_id is None or any(one.text_id is None for one in shown):
            continue
        item = Item(
            prompt=bodies[row.prompt_text_id],
            answers=tuple(Answer(one.name, bodies[one.text_id], one.family, one.model) for one in shown),
            item_id=row.external_id,
            context=bodies.get(row.context_text_id),
            reference=bodies.get(row.reference_text_id),
        )
        found.append(ShownItem(item, item_name(row.external_id, row.id), row.prompt_text_id))
    return tuple(found)
