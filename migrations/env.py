"""Alembic's entry: runs on the connection that `app.storage.migrate` passes, or on a URL of the command line.

By hand: ``alembic -x url=sqlite:///data/venire.db revision --autogenerate -m "..."``.
"""

import asyncio

from alembic import context
from sqlalchemy import Connection

from app.storage.migrate import on_database
from app.storage.tables import metadata
from app.storage.words import Words


def render_item(kind: str, item: object, _: object) -> str | bool:
    """Migrations speak of plain columns: they must not change when our types do."""
    return "sa.Text()" if kind == "type" and isinstance(item, Words) else False


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        render_item=render_item,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    url = context.get_x_argument(as_dictionary=True).get("url")
    asyncio.run(on_database(url or context.config.get_main_option("sqlalchemy.url"), run))
