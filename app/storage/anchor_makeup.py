"""Who and what an anchor set is made of, at its newest version."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, distinct, func, select

from app.domain.ids import content_id
from app.storage.database import Database
from app.storage.tables import annotators, criteria, human_verdicts, systems


@dataclass(frozen=True, slots=True)
class AnnotatorShare:
    """One person's part. ``items`` they graded, with ``grades`` grades in all."""

    name: str
    type: str
    items: int
    grades: int


@dataclass(frozen=True, slots=True)
class Makeup:
    """Counts of human grades. ``double`` answers (or pairs) have grades of two people or more on a criterion.

    For pairs a grade counts for both of its systems.
    """

    annotators: tuple[AnnotatorShare, ...]
    criteria: Mapping[str, int]
    systems: Mapping[str, int]
    units: int
    double: int
    blind: int
    with_probability: int


async def anchor_makeup(db: Database, project_id: int, name: str) -> Makeup:
    """What stands in the set now; all zero if there is no such set."""
    set_id = content_id(project_id, "anchor set", name)
    return await db.read(lambda c: _read(c, set_id))


def _read(connection: Connection, set_id: int) -> Makeup:
    h = human_verdicts.c
    mine = (h.anchor_set_id == set_id, h.removed_in.is_(None))
    people = connection.execute(
        select(annotators.c.name, annotators.c.type, func.count(distinct(h.item_id)), func.count())
        .join_from(human_verdicts, annotators, annotators.c.id == h.annotator_id)
        .where(*mine)
        .group_by(annotators.c.name, annotators.c.type)
        .order_by(func.count().desc(), annotators.c.name)
    )
    graders = func.count().label("graders")
    units = (
        select(graders)
        .where(*mine)
        .group_by(h.criterion_id, h.answer_id, func.coalesce(h.other_answer_id, 0))
        .subquery()
    )
    total = connection.execute(
        select(func.count(), func.count().filter(units.c.graders > 1)).select_from(units)
    ).one()
    known = connection.execute(
        select(func.count().filter(h.blind.is_(True)), func.count(h.inclusion_probability)).where(*mine)
    ).one()
    by_system: dict[str, int] = {}
    for column in (h.system_id, h.other_system_id):
        for system, number in _by(connection, systems, column, mine).items():
            by_system[system] = by_system.get(system, 0) + number
    return Makeup(
        annotators=tuple(AnnotatorShare(*row) for row in people),
        criteria=_by(connection, criteria, h.criterion_id, mine),
        systems=dict(sorted(by_system.items())),
        units=total[0],
        double=total[1],
        blind=known[0],
        with_probability=known[1],
    )


def _by(connection: Connection, table: Any, column: Any, mine: tuple[Any, ...]) -> dict[str, int]:
    query: Select[Any] = (
        select(table.c.name, func.count())
        .join_from(human_verdicts, table, table.c.id == column)
        .where(*mine)
        .group_by(table.c.name)
        .order_by(table.c.name)
    )
    return {name: int(number) for name, number in connection.execute(query)}
