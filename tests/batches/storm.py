"""A job through a storm: faults all along, a provider that is dead for a while, a database that goes away.

A call whose reply was reset or cut may have been billed: what it may have cost is suspect. The provider here
bills only what it sends whole.
"""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx2

from tests.batches.conftest import lines, send
from tests.batches.killing import DUPLICATES, SEATS
from tests.batches.running_worker import worker_process
from tests.endtoend.rosters import PRICE_INPUT, PRICE_OUTPUT, PROTOCOLS, judge, settings_for
from tests.endtoend.test_killed import read_rows
from tests.running_service import POINTWISE, service_process

# One kind of fault per judge, each for one call in five.
FAULTS = {
    "openai-1": "429;retry-after=0.05",
    "openai-2": "500",
    "openai-responses-1": "reset",
    "openai-responses-2": "prose",
    "anthropic-1": "529",
    "anthropic-2": "cut",
}
_WORST_USD = 0.03  # one call's: the longest reply at $10 a million tokens, a token per byte of a short prompt
_UNEXPLAINED = "SELECT count(*) FROM replies WHERE unscored >= 0 AND (detail IS NULL OR detail = '')"
_REASONS = "SELECT unscored, count(*) FROM replies WHERE unscored >= 0 GROUP BY unscored"


@dataclass(frozen=True)
class Storm:
    """``dead_s`` the provider answers nobody, ``away_s`` the database lets nobody in."""

    items: int
    dead_s: float
    away_s: float
    rate: float = 0.2
    latency_ms: float = 20.0
    places: int = 64


@dataclass(frozen=True)
class Outcome:
    """What was found."""

    status: str
    items: int
    graded: int
    seats: int
    unanswered: int
    unscored: int
    unexplained: int
    duplicates: int
    calls: int
    attempts: int
    billed_usd: float
    spent_usd: float
    suspect_usd: float
    seconds: float

    def check(self, storm: Storm) -> list[str]:
        """What of the promises was not kept."""
        promises = {
            f"the batch ends as done, not {self.status}": self.status == "done",
            f"every item is graded: {self.graded}": self.graded == self.items == storm.items,
            f"no seat is without a reply: {self.unanswered}": self.unanswered == 0,
            f"every unscored seat is explained: {self.unexplained}": self.unexplained == 0,
            f"no verdict is there twice: {self.duplicates}": self.duplicates == 0,
            f"every call is on record: {self.calls} and {self.attempts}": self.calls == self.attempts,
            f"the cost is what was billed: {self.spent_usd} and {self.billed_usd}": abs(
                self.spent_usd - self.billed_usd
            )
            < 1e-9,
            f"only calls without word are suspect, at their worst: {self.suspect_usd}": 0
            < self.suspect_usd
            <= (self.attempts - self.seats) * _WORST_USD,
        }
        return [promise for promise, kept in promises.items() if not kept]


def weather(provider: str, storm: Storm, *, dead: bool) -> None:
    """Let calls fail as in a storm, or all of them."""
    for name, fault in FAULTS.items():
        faults = ["reset"] if dead else [f"{fault};rate={storm.rate}"]
        about = {"name": name, "behaviour": {"latency": storm.latency_ms}, "faults": faults}
        httpx2.post(f"{provider}/control/model", json=about).raise_for_status()


def run(
    storm: Storm,
    provider: str,
    folder: Path,
    database: str,
    away: Callable[[], AbstractContextManager[None]] | None = None,
) -> Outcome:
    """Send a batch into the storm and wait for its end; ``away`` is how the database goes, and comes back."""
    weather(provider, storm, dead=False)
    roster = [
        judge(name, protocol, protocol, name, provider, max_concurrency=500)
        for protocol in PROTOCOLS
        for name in (f"{protocol}-1", f"{protocol}-2")
    ]
    places = str(storm.places)
    settings = settings_for(folder, roster, VENIRE_DATABASE_URL=database, VENIRE_WORKER_CALLS=places)
    with service_process(settings) as service, worker_process(settings) as worker:
        with httpx2.Client(base_url=service.url, timeout=120) as client:
            client.put("/rubrics/point", json=POINTWISE)
            batch = send(client, lines(storm.items), budget_usd=1000.0)
            begun = time.monotonic()
            _until(client, batch, storm.items // 3)
            weather(provider, storm, dead=True)
            time.sleep(storm.dead_s)
            weather(provider, storm, dead=False)
            _until(client, batch, storm.items // 2)
            with away() if away else refusing(database):
                time.sleep(storm.away_s)
            state = _until(client, batch, storm.items)
            seconds = time.monotonic() - begun
        worker.stop()
    return _look(state, provider, database, seconds)


@contextlib.contextmanager
def refusing(database: str) -> Iterator[None]:
    """A database that lets nobody in, and whose connections are cut; a SQLite file whose lock is held."""
    if database.startswith("sqlite"):
        connection = sqlite3.connect(database.removeprefix("sqlite:///"), timeout=30, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")
            connection.close()
        return
    server, _, name = database.rpartition("/")
    refuse = f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    _in_thread(_execute(f"{server}/postgres", refuse, cut))
    try:
        yield
    finally:
        _in_thread(_execute(f"{server}/postgres", f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))


def _in_thread(work: Any) -> None:
    thread = threading.Thread(target=lambda: asyncio.run(work))
    thread.start()
    thread.join()


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _until(client: httpx2.Client, batch: dict[str, Any], items: int) -> dict[str, Any]:
    """The batch once so many items are settled, or it stands still."""
    deadline = time.monotonic() + 3600
    while time.monotonic() < deadline:
        response = client.get(f"/batches/{batch['batch_id']}")
        if response.status_code == 200:
            state: dict[str, Any] = response.json()
            settled = state["items"] - state["counts"]["left"] >= items
            if state["status"] != "running" or (settled and items < state["items"]):
                return state
        time.sleep(0.05)
    raise AssertionError("the batch does not come to an end")


def _look(state: dict[str, Any], provider: str, database: str, seconds: float) -> Outcome:
    control = httpx2.get(f"{provider}/control").json()
    billed = sum(
        (count.get("input", 0) * PRICE_INPUT + count.get("output", 0) * PRICE_OUTPUT) / 1e6
        for count in control["billed"].values()
    )
    seats, answered, graded = read_rows(database, SEATS)[0]
    return Outcome(
        status=state["status"],
        items=read_rows(database, "SELECT count(*) FROM batch_items")[0][0],
        graded=graded,
        seats=seats,
        unanswered=seats - answered,
        unscored=sum(count for _, count in read_rows(database, _REASONS)),
        unexplained=read_rows(database, _UNEXPLAINED)[0][0],
        duplicates=read_rows(database, DUPLICATES)[0][0],
        calls=sum(control["calls"].values()),
        attempts=int(read_rows(database, "SELECT sum(attempts) FROM replies")[0][0]),
        billed_usd=billed,
        spent_usd=state["budget"]["spent_usd"],
        suspect_usd=state["budget"]["suspect_usd"],
        seconds=seconds,
    )
