"""The texts and the grades of an anchor set at its newest version."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, not_, select

from app.domain.anchors import SETTLING, SIMULATED_PEOPLE
from app.domain.ids import content_id, show_id
from app.storage.columns import is_one_of
from app.storage.database import Database
from app.storage.meant_answers import meant_answers
from app.storage.tables import (
    anchor_set_versions,
    anchor_sets,
    annotators,
    answers,
    criteria,
    human_verdicts,
    items,
    systems,
    texts,
)
from app.storage.times import from_ms, maybe_from_ms


@dataclass(frozen=True, slots=True)
class AnchorText:
    """One text of an anchor: ``field`` is prompt, context, reference or ``answer of SYSTEM``."""

    item_id: int
    item: str
    field: str
    text: str


@dataclass(frozen=True, slots=True)
class AnchorGrade:
    """One grade as it stands in a set: where it comes from, and which answers (ids) it is about.

    ``item`` is the caller's id; ``born`` when its anchor first stood in the set.
    """

    id: int
    item_id: int
    item: str
    system: str
    other_system: str | None
    answer_id: int
    other_answer_id: int | None
    criterion: str
    annotator: str
    annotator_type: str
    value: float
    source: str | None
    blind: bool | None
    inclusion_probability: float | None
    graded_at: datetime | None
    born: datetime

    @property
    def simulated(self) -> bool:
        """Whether a made-up person gave it."""
        return self.annotator_type == SIMULATED_PEOPLE

    @property
    def unblinded(self) -> bool:
        """Whether systems or model scores were seen; whoever settled a disagreement saw people's grades."""
        return self.blind is False and not (self.source or "").endswith(SETTLING)


async def anchor_texts(db: Database, project_id: int, name: str) -> tuple[AnchorText, ...]:
    """Every text that the set's anchors show, by item; those known without a text have none here."""
    set_id = content_id(project_id, "anchor set", name)
    return await db.read(lambda c: _texts(c, set_id))


async def anchor_grades(
    db: Database, project_id: int, name: str, *, version: int | None = None, but_not: int | None = None
) -> tuple[AnchorGrade, ...]:
    """Every grade of the set, at its newest version unless another is asked for; by item and annotator.

    With ``but_not`` only those that stood in the one version and not in that other.
    """
    set_id = content_id(project_id, "anchor set", name)
    return await db.read(lambda c: _grades(c, set_id, version, but_not))


async def shown_grades(
    db: Database, project_id: int, name: str, *, version: int | None = None
) -> tuple[AnchorGrade, ...]:
    """As `anchor_grades`, each about the answers whose texts a person would be shown."""
    set_id = content_id(project_id, "anchor set", name)

    def read(connection: Connection) -> tuple[AnchorGrade, ...]:
        found = _grades(connection, set_id, version, None)
        named = {key for one in found for key in (one.answer_id, one.other_answer_id) if key is not None}
        meant = meant_answers(connection, named)
        return tuple(
            replace(
                one,
                answer_id=meant.get(one.answer_id, one.answer_id),
                other_answer_id=meant.get(one.other_answer_id or 0, one.other_answer_id),
            )
            for one in found
        )

    return await db.read(read)


def item_name(external_id: str | None, item_id: int) -> str:
    """The caller's id of an item, or a name made of ours."""
    return external_id if external_id is not None else show_id("item", item_id)


def members_at(version: int | None) -> tuple[Any, ...]:
    """Conditions on human verdicts: members at that version (None: the newest)."""
    h = human_verdicts.c
    if version is None:
        return (h.removed_in.is_(None),)
    return (h.added_in <= version, h.removed_in.is_(None) | (h.removed_in > version))


def _texts(connection: Connection, set_id: int) -> tuple[AnchorText, ...]:
    h = human_verdicts.c
    rows = connection.execute(
        select(h.item_id, h.answer_id, h.other_answer_id)
        .where(h.anchor_set_id == set_id, h.removed_in.is_(None))
        .distinct()
    ).all()
    item_ids = sorted({row.item_id for row in rows})
    named = {one for row in rows for one in row[1:] if one is not None}
    meant = meant_answers(connection, named)
    answer_ids = sorted({meant.get(one, one) for one in named})
    about = connection.execute(select(items).where(is_one_of(connection, items.c.id, item_ids))).all()
    names = {row.id: item_name(row.external_id, row.id) for row in about}
    wanted = [
        (row.id, field, text_id)
        for row in about
        for field, text_id in (
            ("prompt", row.prompt_text_id),
            ("context", row.context_text_id),
            ("reference", row.reference_text_id),
        )
        if text_id is not None
    ]
    a = answers.c
    said = connection.execute(
        select(a.item_id, a.text_id, systems.c.name)
        .join(systems, systems.c.id == a.system_id)
        .where(is_one_of(connection, a.id, answer_ids), a.text_id.is_not(None))
    )
    wanted += [(row.item_id, f"answer of {row.name}", row.text_id) for row in said]
    ids = sorted({text_id for _, _, text_id in wanted})
    bodies = {
        row.id: bytes(row.body).decode("utf-8", "replace")
        for row in connection.execute(
            select(texts.c.id, texts.c.body).where(is_one_of(connection, texts.c.id, ids))
        )
    }
    found = [AnchorText(item, names[item], field, bodies[text_id]) for item, field, text_id in wanted]
    return tuple(sorted(found, key=lambda one: (one.item, one.field)))


def _grades(
    connection: Connection, set_id: int, version: int | None, but_not: int | None
) -> tuple[AnchorGrade, ...]:
    h, v = human_verdicts.c, anchor_set_versions
    others = systems.alias()
    query = (
        select(
            h.id, h.item_id, items.c.external_id, systems.c.name.label("system"),
            others.c.name.label("other_system"), h.answer_id, h.other_answer_id,
            criteria.c.name.label("criterion"), annotators.c.name.label("annotator"),
            annotators.c.type.label("annotator_type"), h.value, h.source, h.blind, h.inclusion_probability,
            h.graded_at, v.c.created_at.label("born"),
        )
        .select_from(human_verdicts)
        .join(items, items.c.id == h.item_id)
        .join(systems, systems.c.id == h.system_id)
        .outerjoin(others, others.c.id == h.other_system_id)
        .join(criteria, criteria.c.id == h.criterion_id)
        .join(annotators, annotators.c.id == h.annotator_id)
        .join(anchor_sets, anchor_sets.c.id == h.anchor_set_id)
        .join(v, (v.c.anchor_set_id == h.anchor_set_id) & (v.c.version == h.added_in))
        .where(h.anchor_set_id == set_id, *members_at(version))
    )  # fmt: skip
    if but_not is not None:
        query = query.where(not_(and_(*members_at(but_not))))
    found = [
        AnchorGrade(
            id=row.id,
            item_id=row.item_id,
            item=item_name(row.external_id, row.item_id),
            system=row.system,
            other_system=row.other_system,
            answer_id=row.answer_id,
            other_answer_id=row.other_answer_id,
            criterion=row.criterion,
            annotator=row.annotator,
            annotator_type=row.annotator_type,
            value=row.value,
            source=row.source,
            blind=row.blind,
            inclusion_probability=row.inclusion_probability,
            graded_at=maybe_from_ms(row.graded_at),
            born=from_ms(row.born),
        )
        for row in connection.execute(query)
    ]
    return tuple(sorted(found, key=lambda one: (one.item, one.system, one.criterion, one.annotator)))
