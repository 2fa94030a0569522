"""The texts of items and answers, and whose they are, by their ids."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from app.storage.columns import is_one_of
from app.storage.database import Database
from app.storage.tables import answers, grades, items, systems, texts


@dataclass(frozen=True, slots=True)
class ItemTexts:
    """What an item asks; ``external_id`` is the caller's own id of it."""

    external_id: str | None
    prompt: str | None
    context: str | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class AnswerText:
    """An answer with its author."""

    item_id: int
    system: str
    text: str | None


@dataclass(frozen=True, slots=True)
class Texts:
    """By id."""

    items: dict[int, ItemTexts]
    answers: dict[int, AnswerText]


async def load_texts(db: Database, answer_ids: Sequence[int]) -> Texts:
    """The answers of these ids with their items."""
    return await db.read(lambda c: _read(c, list(dict.fromkeys(answer_ids))))


async def answers_known(db: Database, project_id: int, answer_ids: Sequence[int]) -> frozenset[int]:
    """Those of the ids that are answers of the project."""
    query = select(answers.c.id).where(answers.c.project_id == project_id, answers.c.id.in_(list(answer_ids)))
    return await db.read(lambda c: frozenset(c.execute(query).scalars()))


async def grades_of_answers(
    db: Database, project_id: int, item_id: int, answer_ids: Sequence[int], *, most: int = 50
) -> tuple[int, ...]:
    """The newest grades of an item that judged all of these answers, by id."""
    g = grades.c
    query = (
        select(g.id, g.answer_ids)
        .where(g.item_id == item_id, g.project_id == project_id)
        .order_by(g.id.desc())
        .limit(most)
    )
    wanted = set(answer_ids)
    return await db.read(
        lambda c: tuple(row.id for row in c.execute(query) if wanted <= set(json.loads(row.answer_ids)))
    )


def _read(connection: Connection, ids: list[int]) -> Texts:
    rows = connection.execute(
        select(answers.c.id, answers.c.item_id, systems.c.name, texts.c.body)
        .join_from(answers, systems, systems.c.id == answers.c.system_id)
        .outerjoin(texts, texts.c.id == answers.c.text_id)
        .where(is_one_of(connection, answers.c.id, ids))
    )
    found = {row.id: AnswerText(row.item_id, row.name, _decoded(row.body)) for row in rows}
    prompt, context, reference = (texts.alias(name) for name in ("prompt", "context", "reference"))
    about = connection.execute(
        select(items.c.id, items.c.external_id, prompt.c.body, context.c.body, reference.c.body)
        .outerjoin_from(items, prompt, prompt.c.id == items.c.prompt_text_id)
        .outerjoin(context, context.c.id == items.c.context_text_id)
        .outerjoin(reference, reference.c.id == items.c.reference_text_id)
        .where(is_one_of(connection, items.c.id, list({one.item_id for one in found.values()})))
    )
    return Texts({row[0]: ItemTexts(row[1], *map(_decoded, row[2:])) for row in about}, found)


def _decoded(body: Any) -> str | None:
    return None if body is None else bytes(body).decode("utf-8", "surrogatepass")
