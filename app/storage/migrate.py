"""The schema, brought up to date by the migrations of this version of the service."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from app.storage.database import UnsupportedDatabase, read_url, sqlite_engine
from app.storage.tables import metadata

T = TypeVar("T")

_MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
_TURN = 0x56454E495245  # one process at a time migrates a PostgreSQL database


class DatabaseUnusable(Exception):
    """A database that cannot be opened, or whose schema this version does not know; the words say why."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"the database {url} cannot be used: {why}")
        self.url, self.why = url, why


async def check(database_url: str) -> None:
    """Raise `DatabaseUnusable` if the database cannot be opened or was made by another version."""
    try:
        revision = await current_revision(database_url)
    except UnsupportedDatabase as error:
        raise DatabaseUnusable(error.url, error.why) from error
    except (OSError, DBAPIError) as error:
        raise DatabaseUnusable(shown_url(database_url), _in_words(error)) from error
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision is not None and revision not in known:
        why = f"its schema {revision!r} is none of this version's; was it made by a newer one?"
        raise DatabaseUnusable(shown_url(database_url), why)


def shown_url(database_url: str) -> str:
    """The address as people know it: without driver, password and options."""
    url = read_url(database_url)
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)


def _in_words(error: OSError | DBAPIError) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    said = str(cause).rpartition(">: ")[2]  # the driver's own class in front tells nothing
    return said or type(cause).__name__


async def upgrade(database_url: str, revision: str = "head") -> None:
    """Bring the schema to ``revision``; safe to run twice and from several processes at once."""

    def run(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_TURN)))
        command.upgrade(_config(connection), revision)

    await on_database(database_url, run)


async def downgrade(database_url: str, revision: str) -> None:
    """Take the schema back to ``revision``; for tests and for going back one release."""
    await on_database(database_url, lambda connection: command.downgrade(_config(connection), revision))


async def current_revision(database_url: str) -> str | None:
    """The revision the database is at; None if it is empty."""
    return await on_database(database_url, lambda c: MigrationContext.configure(c).get_current_revision())


def head_revision() -> str:
    """The revision this version of the service needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None  # there is at least the first migration
    return head


async def differences(database_url: str) -> list[str]:
    """What a new migration would change: empty when tables and migrations agree."""

    def compare(connection: Connection) -> list[str]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [repr(change) for change in compare_metadata(context, metadata)]

    return await on_database(database_url, compare)


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config


async def on_database(database_url: str, work: Callable[[Connection], T]) -> T:
    """Run ``work`` in one transaction of a database whose schema may not be there yet."""
    url = read_url(database_url)
    if url.get_backend_name() == "sqlite":

        def run() -> T:
            Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
            engine = sqlite_engine(url, foreign_keys=False)
            try:
                with engine.begin() as connection:
                    return work(connection)
            finally:
                engine.dispose()

        return await asyncio.to_thread(run)
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()
