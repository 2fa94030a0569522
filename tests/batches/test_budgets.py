"""Budgets are hard, say so when they stop a batch, and let it go on when there is more."""

from pathlib import Path

import httpx2

from tests.batches.conftest import lines, send, until, wait_for
from tests.batches.killing import roster
from tests.batches.running_worker import worker_process
from tests.endtoend.rosters import PRICE_INPUT, PRICE_OUTPUT, settings_for
from tests.provider_server.fixture import provider_process

ITEMS, ENOUGH = 60, 5.0
TIGHT = 0.1  # for some fifty of 180 calls


def billed(provider: str) -> float:
    """What the provider counted, at the roster's prices."""
    counts = httpx2.get(f"{provider}/control").json()["billed"].values()
    return sum((c.get("input", 0) * PRICE_INPUT + c.get("output", 0) * PRICE_OUTPUT) / 1e6 for c in counts)


def test_a_batch_stops_at_its_budget_and_goes_on_when_topped_up(serve, settings, tmp_path: Path):
    with provider_process() as provider:
        settings |= settings_for(tmp_path, roster(provider, 0.0))
        service = serve()
        with service.client() as client, worker_process(settings):
            checked = send(client, lines(ITEMS), expect=200, dry_run=True)["estimate"]
            assert 0 < checked["low_usd"] < checked["expected_usd"] < checked["high_usd"]
            sent = send(client, lines(ITEMS), budget_usd=TIGHT)
            assert "will probably stop" in " ".join(sent["warnings"])
            stopped = wait_for(client, sent, "out_of_budget")
            assert "top it up" in stopped["stop_reason"]
            assert 0 < stopped["budget"]["spent_usd"] <= TIGHT
            assert stopped["counts"]["left"] > 0
            url = f"/batches/{sent['batch_id']}/resume"
            assert client.post(url, json={"top_up_usd": ENOUGH}).json()["status"] == "running"
            done = wait_for(client, sent, "done")
            budget = done["budget"]
            assert budget["limit_usd"] == TIGHT + ENOUGH
            assert abs(budget["spent_usd"] - billed(provider)) < 1e-9
            assert budget["suspect_usd"] == 0
            # What a worker set aside and did not need comes back a moment after the last verdict.
            until(lambda: client.get(f"/batches/{sent['batch_id']}").json()["budget"]["held_usd"] == 0)
            # Now that it is known how much these judges write, the same file is estimated well.
            again = send(client, lines(ITEMS), expect=200, dry_run=True)["estimate"]
            assert again["low_usd"] <= budget["spent_usd"] <= again["high_usd"]


def test_the_smallest_batch_needs_no_budget_to_be_done(serve, settings, tmp_path: Path):
    """The high end of its estimate is far below the worst of one call, which is set aside before it."""
    with provider_process() as provider:
        settings |= settings_for(tmp_path, roster(provider, 0.0))
        with serve().client() as client, worker_process(settings):
            done = wait_for(client, send(client, lines(1)), "done")
            assert done["counts"]["left"] == 0
            assert done["budget"]["spent_usd"] <= done["budget"]["limit_usd"]


def test_a_day_has_a_budget_and_batches_wait_for_more(serve, settings, tmp_path: Path):
    with provider_process() as provider:
        settings |= settings_for(tmp_path, roster(provider, 0.0))
        service = serve()
        with service.client() as client, worker_process(settings):
            client.put("/budget", json={"daily_usd": TIGHT})
            sent = send(client, lines(ITEMS), budget_usd=ENOUGH)
            stopped = wait_for(client, sent, "out_of_budget")
            assert "budget of the day" in stopped["stop_reason"]
            assert client.get("/budget").json()["today"]["spent_usd"] <= TIGHT
            client.put("/budget", json={"daily_usd": None})
            done = wait_for(client, sent, "done")
            assert abs(done["budget"]["spent_usd"] - billed(provider)) < 1e-9
            assert abs(client.get("/budget").json()["today"]["spent_usd"] - billed(provider)) < 1e-9
