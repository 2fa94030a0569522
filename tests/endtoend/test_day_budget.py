"""The budget of a day holds for grades that somebody waits for and for batches together."""

import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.batches.conftest import lines, send, settings, wait_for  # noqa: F401 - a fixture
from tests.batches.killing import roster
from tests.batches.running_worker import worker_process
from tests.batches.test_budgets import billed
from tests.endtoend.rosters import settings_for
from tests.provider_server.fixture import provider_process
from tests.running_service import POINTWISE, running_service, service_process

WORST = 0.05  # US dollars that one call may cost at most here, and more


def grade(client: httpx2.Client, k: int, **more: Any) -> httpx2.Response:
    answer = {"system": "bot", "text": f"Answer {k}."}
    body = {"rubric": "point", "prompt": f"Question {k} of a single grade?", "answers": [answer], **more}
    return client.post("/grade", json=body)


def today(client: httpx2.Client) -> dict[str, float]:
    found: dict[str, float] = client.get("/budget").json()["today"]
    return found


def until_refused(client: httpx2.Client, first: int) -> list[httpx2.Response]:
    """Grades until one is refused. What is left of the day does not say when that will be:
    money that somebody holds on lease comes back a moment later, and may pay for one grade more."""
    answered = [grade(client, first)]
    while answered[-1].status_code == 200:
        assert len(answered) < 400, today(client)
        answered.append(grade(client, first + len(answered)))
    return answered


def test_single_grades_and_batches_spend_of_one_day(settings, tmp_path: Path):  # noqa: F811
    with provider_process() as provider:
        settings |= settings_for(tmp_path, roster(provider, 0.0))
        with running_service(settings) as service, service.client() as client, worker_process(settings):
            client.put("/rubrics/point", json=POINTWISE)
            for k in range(3):
                assert grade(client, k).status_code == 200
            assert today(client)["spent_usd"] == pytest.approx(billed(provider))
            wait_for(client, send(client, lines(5), budget_usd=5.0), "done")
            spent = today(client)["spent_usd"]
            assert spent == pytest.approx(billed(provider))
            limit = spent + 4 * WORST
            client.patch("/project", json={"limits": {"usd_per_day": limit}})
            answered = until_refused(client, 3)
            assert 200 in [one.status_code for one in answered]
            refused = answered[-1]
            assert refused.status_code == 402
            assert refused.json()["type"] == "/problems/out-of-budget"
            assert today(client)["spent_usd"] == pytest.approx(billed(provider))
            assert billed(provider) <= limit
            stopped = wait_for(client, send(client, lines(20), budget_usd=5.0), "out_of_budget", "done")
            assert stopped["status"] == "out_of_budget"
            client.patch("/project", json={"limits": {"usd_per_day": None}})
            time.sleep(1.1)  # refusals are remembered for a second
            assert grade(client, 1001).status_code == 200
            assert today(client)["limit_usd"] is None


def test_a_grade_that_is_refused_says_why_and_is_stored(settings, tmp_path: Path):  # noqa: F811
    with provider_process() as provider:
        settings |= settings_for(tmp_path, roster(provider, 0.0))
        with running_service(settings) as service, service.client() as client:
            client.put("/rubrics/point", json=POINTWISE)
            client.put("/budget", json={"daily_usd": 0.0001})
            refused = grade(client, 1)
            assert refused.status_code == 402
            document = refused.json()
            assert document["title"] == "The budget does not cover this"
            details = {seat["unscored"]["detail"] for seat in document["grade"]["seats"]}
            assert all("budget of the day" in detail and "$0." in detail for detail in details)
            stored = client.get(f"/grades/{document['grade']['grade_id']}").json()
            assert stored["status"] == "failed"
            again = grade(client, 2)  # at once: nothing of it is recorded
            assert again.status_code == 402
            assert "grade" not in again.json()
            assert sum(httpx2.get(f"{provider}/control").json()["calls"].values()) == 0


def test_calls_of_a_service_that_was_killed_are_suspect(settings, tmp_path: Path):  # noqa: F811
    with provider_process() as provider:
        settings |= settings_for(tmp_path, roster(provider, 60_000.0))
        with service_process(settings) as service, httpx2.Client(base_url=service.url) as client:
            client.put("/rubrics/point", json=POINTWISE)
            assert grade(client, 1, wait=False).status_code == 202
            end = time.monotonic() + 30
            while today(client)["held_usd"] == 0:
                assert time.monotonic() < end
                time.sleep(0.05)
            held = today(client)["held_usd"]
            service.kill()
        with service_process(settings) as service, httpx2.Client(base_url=service.url) as client:
            end = time.monotonic() + 90
            while today(client)["suspect_usd"] == 0:
                assert time.monotonic() < end
                time.sleep(0.2)
            found = today(client)
            assert found["held_usd"] == 0
            assert found["suspect_usd"] >= 0.99 * held
