"""Items that the service knows with their texts, to be graded without being sent again."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Select, select

from app.domain.items import Answer, Item
from app.storage import tables
from app.storage.catalog import item_id
from app.storage.database import Database


async def known_items(
    db: Database, project_id: int, external_ids: Sequence[str], *, systems: Collection[str] | None = None
) -> dict[str, Item]:
    """Those items by the caller's ids, with the newest answer of each system whose text is known.

    An item that is unknown, or whose prompt is, is left out. Strata stand with the item and are not read.
    """
    keys = {item_id(project_id, external): external for external in external_ids}

    def work(connection: Connection) -> dict[str, Item]:
        prompts = {row.id: row for row in connection.execute(_texts(project_id, list(keys)))}
        newest: dict[int, dict[str, Answer]] = {key: {} for key in prompts}
        for row in connection.execute(_answers(list(prompts), systems)):
            newest[row.item_id][row.name] = Answer(row.name, _decoded(row.body), row.family, row.model)
        return {
            keys[key]: Item(
                prompt=_decoded(row.prompt),
                answers=tuple(answer for _, answer in sorted(newest[key].items())),
                item_id=keys[key],
                context=None if row.context is None else _decoded(row.context),
                reference=None if row.reference is None else _decoded(row.reference),
            )
            for key, row in prompts.items()
        }

    return await db.read(work)


def _texts(project_id: int, ids: list[int]) -> Select[Any]:
    items = tables.items.c
    prompt, context, reference = (tables.texts.alias(name) for name in ("prompt", "context", "reference"))
    return (
        select(
            items.id,
            prompt.c.body.label("prompt"),
            context.c.body.label("context"),
            reference.c.body.label("reference"),
        )
        .join(prompt, prompt.c.id == items.prompt_text_id)
        .outerjoin(context, context.c.id == items.context_text_id)
        .outerjoin(reference, reference.c.id == items.reference_text_id)
        .where(items.project_id == project_id, items.id.in_(ids))
    )


def _answers(ids: list[int], systems: Collection[str] | None) -> Select[Any]:
    """Oldest first, so that the newest comes last."""
    answers, authors, texts = tables.answers.c, tables.systems.c, tables.texts.c
    query = (
        select(answers.item_id, authors.name, authors.family, authors.model, texts.body)
        .join_from(tables.answers, tables.systems, answers.system_id == authors.id)
        .join(tables.texts, answers.text_id == texts.id)
        .where(answers.item_id.in_(ids))
        .order_by(answers.created_at, answers.id)
    )
    return query if systems is None else query.where(authors.name.in_(systems))


def _decoded(body: bytes) -> str:
    return bytes(body).decode("utf-8", "surrogatepass")
