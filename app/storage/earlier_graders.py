"""Who has graded an answer before, in any anchor set or queue."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping

from sqlalchemy import Connection, select

from app.domain.annotation import Queue, State
from app.storage.annotation_queues import items_in
from app.storage.columns import is_one_of
from app.storage.database import Database
from app.storage.meant_answers import bare_answers
from app.storage.tables import annotation_items, annotations, annotators, human_verdicts


async def earlier_graders(db: Database, queue: Queue) -> Mapping[int, frozenset[str]]:
    """Queue item -> names of the people who graded one of its answers elsewhere, at whatever time.

    Grades that have left their sets count: whoever gave them has read the answer.
    """
    return await db.read(lambda c: _graders(c, queue))


def _graders(connection: Connection, queue: Queue) -> Mapping[int, frozenset[str]]:
    items = items_in(connection, queue.id)
    wanted = sorted({key for one in items for key in one.answer_ids})
    bare = bare_answers(connection, wanted)
    by_answer = _in_sets(connection, [*wanted, *bare.values()])
    for answer, textless in bare.items():
        by_answer[answer] |= by_answer[textless]
    for answer, names in _in_other_queues(connection, queue, {one.item_id for one in items}).items():
        by_answer[answer] |= names
    return {one.id: frozenset().union(*(by_answer[key] for key in one.answer_ids)) for one in items}


def _in_sets(connection: Connection, answers: list[int]) -> defaultdict[int, set[str]]:
    h = human_verdicts.c
    found: defaultdict[int, set[str]] = defaultdict(set)
    for column in (h.answer_id, h.other_answer_id):
        query = (
            select(column, annotators.c.name)
            .join_from(human_verdicts, annotators, annotators.c.id == h.annotator_id)
            .where(is_one_of(connection, column, answers))
            .distinct()
        )
        for answer, name in connection.execute(query):
            found[answer].add(name)
    return found


def _in_other_queues(connection: Connection, queue: Queue, items: Collection[int]) -> Mapping[int, set[str]]:
    i = annotation_items.c
    query = (
        select(i.answer_ids, annotators.c.name)
        .join_from(annotations, annotation_items, i.id == annotations.c.queue_item_id)
        .join(annotators, annotators.c.id == annotations.c.annotator_id)
        .where(
            i.queue_id != queue.id,
            is_one_of(connection, i.item_id, sorted(items)),
            annotations.c.state == State.DONE.value,
        )
        .distinct()
    )
    found: defaultdict[int, set[str]] = defaultdict(set)
    for answer_ids, name in connection.execute(query):
        for answer in json.loads(answer_ids):
            found[answer].add(name)
    return found
