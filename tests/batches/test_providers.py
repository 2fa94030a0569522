"""Batches by the providers' batch endpoints: a service, workers in processes of their own and the local
provider server, talked to through the real SDKs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.batches.conftest import lines, results, send, until, wait_for
from tests.batches.killing import DUPLICATES
from tests.batches.running_worker import start_worker, worker_process
from tests.batches.test_crashes import database_of
from tests.endtoend.rosters import PRICE_INPUT, PRICE_OUTPUT, PROTOCOLS, judge, settings_for
from tests.endtoend.test_killed import read_rows
from tests.provider_server.fixture import provider_process
from tests.running_service import POINTWISE, running_service

pytestmark = pytest.mark.timeout(900)  # processes start slowly on machines that are busy
SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
HOURS = {"takes_ms": 1e9}
CALLED = ("called-1", "called-2")
BATCHED = {"exclude_families": CALLED}


@pytest.fixture(scope="module")
def _address() -> Iterator[str]:
    with provider_process(keep=10) as address:
        yield address


class Server:
    """The provider server, seen from outside."""

    def __init__(self, address: str) -> None:
        self.address = address

    def rule(self, **rules: Any) -> dict[str, Any]:
        """Change the rules of its batch endpoints; what became of batches."""
        found: dict[str, Any] = httpx2.post(f"{self.address}/control/batches", json=rules).json()
        return found

    def fault(self, model: str, *faults: str) -> None:
        httpx2.post(f"{self.address}/control/model", json={"name": model, "faults": faults})

    def calls(self) -> int:
        """Calls that did not go by a batch."""
        return sum(httpx2.get(f"{self.address}/control").json()["calls"].values())

    def processed(self) -> int:
        return sum(self.rule()["processed"].values())

    def billed_usd(self) -> float:
        """What it would bill: batches at half the price."""
        control = httpx2.get(f"{self.address}/control").json()

        def dollars(billed: Mapping[str, Mapping[str, int]]) -> float:
            return sum(
                (one.get("input", 0) * PRICE_INPUT + one.get("output", 0) * PRICE_OUTPUT) / 1e6
                for one in billed.values()
            )

        return dollars(control["billed"]) + 0.5 * dollars(self.rule()["billed"])


@pytest.fixture
def server(_address: str) -> Server:
    httpx2.post(f"{_address}/control/reset")
    return Server(_address)


@dataclass
class House:
    """A service with a worker, whose judges are at the server: one of each protocol, that is sent at most 25
    requests at once, and two that are only called."""

    settings: dict[str, str]
    client: httpx2.Client


def roster_of(server: str) -> list[str]:
    batched = [judge(name, name, name, f"m-{name}", server, batch_max_requests=25) for name in PROTOCOLS]
    called = [judge(name, name, "openai", f"m-{name}", server, batch="false") for name in CALLED]
    return [*batched, *called]


@pytest.fixture(scope="module")
def _house(_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    given = settings_for(folder, roster_of(_address), VENIRE_PROVIDER_POLL_S="1")
    with running_service(given) as service, service.client() as client, worker_process(given):
        client.put("/rubrics/point", json=POINTWISE)
        yield House(given, client)


@pytest.fixture
def house(_house: House, server: Server) -> House:
    """The house, with a server that forgot everything."""
    return _house


@pytest.fixture
def places(settings: dict[str, str], server: Server, tmp_path: Path) -> dict[str, str]:
    """Settings with the same judges, for a service and workers of a test's own."""
    return {**settings, **settings_for(tmp_path, roster_of(server.address), VENIRE_PROVIDER_POLL_S="1")}


def batch_of(client: httpx2.Client, items: int, **query: Any) -> dict[str, Any]:
    return send(client, lines(items, panel=BATCHED), mode="batch", **query)


