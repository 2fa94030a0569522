import asyncio

from sqlalchemy import inspect

from app.storage.database import Database
from app.storage.migrate import (
    current_revision,
    differences,
    downgrade,
    head_revision,
    on_database,
    upgrade,
)
from app.storage.tables import metadata


async def table_names(url: str) -> set[str]:
    return await on_database(url, lambda c: set(inspect(c).get_table_names()))


async def test_an_empty_database_becomes_exactly_what_the_tables_say(unmigrated_database_url: str):
    url = unmigrated_database_url
    assert await current_revision(url) is None
    await upgrade(url)
    assert await current_revision(url) == head_revision()
    assert await table_names(url) == set(metadata.tables) | {"alembic_version"}
    assert await differences(url) == []


async def test_upgrading_twice_or_from_several_processes_is_safe(unmigrated_database_url: str):
    url = unmigrated_database_url
    await asyncio.gather(*(upgrade(url) for _ in range(3)))
    await upgrade(url)
    async with Database(url) as db:
        await db.ping()


async def test_every_migration_can_be_taken_back(unmigrated_database_url: str):
    url = unmigrated_database_url
    await upgrade(url)
    await downgrade(url, "base")
    assert await table_names(url) == {"alembic_version"}
    await upgrade(url)
    assert await differences(url) == []
