"""A service and workers on a database of each kind, with simulated judges unless a test has others."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from tests.conftest import BACKENDS, EMPTY, PostgreSQL
from tests.provider_server.fixture import provider  # noqa: F401 - a fixture
from tests.running_service import PAIRWISE, POINTWISE, RunningService, running_service

JSONL = {"content-type": "application/x-ndjson"}


@pytest.fixture(params=BACKENDS)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings of an empty migrated database that no other test has: engines keep tables of their own."""
    if request.param == "sqlite":
        shutil.copyfile(request.getfixturevalue("_migrated_sqlite"), tmp_path / "venire.db")
        yield {"VENIRE_DATA_DIR": str(tmp_path)}
        return
    server: PostgreSQL = request.getfixturevalue("postgresql_server")
    template = request.getfixturevalue("_migrated_postgresql")
    name = f"venire_batches_{os.getpid()}"
    server.run(EMPTY, database=template)  # tests before this one left their rows there
    _copy(server, template, name)
    yield {"VENIRE_DATA_DIR": str(tmp_path), "VENIRE_DATABASE_URL": server.url_of(name)}
    server.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _copy(server: PostgreSQL, template: str, name: str) -> None:
    """A copy of a database; tried again while the server itself, tidying up, has the template open."""
    for attempt in range(10):
        server.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        try:
            server.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        except asyncpg.ObjectInUseError:
            if attempt == 9:
                raise
            time.sleep(1.0)
        else:
            return


@pytest.fixture
def serve(settings: dict[str, str]) -> Iterator[Callable[..., RunningService]]:
    """Start the service, with more settings if there are any; it has the rubrics ``point`` and ``pair``."""
    running = []

    def start(**more: str) -> RunningService:
        context = running_service({**settings, **more})
        service = context.__enter__()
        running.append(context)
        with service.client() as client:
            client.put("/rubrics/point", json=POINTWISE)
            client.put("/rubrics/pair", json=PAIRWISE)
        return service

    yield start
    for context in reversed(running):
        context.__exit__(None, None, None)


def lines(count: int, **more: Any) -> bytes:
    """That many requests, one per line."""
    return b"\n".join(json.dumps(request(k, **more)).encode() for k in range(count))


def request(k: int, **more: Any) -> dict[str, Any]:
    """A request of a batch."""
    answer = {"system": f"bot-{k % 3}", "text": f"Answer number {k}."}
    return {
        "rubric": "point",
        "item_id": f"item-{k}",
        "prompt": f"Question {k}?",
        "answers": [answer],
        **more,
    }


def send(client: httpx2.Client, body: bytes, expect: int = 202, **query: Any) -> dict[str, Any]:
    """POST a batch; its answer."""
    response = client.post("/batches", content=body, params=query, headers=JSONL)
    assert response.status_code == expect, response.text
    answered: dict[str, Any] = response.json()
    return answered


def wait_for(
    client: httpx2.Client, batch: Mapping[str, Any], *status: str, seconds: float = 400
) -> dict[str, Any]:
    """The batch once it stands so."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found: dict[str, Any] = client.get(f"/batches/{batch['batch_id']}").json()
        if found["status"] in status:
            return found
        time.sleep(0.05)
    raise AssertionError(f"the batch is still {found}")


def results(client: httpx2.Client, batch: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the batch has so far."""
    text = client.get(f"/batches/{batch['batch_id']}/results").text
    return [json.loads(line) for line in text.splitlines()]


def until(holds: Callable[[], bool], seconds: float = 400) -> None:
    """Return once it holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it does not come to hold"
        time.sleep(0.1)
