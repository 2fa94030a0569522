"""Queues of answers for people to grade, and what stands in them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from app.domain.annotation import NewItem, Queue, QueueItem, Regrade
from app.domain.ids import content_id
from app.domain.rubrics import Rubric, RubricVersion
from app.storage.columns import is_one_of
from app.storage.database import Database
from app.storage.statements import Insert
from app.storage.tables import (
    annotation_items,
    annotation_queues,
    answers,
    items,
    rubric_versions,
    systems,
)
from app.storage.times import from_ms, to_ms
from app.storage.words import name_of

_ITEMS = Insert(
    annotation_items,
    (
        *("id", "project_id", "queue_id", "item_id", "answer_ids", "wanted", "relative_chance"),
        *("population", "why", "created_at"),
    ),
    ignore=True,
)


def queue_id(project_id: int, name: str) -> int:
    """The id of a queue by its name."""
    return content_id(project_id, "annotation queue", name)


def queue_item_id(queue: int, answer_ids: Sequence[int]) -> int:
    """The id of an item in a queue: the same answers stand in it once."""
    return content_id(queue, "annotation item", *answer_ids)


async def create_queue(
    db: Database,
    project_id: int,
    *,
    name: str,
    rubric: RubricVersion,
    anchor_set: str,
    guidance: str,
    now: datetime,
    regrade: Regrade | None = None,
) -> Queue | None:
    """A new, open, empty queue; None if the project has one of that name."""
    key = queue_id(project_id, name_of(name, "name"))
    row = {
        "id": key,
        "project_id": project_id,
        "rubric_version_id": rubric.id,
        "name": name,
        "anchor_set": name_of(anchor_set, "anchor_set"),
        "guidance": guidance,
        "open": True,
        "created_at": to_ms(now),
        "regrade": None if regrade is None else json.dumps(asdict(regrade)),
    }

    def create(connection: Connection) -> Queue | None:
        if connection.execute(select(annotation_queues.c.id).where(annotation_queues.c.id == key)).first():
            return None
        connection.execute(insert(annotation_queues).values(row))
        return _queue(connection.execute(_queues().where(annotation_queues.c.id == key)).one())

    return await db.write(create)


async def find_queue(db: Database, project_id: int, name: str) -> Queue | None:
    """The queue of that name, if the project has one."""
    query = _queues().where(annotation_queues.c.id == queue_id(project_id, name))
    row = await db.read(lambda c: c.execute(query).one_or_none())
    return None if row is None else _queue(row)


async def list_queues(db: Database, project_id: int) -> tuple[Queue, ...]:
    """The project's queues, the newest first."""
    query = _queues().where(annotation_queues.c.project_id == project_id)
    ordered = query.order_by(annotation_queues.c.created_at.desc(), annotation_queues.c.name)
    return await db.read(lambda c: tuple(map(_queue, c.execute(ordered))))


async def set_queue_open(db: Database, queue: Queue, open: bool) -> None:
    """Open a queue to those who grade, or close it."""
    change = update(annotation_queues).where(annotation_queues.c.id == queue.id).values(open=open)
    await db.write(lambda c: c.execute(change).rowcount)


async def add_items(
    db: Database,
    project_id: int,
    queue: Queue,
    new: Sequence[NewItem],
    *,
    population: int | None,
    now: datetime,
) -> int:
    """Put items into a queue; those that stand in it already stay as they are. Returns how many are new."""
    at = to_ms(now)
    rows = [
        (
            *(queue_item_id(queue.id, one.answer_ids), project_id, queue.id, one.item_id),
            *(json.dumps(one.answer_ids), one.wanted, one.relative_chance),
            *(population if one.relative_chance is not None else None, json.dumps(one.why), at),
        )
        for one in new
    ]

    def add(connection: Connection) -> int:
        before = _count(connection, queue.id)
        _ITEMS.execute(connection, rows)
        return _count(connection, queue.id) - before

    return await db.write(add)


async def queue_items(db: Database, queue: Queue) -> tuple[QueueItem, ...]:
    """Everything that stands in a queue."""
    return await db.read(lambda c: items_in(c, queue.id))


def items_in(connection: Connection, queue: int) -> tuple[QueueItem, ...]:
    """`queue_items`, within a transaction."""
    query = select(annotation_items).where(annotation_items.c.queue_id == queue)
    return tuple(map(_item, connection.execute(query.order_by(annotation_items.c.id))))


async def answers_by_name(
    db: Database, project_id: int, external_ids: Iterable[str]
) -> dict[tuple[str, str], tuple[tuple[int, int], ...]]:
    """(item's own id, system) -> (item id, answer id) of each of its answers whose text is known."""
    wanted = [content_id(project_id, "item", name) for name in dict.fromkeys(external_ids)]

    def read(connection: Connection) -> dict[tuple[str, str], tuple[tuple[int, int], ...]]:
        rows = connection.execute(
            select(items.c.external_id, systems.c.name, items.c.id, answers.c.id)
            .join_from(answers, items, items.c.id == answers.c.item_id)
            .join(systems, systems.c.id == answers.c.system_id)
            .where(is_one_of(connection, items.c.id, wanted), answers.c.text_id.is_not(None))
            .order_by(answers.c.id)
        )
        found: dict[tuple[str, str], tuple[tuple[int, int], ...]] = {}
        for external, system, item, answer in rows:
            found[external, system] = (*found.get((external, system), ()), (item, answer))
        return found

    return await db.read(read)


async def answers_with_texts(db: Database, ids: Sequence[int]) -> dict[int, int]:
    """Answer id -> item id, of those whose own text and whose item's prompt are known."""

    def read(connection: Connection) -> dict[int, int]:
        found: dict[int, int] = {}
        for start in range(0, len(ids), 20_000):
            some = is_one_of(connection, answers.c.id, list(ids[start : start + 20_000]))
            query = (
                select(answers.c.id, answers.c.item_id)
                .join(items, items.c.id == answers.c.item_id)
                .where(some, answers.c.text_id.is_not(None), items.c.prompt_text_id.is_not(None))
            )
            found.update((row[0], row[1]) for row in connection.execute(query))
        return found

    return await db.read(read)


def _count(connection: Connection, queue: int) -> int:
    return len(items_in(connection, queue))


def _queues() -> Any:
    return select(annotation_queues, rubric_versions.c.version, rubric_versions.c.content).join_from(
        annotation_queues,
        rubric_versions,
        rubric_versions.c.id == annotation_queues.c.rubric_version_id,
    )


def _queue(row: Any) -> Queue:
    return Queue(
        id=row.id,
        name=row.name,
        rubric=RubricVersion(row.rubric_version_id, row.version, Rubric.from_json(row.content)),
        anchor_set=row.anchor_set,
        guidance=row.guidance,
        open=bool(row.open),
        created_at=from_ms(row.created_at),
        regrade=None if row.regrade is None else Regrade(**json.loads(row.regrade)),
    )


def _item(row: Any) -> QueueItem:
    return QueueItem(
        id=row.id,
        item_id=row.item_id,
        answer_ids=tuple(json.loads(row.answer_ids)),
        wanted=row.wanted,
        relative_chance=row.relative_chance,
        population=row.population,
        why=tuple(json.loads(row.why)),
    )
