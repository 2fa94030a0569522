"""What people said of the items of a queue: one row per person and item that was shown to them."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, insert, select, update

from app.domain.annotation import Annotation, Annotator, Queue, QueueItem, Scores, State
from app.domain.ids import content_id
from app.storage.anchors import ANNOTATORS
from app.storage.annotation_queues import items_in
from app.storage.database import Database
from app.storage.locks import one_at_a_time
from app.storage.tables import annotation_items, annotations, annotators
from app.storage.times import from_ms, maybe_from_ms, to_ms
from app.storage.words import name_of
from app.storage.writer import write_rows

HELD_FOR = timedelta(minutes=30)
"""An item that somebody opened and left is offered to others after this long."""
_LONGEST_LOOK_S = 600.0  # a person who was away longer than this was not reading


def annotator_of(project_id: int, name: str, type: str) -> Annotator:
    """A person by name and type, as anchors know them; BadInput if a name cannot be stored."""
    person = (name_of(name, "annotator"), name_of(type, "annotator_type"))
    return Annotator(content_id(project_id, "annotator", *person), *person)


async def put_annotator(db: Database, project_id: int, person: Annotator) -> None:
    """Put a person on record."""
    row = (person.id, project_id, person.name, person.type)
    await db.write(lambda c: write_rows(c, {ANNOTATORS: [row]}))


async def annotations_of(
    db: Database, queue: Queue, annotator: Annotator | None = None
) -> tuple[Annotation, ...]:
    """All that was said in a queue, or all that one person said."""
    query = _annotations(queue.id)
    if annotator is not None:
        query = query.where(annotations.c.annotator_id == annotator.id)
    return await db.read(lambda c: tuple(map(_annotation, c.execute(query))))


async def take_item(
    db: Database,
    queue: Queue,
    annotator: Annotator,
    *,
    order: Callable[[QueueItem], tuple[int, ...]],
    now: datetime,
    but_not: Collection[int] = (),
) -> tuple[QueueItem, Annotation] | None:
    """The item this person has open, or else the next one, held for them; None if nothing is left.

    Each person meets the items in an order of their own. An item is offered while fewer people than it
    wants have graded it or have it open, and not to somebody who had it under another spelling or type.
    ``order`` draws the order in which its answers are shown; items of ``but_not`` are not for this person.
    """

    def take(connection: Connection) -> tuple[QueueItem, Annotation] | None:
        one_at_a_time(connection, queue.id)
        said = tuple(map(_annotation, connection.execute(_annotations(queue.id))))
        mine = {one.queue_item_id: one for one in said if one.annotator.id == annotator.id}
        items = {one.id: one for one in items_in(connection, queue.id)}
        begun = [one for one in mine.values() if one.state is State.OPEN and not one.adjudicates]
        if begun:
            first = min(begun, key=lambda one: to_ms(one.opened_at or now))
            _resume(connection, first.queue_item_id, annotator.id, now)
            return items[first.queue_item_id], first
        busy = Counter(one.queue_item_id for one in said if _counts(one, now))
        same = (one for one in said if one.annotator.spelled == annotator.spelled)
        had = {one.queue_item_id for one in same if one.state is not State.OPEN} | mine.keys()
        theirs = [one for one in items.values() if one.id not in but_not]
        free = [one for one in theirs if one.id not in had and busy[one.id] < one.wanted]
        if not free:
            return None
        item = min(free, key=lambda one: content_id(one.id, annotator.id))
        return item, _open(connection, queue, item, annotator, order(item), now)

    return await db.write(take)


async def open_item(
    db: Database,
    queue: Queue,
    annotator: Annotator,
    item: QueueItem,
    *,
    order: tuple[int, ...],
    adjudicates: bool,
    now: datetime,
) -> Annotation:
    """This item before this person, whether or not they have said anything of it yet."""

    def open_it(connection: Connection) -> Annotation:
        one_at_a_time(connection, queue.id)
        found = _one(connection, queue.id, item.id, annotator.id)
        if found is None:
            return _open(connection, queue, item, annotator, order, now, adjudicates=adjudicates)
        _resume(connection, item.id, annotator.id, now)
        return found

    return await db.write(open_it)


async def find_annotation(
    db: Database, queue: Queue, annotator: Annotator, item_id: int
) -> Annotation | None:
    """What one person said of one item; None if it was never before them."""
    return await db.read(lambda c: _one(c, queue.id, item_id, annotator.id))


async def save_annotation(
    db: Database,
    queue: Queue,
    annotator: Annotator,
    item_id: int,
    *,
    state: State,
    scores: Scores,
    note: str,
    skip_reason: str | None,
    now: datetime,
) -> Annotation:
    """Save what a person says of an item that is before them; the time since it was shown is added.

    A draft (``state`` open) that comes after the grade changes nothing: a page saves by itself, and what it
    sent may be overtaken by what its person sent. Returns what stands.
    """

    def save(connection: Connection) -> Annotation:
        a = annotations.c
        mine = (a.queue_item_id == item_id) & (a.annotator_id == annotator.id)
        row = connection.execute(select(a.resumed_at, a.seconds).where(mine)).one()
        looked = min(max((to_ms(now) - row.resumed_at) / 1000, 0.0), _LONGEST_LOOK_S)
        said = {
            "state": state.value,
            "scores": json.dumps({name: list(values) for name, values in scores.items()}),
            "note": note,
            "skip_reason": skip_reason,
            "seconds": row.seconds + looked,
            "resumed_at": to_ms(now),
            "saved_at": to_ms(now),
        }
        if state is not State.OPEN:
            said["submitted_at"] = to_ms(now)
        at = mine & (a.state == State.OPEN.value) if state is State.OPEN else mine
        connection.execute(update(annotations).where(at).values(said))
        saved = _one(connection, queue.id, item_id, annotator.id)
        assert saved is not None  # it was just looked at
        return saved

    return await db.write(save)


def _counts(one: Annotation, now: datetime) -> bool:
    """Whether somebody's part of an item leaves one person fewer to be found for it."""
    if one.adjudicates or one.state is State.SKIPPED:
        return False
    seen = one.saved_at or one.opened_at
    return one.state is State.DONE or (seen is not None and now - seen < HELD_FOR)


