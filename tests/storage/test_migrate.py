import asyncio
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from app.storage.database import Database
from app.storage.migrate import (
    DatabaseUnusable,
    check,
    current_revision,
    differences,
    downgrade,
    head_revision,
    on_database,
    upgrade,
)
from app.storage.tables import metadata
from tests.conftest import PostgreSQL
from tests.running_service import free_port


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


async def test_a_database_is_usable_empty_and_migrated_but_not_with_the_schema_of_a_newer_version(
    unmigrated_database_url: str,
):
    url = unmigrated_database_url
    await check(url)
    await upgrade(url)
    await check(url)
    await on_database(url, lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(DatabaseUnusable, match="its schema '9999' is none of this version's"):
        await check(url)


async def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path):
    (tmp_path / "letter.db").write_text("Dear all, " * 100)
    for path, why in ((tmp_path / "letter.db", "not a database"), (tmp_path, "unable to open")):
        with pytest.raises(DatabaseUnusable, match=why):
            await check(f"sqlite:///{path}")


@pytest.mark.postgresql
async def test_a_server_that_does_not_let_us_in_is_told_in_its_words_without_the_password(
    postgresql_server: PostgreSQL,
):
    with pytest.raises(DatabaseUnusable, match="does not exist") as caught:
        await check(postgresql_server.url_of("venire_nowhere"))
    assert "<class" not in str(caught.value)
    nobody = f"postgresql://someone:secret@127.0.0.1:{free_port()}/venire"
    with pytest.raises(DatabaseUnusable, match="onnect") as caught:
        await check(nobody)
    assert "secret" not in str(caught.value)
