import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, func, insert, select
from sqlalchemy.exc import IntegrityError

from app.storage.database import Database, read_url, sqlite_engine
from app.storage.statements import Insert
from app.storage.tables import metadata, projects
from app.storage.writer import Writer, WriterClosed

PROJECTS = Insert(projects, ("id", "name", "policy", "created_at"))


def project_row(number: int, name: str | None = None) -> tuple[Any, ...]:
    return (number, name or f"project {number}", "{}", 0)


async def count(db: Database, table: Table) -> int:
    return await db.read(lambda c: c.execute(select(func.count()).select_from(table)).scalar_one())


class Counting:
    """Transactions on a SQLite file that count themselves and take their time."""

    def __init__(self, path: Path) -> None:
        self.engine = sqlite_engine(read_url(f"sqlite:///{path}"))
        self.transactions = 0
        with self.engine.begin() as connection:
            metadata.create_all(connection)

    async def transact(self, work: Callable[[Connection], Any]) -> Any:
        self.transactions += 1
        await asyncio.sleep(0.02)

        def run() -> Any:
            with self.engine.begin() as connection:
                return work(connection)

        return await asyncio.to_thread(run)

    def names(self) -> list[str]:
        with self.engine.begin() as connection:
            return list(connection.execute(select(projects.c.name).order_by(projects.c.id)).scalars())


@pytest.fixture
async def counting(tmp_path: Path) -> AsyncIterator[Counting]:
    made = Counting(tmp_path / "writer.db")
    yield made
    made.engine.dispose()


async def test_what_queued_while_a_commit_ran_is_committed_together(counting: Counting):
    writer = Writer(counting.transact)
    writer.start()
    await asyncio.gather(*(writer.submit({PROJECTS: [project_row(number)]}) for number in range(1, 101)))
    await writer.close()
    assert len(counting.names()) == 100
    assert counting.transactions <= 2


async def test_a_lone_submission_does_not_wait_for_others(counting: Counting):
    writer = Writer(counting.transact)
    writer.start()
    await asyncio.wait_for(writer.submit({PROJECTS: [project_row(1)]}), 30)
    assert counting.transactions == 1
    await writer.close()


async def test_closing_commits_what_is_queued_and_takes_no_more(counting: Counting):
    writer = Writer(counting.transact)
    writer.start()
    waiting = [
        asyncio.ensure_future(writer.submit({PROJECTS: [project_row(number)]})) for number in range(1, 21)
    ]
    await asyncio.sleep(0)
    await writer.close()
    await asyncio.gather(*waiting)
    assert len(counting.names()) == 20
    with pytest.raises(WriterClosed):
        await writer.submit({PROJECTS: [project_row(99)]})


async def test_rows_of_a_caller_that_went_away_are_committed_all_the_same(counting: Counting):
    writer = Writer(counting.transact)
    writer.start()
    leaving = asyncio.ensure_future(writer.submit({PROJECTS: [project_row(1)]}))
    staying = asyncio.ensure_future(writer.submit({PROJECTS: [project_row(2)]}))
    await asyncio.sleep(0.005)
    leaving.cancel()
    await staying
    await writer.close()
    assert counting.names() == ["project 1", "project 2"]


async def test_a_bad_submission_fails_alone(db: Database):
    results = await asyncio.gather(
        db.submit({PROJECTS: [project_row(1)]}),
        db.submit({PROJECTS: [project_row(2), project_row(3, name="project 1")]}),  # the name is taken
        db.submit({PROJECTS: [project_row(4)]}),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), IntegrityError, type(None)]
    names = await db.read(lambda c: set(c.execute(select(projects.c.name)).scalars()))
    assert names == {"project 1", "project 4"}


async def test_a_function_that_raises_takes_nothing_with_it(db: Database):
    def fine(number: int) -> Callable[[Connection], int]:
        def work(connection: Connection) -> int:
            connection.execute(insert(projects).values(id=number, name=f"{number}", policy="", created_at=0))
            return number

        return work

    def broken(connection: Connection) -> int:
        fine(2)(connection)
        raise LookupError("on purpose")

    results = await asyncio.gather(
        db.write(fine(1)),
        db.write(broken),
        db.submit({PROJECTS: [project_row(3, name="3")]}),
        db.write(fine(4)),
        return_exceptions=True,
    )
    assert results[0] == 1
    assert isinstance(results[1], LookupError)
    assert results[3] == 4
    names = await db.read(lambda c: set(c.execute(select(projects.c.name)).scalars()))
    assert names == {"1", "3", "4"}


async def test_hundreds_of_submissions_at_once_are_all_there(db: Database):
    await asyncio.gather(*(db.submit({PROJECTS: [project_row(number)]}) for number in range(1, 501)))
    assert await count(db, projects) == 500


def test_rows_given_in_another_order_than_the_table_has_are_refused(tmp_path: Path):
    mixed = Insert(projects, ("name", "id", "policy", "created_at"))
    engine = sqlite_engine(read_url(f"sqlite:///{tmp_path / 'x.db'}"))
    with engine.begin() as connection:
        metadata.create_all(connection)
        with pytest.raises(AssertionError, match="table's order"):
            mixed.execute(connection, [("a", 1, "", 0)])
    engine.dispose()
