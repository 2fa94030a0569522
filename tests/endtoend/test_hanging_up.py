"""Callers that hang up, and callers that come again after the service was killed under them."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.endtoend.rosters import PROTOCOLS, judge, settings_for
from tests.endtoend.test_killed import read_rows
from tests.provider_server.fixture import provider_process
from tests.running_service import POINTWISE, service_process
from tests.waiting import until

CALLERS = 12


def body(prompt: str) -> dict[str, Any]:
    return {"rubric": "point", "prompt": prompt, "answers": [{"system": "bot", "text": "Press it."}]}


@pytest.fixture
def slow(tmp_path: Path):
    """Settings of a service whose judges take three seconds."""
    with provider_process() as url:
        models = [f"{protocol}-slow,latency=3000" for protocol in PROTOCOLS]
        roster = [judge(p, p, p, m, url) for p, m in zip(PROTOCOLS, models, strict=True)]
        yield settings_for(tmp_path, roster)


def _statuses(database: str) -> dict[str, int]:
    """How many grades are in which state."""
    return dict(read_rows(database, "SELECT status, count(*) FROM grades GROUP BY status"))


async def _hang_up_once_on_record(url: str, database: str) -> int:
    """Ask for grades, and close every connection when all are at work; how many were answered before."""
    async with httpx2.AsyncClient(base_url=url, timeout=60) as client:
        asked = [asyncio.create_task(client.post("/grade", json=body(f"How {k}?"))) for k in range(CALLERS)]
        await until(lambda: sum(_statuses(database).values()) == CALLERS)
        for one in asked:
            one.cancel()
        ended = await asyncio.gather(*asked, return_exceptions=True)
    return sum(not isinstance(one, BaseException) for one in ended)


def test_a_caller_who_hangs_up_loses_the_answer_but_not_the_grade(slow, tmp_path: Path) -> None:
    with service_process(slow) as service:
        httpx2.put(f"{service.url}/rubrics/point", json=POINTWISE, timeout=30)
        database = f"sqlite:///{tmp_path / 'venire.db'}"
        answered = asyncio.run(_hang_up_once_on_record(service.url, database))
        until = time.monotonic() + 60
        while "pending" in (stored := _statuses(database)) and time.monotonic() < until:
            time.sleep(0.2)
        assert stored == {"complete": CALLERS}
        assert answered == 0
        metrics = httpx2.get(f"{service.url}/metrics", timeout=30).text
    assert "venire_grades_in_flight 0.0" in metrics
    assert 'status="500"' not in metrics


def test_a_key_whose_first_request_died_with_the_service_is_answered_the_second_time(
    slow, tmp_path: Path
) -> None:
    headers = {"Idempotency-Key": "once"}
    with service_process(slow) as service:
        httpx2.put(f"{service.url}/rubrics/point", json=POINTWISE, timeout=30)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(
                httpx2.post, f"{service.url}/grade", json=body("How?"), headers=headers, timeout=30
            )
            until = time.monotonic() + 60
            while not _statuses(f"sqlite:///{tmp_path / 'venire.db'}"):
                assert time.monotonic() < until
                time.sleep(0.02)
            service.kill()
            with pytest.raises(httpx2.TransportError):
                first.result()
    with service_process(slow) as service:
        again = [
            httpx2.post(f"{service.url}/grade", json=body("How?"), headers=headers, timeout=30)
            for _ in range(2)
        ]
        assert [response.status_code for response in again] == [200, 200]
        assert again[0].json()["status"] == "complete"
        assert again[1].json() == again[0].json()
        assert again[1].headers["idempotency-replayed"] == "true"