def _open(
    connection: Connection,
    queue: Queue,
    item: QueueItem,
    annotator: Annotator,
    order: Sequence[int],
    now: datetime,
    adjudicates: bool = False,
) -> Annotation:
    project = connection.execute(
        select(annotation_items.c.project_id).where(annotation_items.c.id == item.id)
    ).scalar_one()
    write_rows(connection, {ANNOTATORS: [(annotator.id, project, annotator.name, annotator.type)]})
    row = {
        "queue_item_id": item.id,
        "annotator_id": annotator.id,
        "project_id": project,
        "state": State.OPEN.value,
        "adjudicates": adjudicates,
        "shown": json.dumps(list(order)),
        "scores": "{}",
        "note": "",
        "seconds": 0.0,
        "opened_at": to_ms(now),
        "resumed_at": to_ms(now),
    }
    connection.execute(insert(annotations).values(row))
    made = _one(connection, queue.id, item.id, annotator.id)
    assert made is not None  # it was just inserted
    return made


def _resume(connection: Connection, item: int, annotator: int, now: datetime) -> None:
    a = annotations.c
    mine = (a.queue_item_id == item) & (a.annotator_id == annotator)
    connection.execute(update(annotations).where(mine).values(resumed_at=to_ms(now)))


def _one(connection: Connection, queue: int, item: int, annotator: int) -> Annotation | None:
    a = annotations.c
    query = _annotations(queue).where(a.queue_item_id == item, a.annotator_id == annotator)
    row = connection.execute(query).one_or_none()
    return None if row is None else _annotation(row)


def _annotations(queue: int) -> Select[Any]:
    return (
        select(annotations, annotators.c.name, annotators.c.type)
        .join_from(annotations, annotation_items, annotation_items.c.id == annotations.c.queue_item_id)
        .join(annotators, annotators.c.id == annotations.c.annotator_id)
        .where(annotation_items.c.queue_id == queue)
        .order_by(annotations.c.opened_at, annotations.c.queue_item_id)
    )


def _annotation(row: Any) -> Annotation:
    return Annotation(
        queue_item_id=row.queue_item_id,
        annotator=Annotator(row.annotator_id, row.name, row.type),
        state=State(row.state),
        adjudicates=bool(row.adjudicates),
        shown=tuple(json.loads(row.shown)),
        scores={name: tuple(values) for name, values in json.loads(row.scores).items()},
        note=row.note,
        skip_reason=row.skip_reason,
        seconds=row.seconds,
        opened_at=from_ms(row.opened_at),
        saved_at=maybe_from_ms(row.saved_at),
        submitted_at=maybe_from_ms(row.submitted_at),
    )
