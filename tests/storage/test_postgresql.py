"""Connections that break, before, in and after a commit: a real server behind a wire that is cut on cue."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Connection, make_url, text

from app.domain.problems import Unavailable
from app.storage import postgresql
from app.storage.database import Database
from app.storage.passing import is_passing
from app.storage.statements import Insert
from app.storage.tables import projects

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
]

PROJECTS = Insert(projects, ("id", "name", "policy", "created_at"))


@dataclass
class Wire:
    """Carries bytes between clients and the server; ``cut`` decides on what a client sends.

    It answers None (carry on), "before" (cut, and the server never hears it) or "after" (the server hears it,
    the client hears nothing any more).
    """

    host: str
    port: int
    cut: Callable[[bytes], str | None] = lambda sent: None
    cuts: int = 0
    refuse: bool = False
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            writer.close()
            return
        there, back = await asyncio.open_connection(self.host, self.port)
        self._open |= {back, writer}
        answers = asyncio.ensure_future(self._carry(there, writer))
        with contextlib.suppress(ConnectionError):
            while sent := await reader.read(65536):
                when = self.cut(sent)
                if when == "before":
                    self.cuts += 1
                    break
                if when == "after":
                    self.cuts += 1
                    answers.cancel()
                    back.write(sent)
                    await back.drain()
                    await there.read(1)  # the server has done it
                    break
                back.write(sent)
                await back.drain()
        answers.cancel()
        for one in (back, writer):
            one.close()

    async def close(self) -> None:
        """End every connection, so that the server lets go of what they held."""
        for one in self._open:
            one.close()
        for one in self._open:
            with contextlib.suppress(ConnectionError):
                await one.wait_closed()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture
async def wire(database_url: str) -> AsyncIterator[tuple[Wire, str]]:
    """The wire, and the URL of the database behind it."""
    url = make_url(database_url)
    wire = Wire(url.host or "127.0.0.1", url.port or 5432)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    behind = url.set(host="127.0.0.1", port=server.sockets[0].getsockname()[1], query={"ssl": "disable"})
    yield wire, behind.render_as_string(hide_password=False)
    server.close()
    await wire.close()


def once_at(word: bytes, when: str, wire: Wire) -> Callable[[bytes], str | None]:
    return lambda sent: when if word in sent and wire.cuts == 0 else None


async def count(db: Database, name: str) -> int:
    found = await db.read(
        lambda c: c.execute(text("SELECT count(*) FROM projects WHERE name = :n"), {"n": name}).scalar_one()
    )
    return int(found)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_commit_whose_answer_is_lost_is_written_once(wire: tuple[Wire, str], when: str):
    cutter, url = wire
    async with Database(url) as db:
        cutter.cut = once_at(b"COMMIT", when, cutter)
        await db.submit({PROJECTS: [(7, "once", "{}", 0)]})
        assert cutter.cuts == 1
        assert await count(db, "once") == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_function_that_breaks_off_is_run_again_and_returns_what_it_did(
    wire: tuple[Wire, str], when: str
):
    cutter, url = wire

    def work(connection: Connection) -> str:
        connection.execute(
            text("INSERT INTO projects (id, name, policy, created_at) VALUES (8, 'mine', '{}', 0)")
        )
        return "done"

    async with Database(url) as db:
        cutter.cut = once_at(b"'mine'", when, cutter)
        assert await db.write(work) == "done"
        assert cutter.cuts == 1
        assert await count(db, "mine") == 1


async def test_many_that_share_a_commit_all_get_their_answer(wire: tuple[Wire, str]):
    cutter, url = wire
    async with Database(url) as db:
        cutter.cut = once_at(b"COMMIT", "after", cutter)
        await asyncio.gather(*(db.submit({PROJECTS: [(100 + k, f"p{k}", "{}", 0)]}) for k in range(30)))
        assert cutter.cuts == 1
        stored = await db.read(
            lambda c: c.execute(text("SELECT count(*) FROM projects WHERE id >= 100")).scalar_one()
        )
        assert stored == 30


async def test_a_read_that_breaks_off_is_read_again(wire: tuple[Wire, str]):
    cutter, url = wire
    async with Database(url) as db:
        await db.submit({PROJECTS: [(9, "there", "{}", 0)]})
        cutter.cut = once_at(b"SELECT count", "after", cutter)
        assert await count(db, "there") == 1
        assert cutter.cuts == 1


async def test_a_server_that_stays_away_is_said_to_be_unavailable_to_all_that_wait(
    wire: tuple[Wire, str], monkeypatch: pytest.MonkeyPatch
):
    cutter, url = wire
    monkeypatch.setattr(postgresql, "PATIENCE_S", 0.5)
    async with Database(url) as db:
        cutter.refuse, cutter.cut = True, lambda sent: "before"
        results = await asyncio.gather(
            *(db.submit({PROJECTS: [(200 + k, f"q{k}", "{}", 0)]}) for k in range(20)), return_exceptions=True
        )
        assert [type(one) for one in results] == [Unavailable] * 20
        with pytest.raises(Unavailable):
            await db.ping()
        cutter.refuse, cutter.cut = False, lambda sent: None
        await db.submit({PROJECTS: [(300, "back", "{}", 0)]})
        assert await count(db, "back") == 1


async def test_what_the_database_refuses_is_not_tried_again(wire: tuple[Wire, str]):
    _, url = wire
    tries = 0

    def work(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        connection.execute(text("SELECT 1 FROM no_such_table"))

    async with Database(url) as db:
        with pytest.raises(Exception, match="no_such_table") as refused:
            await db.write(work)
    assert tries == 1
    assert not is_passing(refused.value)
