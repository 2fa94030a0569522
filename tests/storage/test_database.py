import asyncio
import sys
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from app.domain.projects import Project
from app.storage.database import Database, UnsupportedDatabase, read_url
from app.storage.migrate import upgrade
from app.storage.projects import get_or_create_project, list_projects
from app.storage.tables import processes, projects


@pytest.mark.parametrize(
    "given, driver",
    [
        ("sqlite:////tmp/a.db", "sqlite"),
        ("sqlite+aiosqlite:////tmp/a.db", "sqlite"),
        ("postgresql://me:secret@host/name", "postgresql+asyncpg"),
        ("postgresql+asyncpg://me@host/name", "postgresql+asyncpg"),
        ("postgres://me@host/name", "postgresql+asyncpg"),
    ],
)
def test_plain_urls_get_the_driver_we_use(given: str, driver: str):
    assert read_url(given).drivername == driver


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://host/name", "nonsense"])
def test_a_database_that_cannot_keep_the_promises_is_refused_in_words(url: str):
    with pytest.raises(UnsupportedDatabase):
        read_url(url)


def test_a_refusal_does_not_show_a_password():
    with pytest.raises(UnsupportedDatabase) as refused:
        read_url("mysql://me:secret@host/name")
    assert "secret" not in str(refused.value)


async def test_sqlite_is_durable_and_shared(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'deep' / 'down' / 'venire.db'}"
    await upgrade(url)
    async with Database(url) as db:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        set_to = await db.write(
            lambda c: [c.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() for pragma in pragmas]
        )
    assert set_to == ["wal", 2, 1, 10_000]


async def test_a_read_cannot_write(db: Database):
    with pytest.raises(DBAPIError, match=r"readonly|read-only"):
        await db.read(lambda c: c.execute(text("DELETE FROM projects")).rowcount)


async def test_a_read_sees_one_snapshot(db: Database, database_url: str, now: datetime):
    loop = asyncio.get_running_loop()
    other = Database(database_url)
    await other.open()

    def twice_with_a_write_between(connection: object) -> tuple[int, int]:
        count = text("SELECT count(*) FROM projects")
        first = connection.execute(count).scalar_one()  # type: ignore[attr-defined]
        if db.backend == "sqlite":  # here the read runs in a thread of its own
            asyncio.run_coroutine_threadsafe(get_or_create_project(other, "new", now=now), loop).result(10)
        second = connection.execute(count).scalar_one()  # type: ignore[attr-defined]
        return first, second

    first, second = await db.read(twice_with_a_write_between)
    assert first == second
    await other.close()


async def test_two_processes_share_one_database(db: Database, database_url: str, now: datetime):
    async with Database(database_url) as other:
        made = await asyncio.gather(
            *(get_or_create_project(one, f"p{k % 10}", now=now) for k in range(40) for one in (db, other))
        )
    assert len({project.id for project in made}) == 10
    assert len(await list_projects(db)) == 10


async def test_a_process_is_on_record_while_it_is_open(db: Database, database_url: str):
    async def on_record() -> set[int]:
        return await db.read(lambda c: set(c.execute(select(processes.c.id)).scalars()))

    async with Database(database_url) as other:
        assert await on_record() == {db.process_id, other.process_id}
    assert await on_record() == {db.process_id}


async def test_a_closed_database_says_so(database_url: str, now: datetime):
    db = Database(database_url)
    with pytest.raises(RuntimeError, match="not open"):
        await db.ping()
    async with db:
        await db.ping()
    with pytest.raises(RuntimeError, match="not open"):
        await get_or_create_project(db, now=now)


_ROOT = Path(__file__).resolve().parents[2]
_WRITE_UNTIL_KILLED = """
import asyncio, sys
from datetime import UTC, datetime
from app.storage.database import Database
from app.storage.statements import Insert
from app.storage.tables import projects

PROJECTS = Insert(projects, ("id", "name", "policy", "created_at"))

async def main():
    async with Database(sys.argv[1]) as db:
        async def client(k):
            for n in range(1_000_000):
                number = 1 + k + 100 * n
                await db.submit({PROJECTS: [(number, str(number), "{}", 0)]})
                print(number, flush=True)
        await asyncio.gather(*(client(k) for k in range(50)))

asyncio.run(main())
"""


async def test_what_was_acknowledged_survives_a_kill(db: Database, database_url: str):
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _WRITE_UNTIL_KILLED,
        database_url,
        cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    acknowledged = [int(await child.stdout.readline()) for _ in range(500)]
    child.kill()
    rest, _ = await child.communicate()
    acknowledged += [int(line) for line in rest.split(b"\n")[:-1]]
    stored = await db.read(lambda c: set(c.execute(select(projects.c.id)).scalars()))
    assert len(acknowledged) >= 500
    assert set(acknowledged) <= stored


async def test_a_project_is_made_once(db: Database, project: Project, now: datetime):
    again = await asyncio.gather(*(get_or_create_project(db, now=now) for _ in range(5)))
    assert set(again) == {project}


async def test_ids_of_one_moment_differ(db: Database, now: datetime):
    drawn = [db.new_id(now) for _ in range(20_000)]  # at random, some fifty would be there twice
    assert len(set(drawn)) == len(drawn)