def shown(client: httpx2.Client, batch: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/batches/{batch['batch_id']}").json()
    return found


def unscored(found: list[dict[str, Any]]) -> list[str]:
    """Reasons of all seats without scores."""
    seats = [seat for one in found for seat in one["grade"]["seats"]]
    return [seat["unscored"]["reason"] for seat in seats if seat["unscored"]]


def check_whole(done: dict[str, Any], found: list[dict[str, Any]], items: int) -> None:
    """Every item is graded by its panel, and the money adds up."""
    assert done["counts"]["complete"] == items, done
    assert [one["number"] for one in found] == list(range(items))
    assert all(len(one["grade"]["seats"]) >= 3 for one in found)
    cost = sum(seat["cost_usd"] for one in found for seat in one["grade"]["seats"])
    assert done["budget"]["spent_usd"] == pytest.approx(cost)
    assert done["budget"]["held_usd"] == 0
    assert done["providers"]["queued"] == done["providers"]["sent"] == 0


def test_a_file_is_graded_by_batches_at_half_the_price(house, server):
    client = house.client
    sent = batch_of(client, 40)
    ways = {one["judge"]: (one["way"], one["price_factor"]) for one in sent["estimate"]["judges"]}
    assert ways == dict.fromkeys(PROTOCOLS, ("batch", 0.5))
    body = lines(40, panel=BATCHED)
    ordinary, by_batch = (
        send(client, body, expect=200, dry_run=True, mode=mode)["estimate"] for mode in ("live", "batch")
    )
    assert by_batch["expected_usd"] == pytest.approx(ordinary["expected_usd"] / 2)
    assert {one["way"] for one in ordinary["judges"]} == {"ordinary"}
    done = wait_for(client, sent, "done")
    check_whole(done, results(client, sent), 40)
    assert unscored(results(client, sent)) == []
    assert (server.calls(), server.processed()) == (0, 120)
    assert done["counts"]["calls"] == 120
    assert done["budget"]["spent_usd"] == pytest.approx(server.billed_usd())
    sizes = sorted(one["requests"] for one in done["providers"]["batches"])
    assert sizes == [15, 15, 15, 25, 25, 25]
    assert {one["standing"] for one in done["providers"]["batches"]} == {"completed"}
    assert {one["lines"] for one in server.rule()["batches"]} == {15, 25}
    assert all(one["held_usd"] == 0 for one in done["providers"]["batches"])
    page = client.get(f"/ui/batches/{sent['batch_id']}").text
    assert "At the judges&#39; providers" in page or "At the judges' providers" in page
    assert all(one["provider_id"] in page for one in done["providers"]["batches"])
    metrics = client.get("/metrics").text
    assert 'venire_provider_batches{standing="working"} 0.0' in metrics
    assert 'venire_provider_batch_seats{state="queued"} 0.0' in metrics


def test_a_worker_killed_before_it_knew_of_its_batches_pays_for_none_twice(
    places, serve, server, settings, tmp_path
):
    given = places
    service = serve(**given)
    server.rule(replies_ms=600_000, **HOURS)
    with service.client() as client:
        sent = batch_of(client, 25, budget_usd=50)
        first = start_worker(given)
        try:
            until(lambda: server.rule()["created"] == 3)
            assert [one["provider_id"] for one in shown(client, sent)["providers"]["batches"]] == [None] * 3
        finally:
            first.kill()
        server.rule(replies_ms=0)
        with worker_process(given), worker_process(given):
            # OpenAI's batches carry a mark; of Anthropic's nobody can tell whose they are while they work.
            def standings() -> list[str]:
                return sorted(one["state"] for one in shown(client, sent)["providers"]["batches"])

            until(lambda: standings() == ["intended", "sent", "sent"])
            waiting = shown(client, sent)
            assert waiting["providers"]["sent"] == 75
            assert waiting["providers"]["due_at"] is not None
            assert waiting["budget"]["held_usd"] > 0
            assert waiting["budget"]["suspect_usd"] == 0
            server.rule(takes_ms=0)
            done = wait_for(client, sent, "done")
        check_whole(done, results(client, sent), 25)
        assert server.rule()["created"] == 3, "none was created twice"
        assert (server.calls(), server.processed()) == (0, 75)
        assert done["budget"]["spent_usd"] == pytest.approx(server.billed_usd())
        assert done["budget"]["suspect_usd"] == 0
    database = database_of(settings, tmp_path)
    assert read_rows(database, DUPLICATES)[0][0] == 0
    assert read_rows(database, "SELECT count(*) FROM provider_requests")[0][0] == 0


@SQLITE
def test_a_worker_killed_before_its_batches_reached_the_provider_sends_them_once(places, serve, server):
    service = serve(**places)
    server.rule(refusals=1_000_000)
    with service.client() as client:
        sent = batch_of(client, 10, budget_usd=50)
        first = start_worker(places)
        try:
            until(lambda: all(one["detail"] for one in three(shown(client, sent))))
        finally:
            first.kill()
        server.rule(refusals=0)
        with worker_process(places):
            done = wait_for(client, sent, "done")
        check_whole(done, results(client, sent), 10)
        assert server.rule()["created"] == 3
        assert server.calls() == 0


def three(batch: dict[str, Any]) -> list[dict[str, Any]]:
    """Its batches at providers, once there are three."""
    found = batch["providers"]["batches"]
    return found if len(found) == 3 else [{"detail": None}]


@pytest.mark.parametrize("fallback", ["ordinary", "batch", "none"])
def test_what_an_expired_batch_left_goes_on_as_was_asked_for(house, server, fallback):
    client = house.client
    server.rule(finished=0.6)
    sent = batch_of(client, 10, fallback=fallback, budget_usd=50)
    assert sent["fallback"] == fallback
    if fallback == "batch":
        until(lambda: server.rule()["created"] == 3)
        server.rule(finished=1.0)
    done = wait_for(client, sent, "done")
    found = results(client, sent)
    standings = [one["standing"] for one in done["providers"]["batches"]]
    assert standings.count("expired") == 3
    if fallback == "none":
        assert sorted(set(unscored(found))) == ["timeout"]
        assert len(unscored(found)) == 12
        assert (server.calls(), server.processed()) == (0, 18)
        details = [s["unscored"]["detail"] for one in found for s in one["grade"]["seats"] if s["unscored"]]
        assert "expired" in details[0]
    else:
        check_whole(done, found, 10)
        assert unscored(found) == []
        by_batch = 30 if fallback == "batch" else 18
        assert (server.calls(), server.processed()) == (30 - by_batch, by_batch)
        assert standings.count("completed") == (3 if fallback == "batch" else 0)
    assert done["budget"]["spent_usd"] == pytest.approx(server.billed_usd())
    assert done["budget"]["held_usd"] == 0


def test_requests_that_failed_in_a_batch_are_asked_one_by_one_or_say_why(house, server):
    client = house.client
    server.rule(leaves_out=10)
    server.fault("m-openai", "500;times=2", "400;times=2", "refusal;times=2", "malformed;times=1")
    sent = batch_of(client, 20, budget_usd=50)
    done = wait_for(client, sent, "done")
    found = results(client, sent)
    # Of 60 lines 6 are left out, and 2 got a 500: these are asked one by one; 5 gave no verdict for good.
    assert sorted(unscored(found)) == ["provider_error"] * 2 + ["refusal"] * 2 + ["unparsable"]
    assert server.calls() == 8
    assert done["counts"]["calls"] == 60 + 8
    assert done["counts"]["complete"] + done["counts"]["partial"] == 20
    expected = "injected 400"
    details = [s["unscored"]["detail"] for one in found for s in one["grade"]["seats"] if s["unscored"]]
    assert any(expected in detail for detail in details)
    budget = done["budget"]
    assert budget["spent_usd"] == pytest.approx(server.billed_usd())
    assert budget["suspect_usd"] > 0, "what lines without a result cost nobody knows"
    assert budget["held_usd"] == 0


def test_a_provider_without_batches_is_asked_one_by_one(house, server):
    client = house.client
    server.rule(without=True)
    sent = batch_of(client, 5, budget_usd=50)
    done = wait_for(client, sent, "done")
    check_whole(done, results(client, sent), 5)
    assert {one["standing"] for one in done["providers"]["batches"]} == {"failed"}
    assert all("404" in one["detail"] for one in done["providers"]["batches"])
    assert (server.calls(), server.processed()) == (15, 0)


def test_judges_without_a_batch_endpoint_go_the_ordinary_way_beside_the_others(house, server):
    client, panel = house.client, {"exclude_families": ["openai-responses", "anthropic"]}
    sent = send(client, lines(6, panel=panel), mode="batch", budget_usd=50)
    ways = {one["judge"]: one["way"] for one in sent["estimate"]["judges"]}
    assert ways == {"openai": "batch"} | dict.fromkeys(CALLED, "ordinary")
    done = wait_for(client, sent, "done")
    check_whole(done, results(client, sent), 6)
    assert (server.calls(), server.processed()) == (12, 6)
    assert done["budget"]["spent_usd"] == pytest.approx(server.billed_usd())
    refused = send(client, lines(1), expect=422, fallback="batch")
    assert "mode=batch" in json.dumps(refused)
    assert send(client, lines(1), expect=422, mode="half")["status"] == 422


def test_pausing_and_cancelling_end_the_batches_at_providers(house, server):
    client = house.client
    server.rule(**HOURS)
    sent = batch_of(client, 10, budget_usd=50)
    url = f"/batches/{sent['batch_id']}"
    until(lambda: [one["state"] for one in shown(client, sent)["providers"]["batches"]] == ["sent"] * 3)
    client.post(f"{url}/pause")
    until(lambda: {one["state"] for one in shown(client, sent)["providers"]["batches"]} == {"over"})
    paused = shown(client, sent)
    assert paused["providers"]["queued"] == 30
    assert {one["standing"] for one in paused["providers"]["batches"]} == {"cancelled"}
    assert paused["budget"]["held_usd"] == paused["budget"]["spent_usd"] == 0
    server.rule(takes_ms=0)
    client.post(f"{url}/resume")
    check_whole(wait_for(client, sent, "done"), results(client, sent), 10)
    server.rule(**HOURS)
    other = send(client, lines(4, item_id=None, panel=BATCHED), mode="batch", budget_usd=50)
    until(lambda: shown(client, other)["providers"]["sent"] == 12)
    client.delete(f"/batches/{other['batch_id']}")
    until(lambda: {one["state"] for one in shown(client, other)["providers"]["batches"]} == {"over"})
    over = shown(client, other)
    assert over["status"] == "cancelled"
    assert over["providers"]["queued"] == 0
    assert over["budget"]["held_usd"] == over["budget"]["spent_usd"] == 0


def test_a_small_budget_is_sent_bit_by_bit_and_never_exceeded(house, server):
    client = house.client
    request = max(one["held_usd"] for one in read_worst(client, server))
    sent = send(
        client, lines(12, item_id=None, panel=BATCHED), mode="batch", budget_usd=round(4.5 * request, 6)
    )
    limit = sent["budget"]["limit_usd"]

    def stands(*status: str) -> bool:
        budget = (state := shown(client, sent))["budget"]
        used = budget["spent_usd"] + budget["held_usd"] + budget["suspect_usd"]
        assert used <= limit + 1e-9
        return state["status"] in status

    until(lambda: stands("done", "out_of_budget"))
    state = shown(client, sent)
    assert max(one["requests"] for one in state["providers"]["batches"]) <= 4
    if state["status"] == "out_of_budget":
        assert "budget" in state["stop_reason"]
        client.post(f"/batches/{sent['batch_id']}/resume", json={"top_up_usd": 1.0})
        limit += 1.0
        until(lambda: stands("done"))
    assert shown(client, sent)["counts"]["complete"] == 12


def read_worst(client: httpx2.Client, server: Server) -> list[dict[str, Any]]:
    """What a batch of one item holds at each provider."""
    server.rule(**HOURS)
    sent = send(client, lines(1, item_id=None, panel=BATCHED), mode="batch", budget_usd=10)
    until(lambda: shown(client, sent)["providers"]["sent"] == 3)
    found: list[dict[str, Any]] = shown(client, sent)["providers"]["batches"]
    client.delete(f"/batches/{sent['batch_id']}")
    server.rule(takes_ms=0)
    return found
