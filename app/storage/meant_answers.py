"""Which text is meant by an answer that was named by its system alone."""

from collections.abc import Collection

from sqlalchemy import Connection, func, select

from app.storage.columns import is_one_of
from app.storage.tables import answers


def meant_answers(connection: Connection, ids: Collection[int]) -> dict[int, int]:
    """Text-less answer -> the only answer with a text of that system to that item, where there is one."""
    bare, texted = answers.alias(), answers.alias()
    same = (texted.c.item_id == bare.c.item_id) & (texted.c.system_id == bare.c.system_id)
    query = (
        select(bare.c.id, func.min(texted.c.id))
        .join(texted, same & texted.c.text_id.is_not(None))
        .where(is_one_of(connection, bare.c.id, sorted(ids)), bare.c.text_id.is_(None))
        .group_by(bare.c.id)
        .having(func.count() == 1)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def bare_answers(connection: Connection, ids: Collection[int]) -> dict[int, int]:
    """Answer with a text -> the text-less one of that system to that item, where there is one."""
    bare, texted = answers.alias(), answers.alias()
    same = (texted.c.item_id == bare.c.item_id) & (texted.c.system_id == bare.c.system_id)
    query = (
        select(texted.c.id, bare.c.id)
        .join(bare, same & bare.c.text_id.is_(None))
        .where(is_one_of(connection, texted.c.id, sorted(ids)), texted.c.text_id.is_not(None))
    )
    return {row[0]: row[1] for row in connection.execute(query)}
