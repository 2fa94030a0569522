"""A service that is killed in the middle of a thousand grades loses none that it answered.

Nothing of the service runs after SIGKILL. What its database then holds is compared with what callers were
told and with the calls that reached the provider, whose server outlives it.
"""

import asyncio
import contextlib
import json
import os
import re
import sqlite3
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from tests.conftest import BACKENDS, PostgreSQL
from tests.endtoend.rosters import PROTOCOLS, judge, settings_for
from tests.provider_server.fixture import provider_process
from tests.running_service import POINTWISE, ServiceProcess, service_process

GRADES, ANSWERED_BEFORE, AT_ONCE = 1000, 250, 128
LATENCY_MS = 60
SLOW, SLOW_MS = "anthropic-3", 30_000  # one judge of twelve: whenever the kill comes, it is at work


def set_latency(provider: str, model: str, milliseconds: int) -> None:
    """From now on the provider takes its time for this model."""
    body = {"name": model, "behaviour": {"latency": milliseconds}}
    httpx2.post(f"{provider}/control/model", json=body, timeout=30).raise_for_status()


@dataclass
class Told:
    """What callers heard before the connection broke."""

    answered: list[dict[str, Any]] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    broken: int = 0


async def _grade_until_killed(service: ServiceProcess) -> Told:
    """Every fifth caller does not wait; after enough answers the service is killed at a blow."""
    told, places = Told(), asyncio.Semaphore(AT_ONCE)
    limits = httpx2.Limits(max_connections=AT_ONCE)
    async with httpx2.AsyncClient(base_url=service.url, timeout=60, limits=limits) as client:

        async def one(k: int) -> None:
            body = {
                "rubric": "point",
                "item_id": f"item-{k}",
                "prompt": f"Question number <{k}>?",
                "answers": [{"system": "bot", "text": f"Answer {k}."}],
                "wait": k % 5 != 0,
            }
            try:
                async with places:
                    response = await client.post("/grade", json=body)
            except httpx2.TransportError:
                told.broken += 1
                return
            if response.status_code == 202:
                told.accepted.append(response.json()["grade_id"])
            elif response.status_code == 200:
                told.answered.append(response.json())
            else:
                told.refused.append(response.text)
            if len(told.answered) >= ANSWERED_BEFORE and service.process.poll() is None:
                service.kill()

        await asyncio.gather(*(one(k) for k in range(GRADES)))
    return told


def read_rows(url: str, query: str) -> list[Any]:
    """What the database answers, read behind the service's back."""
    if not url.startswith("sqlite"):
        return asyncio.run(_rows_of_postgresql(url, query))
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        return list(connection.execute(query))


async def _rows_of_postgresql(url: str, query: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row.values()) for row in await connection.fetch(query)]
    finally:
        await connection.close()


SEATS = """
SELECT g.id, i.external_id, g.status, v.name, s.position
FROM seats s JOIN grades g ON g.id = s.grade_id JOIN items i ON i.id = g.item_id
JOIN judge_versions v ON v.id = s.judge_version_id
"""
VERDICTS = """
SELECT i.external_id, v.name, d.value FROM verdicts d JOIN items i ON i.id = d.item_id
JOIN judge_versions v ON v.id = d.judge_version_id WHERE d.value IS NOT NULL
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_was_answered_is_there_and_what_was_asked_is_on_record(
    backend: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    database = f"sqlite:///{tmp_path / 'venire.db'}"
    if backend == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql_server")
        name = f"venire_killed_{os.getpid()}"
        server.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}")
        request.addfinalizer(lambda: server.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        database = server.url_of(name)
    with provider_process(keep=10 * GRADES) as provider:
        roster = []
        for protocol in PROTOCOLS:
            for judge_name in (f"{protocol}-{k}" for k in range(4)):
                set_latency(provider, judge_name, SLOW_MS if judge_name == SLOW else LATENCY_MS)
                more = {"max_concurrency": 200}
                roster.append(judge(judge_name, protocol, protocol, judge_name, provider, **more))
        settings = settings_for(tmp_path, roster, VENIRE_DATABASE_URL=database)
        with service_process(settings) as service:
            httpx2.put(f"{service.url}/rubrics/point", json=POINTWISE, timeout=30)
            told = asyncio.run(_grade_until_killed(service))
        calls = httpx2.get(f"{provider}/control/requests", timeout=60).json()
        assert not told.refused
        assert len(told.answered) >= ANSWERED_BEFORE
        assert told.broken > 0

        seats = read_rows(database, SEATS)
        on_record = {(item, judge_name) for _, item, _, judge_name, _ in seats}
        for call in calls:
            item = re.search(r"<(\d+)>", json.dumps(call["body"]))
            assert item is not None
            assert (f"item-{item[1]}", call["model"]) in on_record
        verdicts = {(item, judge_name): value for item, judge_name, value in read_rows(database, VERDICTS)}
        status = {item: state for _, item, state, _, _ in seats}
        for grade in told.answered:
            assert status[grade["item_id"]] == "complete"
            for seat in grade["seats"]:
                kept = verdicts[grade["item_id"], seat["judge"]]
                assert kept == seat["scores"]["helpfulness"]
        unfinished = {item for item, state in status.items() if state == "pending"}
        assert unfinished  # it was killed in the middle
        grades = defaultdict(set)
        for number, item, _, _, position in seats:
            grades[number, item].add(position)
        assert all(positions == {0, 1, 2} for positions in grades.values())

        set_latency(provider, SLOW, LATENCY_MS)
        before = httpx2.get(f"{provider}/control", timeout=30).json()["calls"]
        with service_process(settings) as service, httpx2.Client(base_url=service.url, timeout=30) as client:
            for grade in told.answered[:: max(1, len(told.answered) // 50)]:
                again = client.get(f"/grades/{grade['grade_id']}").json()
                assert (again["status"], again["raw"]) == (grade["status"], grade["raw"])
            closed = 0
            for number in told.accepted:
                again = client.get(f"/grades/{number}").json()
                assert again["status"] in ("complete", "failed")
                if again["status"] == "failed":
                    closed += 1
                    assert all("the service stopped" in s["unscored"]["detail"] for s in again["seats"])
            body = {"rubric": "point", "prompt": "And now?", "answers": [{"system": "bot", "text": "."}]}
            assert client.post("/grade", json=body).json()["status"] == "complete"
        after = httpx2.get(f"{provider}/control", timeout=30).json()["calls"]
        assert sum(after.values()) == sum(before.values()) + 3  # nobody was asked a second time
    left = read_rows(database, "SELECT status, count(*) FROM grades GROUP BY status")
    assert dict(left).keys() == {"complete", "failed"}
    silent = "SELECT count(*) FROM verdicts WHERE (value IS NULL) <> (unscored >= 0)"
    assert read_rows(database, silent)[0][0] == 0
