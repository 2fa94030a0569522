"""What tests share: an empty migrated database of each kind, and the recorded data sets."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from hypothesis import settings

from app.domain.projects import Project
from app.storage.database import Database
from app.storage.migrate import upgrade
from app.storage.projects import get_or_create_project

# CI judges a change by the same examples each time; on a developer's machine new ones are looked for. How
# long one takes says how busy the machine is, and nothing of the code.
settings.register_profile("venire", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("venire")

_DEFAULT_POSTGRESQL = "postgresql+asyncpg://postgres@127.0.0.1:5432/postgres"
_SHARED = Path(__file__).resolve().parents[2] / "shared"

BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]


class PostgreSQL:
    """A server on which tests may make databases of their own."""

    def __init__(self, url: str) -> None:
        self.url = url.replace("+asyncpg", "")

    def run(self, *statements: str, database: str | None = None) -> None:
        asyncio.run(self.run_async(*statements, database=database))

    async def run_async(self, *statements: str, database: str | None = None) -> None:
        connection = await asyncpg.connect(self.url_of(database) if database else self.url, timeout=10)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    def url_of(self, database: str) -> str:
        return f"{self.url.rpartition('/')[0]}/{database}"


@pytest.fixture(scope="session")
def postgresql_server() -> PostgreSQL:
    server = PostgreSQL(os.environ.get("VENIRE_TEST_POSTGRESQL", _DEFAULT_POSTGRESQL))
    try:
        server.run("SELECT 1")
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        message = f"no PostgreSQL for tests ({error}); start one or set VENIRE_TEST_POSTGRESQL"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return server


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    asyncio.run(upgrade(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def _migrated_postgresql(postgresql_server: PostgreSQL) -> Iterator[str]:
    name = f"venire_test_{os.getpid()}"  # one per xdist worker
    postgresql_server.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}")
    asyncio.run(upgrade(postgresql_server.url_of(name)))
    yield name
    postgresql_server.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


EMPTY = """
DO $$ BEGIN
  EXECUTE (SELECT 'TRUNCATE ' || string_agg(quote_ident(tablename), ', ')
           FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version');
  INSERT INTO ledger (id, newest) VALUES (1, 0);
END $$
"""


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a migrated database without rows; the test runs once per kind of database."""
    if request.param == "sqlite":
        path = tmp_path / "venire.db"
        shutil.copyfile(request.getfixturevalue("_migrated_sqlite"), path)
        return f"sqlite:///{path}"
    name = request.getfixturevalue("_migrated_postgresql")
    server: PostgreSQL = request.getfixturevalue("postgresql_server")
    server.run(EMPTY, database=name)
    return server.url_of(name)


@pytest.fixture(params=BACKENDS)
def unmigrated_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database without any tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'unmigrated.db'}"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql_server")
    name = f"venire_unmigrated_{os.getpid()}"
    server.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}")
    yield server.url_of(name)
    server.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """An open, migrated, empty database of each kind."""
    async with Database(database_url) as database:
        yield database


@pytest.fixture
def now() -> datetime:
    """The moment at which tests take place."""
    return datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
async def project(db: Database, now: datetime) -> Project:
    """The project ``default`` in `db`."""
    return await get_or_create_project(db, now=now)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded verdicts and human grades beside this project."""
    path = _SHARED / "data"
    if not path.is_dir():
        pytest.skip("the recorded data sets (../shared/data) are not here")
    return path
