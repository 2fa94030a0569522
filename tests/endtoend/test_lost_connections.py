"""A PostgreSQL server that drops every connection, again and again, costs callers nothing but time."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conftest import PostgreSQL
from tests.endtoend.test_killed import read_rows
from tests.running_service import POINTWISE, service_process

GRADES, CUTS = 400, 4


@pytest.fixture
def name(postgresql_server: PostgreSQL) -> Iterator[str]:
    """An empty database of its own."""
    name = f"venire_cut_{os.getpid()}"
    postgresql_server.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}")
    yield name
    postgresql_server.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.mark.postgresql
def test_grades_are_answered_and_stored_although_connections_break(
    postgresql_server: PostgreSQL, name: str, tmp_path: Path
) -> None:
    cut_off = 0

    async def grade_and_cut(url: str) -> list[httpx2.Response]:
        nonlocal cut_off
        places = asyncio.Semaphore(32)
        async with httpx2.AsyncClient(base_url=url, timeout=60) as client:

            async def one(k: int) -> httpx2.Response:
                body: dict[str, Any] = {"rubric": "point", "prompt": f"{k}?"}
                async with places:
                    return await client.post(
                        "/grade", json={**body, "answers": [{"system": "s", "text": "."}]}
                    )

            work = asyncio.gather(*(one(k) for k in range(GRADES)))
            for _ in range(CUTS):
                await asyncio.sleep(0.3)
                if not work.done():
                    cut_off += 1
                kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"
                await postgresql_server.run_async(kill.format(name))
            return await work

    database = postgresql_server.url_of(name)
    settings = {"VENIRE_DATA_DIR": str(tmp_path), "VENIRE_DATABASE_URL": database}
    with service_process(settings) as service:
        httpx2.put(f"{service.url}/rubrics/point", json=POINTWISE, timeout=30)
        responses = asyncio.run(grade_and_cut(service.url))
        for response in responses[:: GRADES // 20]:
            again = httpx2.get(f"{service.url}/grades/{response.json()['grade_id']}", timeout=30)
            assert again.json()["raw"] == response.json()["raw"]
    assert cut_off > 0
    assert {response.status_code for response in responses} == {200}
    # What was begun twice may not be there twice.
    stored = read_rows(database, "SELECT status, count(*) FROM grades GROUP BY status")
    assert stored == [("complete", GRADES)]
    doubled = (
        "SELECT count(*) FROM (SELECT 1 FROM verdicts GROUP BY grade_id, position HAVING count(*) > 1) d"
    )
    assert read_rows(database, doubled) == [(0,)]
