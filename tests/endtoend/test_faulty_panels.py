"""Whatever providers do, in turn and all at once: every seat ends stored, counted and explained.

The service is a process of its own, its judges are the real SDK adapters on the local provider server.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from app.domain.judging import JudgeVersion, PanelRequest
from app.grading.assignment import assign
from app.web.api.grade import GradeOut
from tests.endtoend.rosters import (
    PRICE_INPUT,
    PRICE_OUTPUT,
    PROTOCOLS,
    counted,
    judge,
    settings_for,
)
from tests.provider_server.fixture import provider_process
from tests.running_service import POINTWISE, free_port, service_process

# What one judge of a family suffers -> the reason of its seat. The other judge of the family is well.
LASTING = {
    "429": "rate_limited",
    "429;retry-after=60": "rate_limited",
    "500": "provider_error",
    "529": "provider_error",
    "401": "provider_error",
    "refusal": "refusal",
    "filter": "refusal",
    "truncation": "unparsable",
    "malformed": "unparsable",
    "prose": "unparsable",
    "no_content": "unparsable",
    "out_of_range": "out_of_range",
    "two_objects": "unparsable",
    "hang": "timeout",
    "trickle;ms=500": "timeout",
    "reset": "provider_error",
    "cut": "provider_error",
    "garbage": "provider_error",
    "html": "provider_error",
    "empty": "provider_error",
    "array": "provider_error",
}
# What passes, or does no harm: the same judge gives its verdict in the end.
PASSING = (
    "429;retry-after=0.1;times=2",
    "429;times=2",
    "500;times=2",
    "529;times=2",
    "reset;times=2",
    "cut;times=2",
    "slow;ms=300",
    "fenced",
)
_EITHER = {"no_content": {"unparsable", "refusal", "provider_error"}, "filter": {"refusal", "unparsable"}}


# Every judge of the mixed panels goes through all of these, each from another one on, and is then well.
MIXED = (
    "429;retry-after=0.05;times=2", "refusal;times=3", "500;times=2", "truncation;times=3",
    "malformed;times=3",
    "529;times=2", "fenced;times=3", "429;times=2", "out_of_range;times=3", "reset;times=2",
    "two_objects;times=3", "slow;ms=400;times=4", "prose;times=2", "cut;times=2", "no_content;times=2",
    "hang;times=2", "empty;times=2",
)  # fmt: skip
GRADES = 90
TREES = ("oak", "elm", "fir")


@dataclass(frozen=True)
class Outcome:
    """A grade as answered, as stored, and what went before."""

    response: httpx2.Response
    stored: dict[str, Any]

    @property
    def grade(self) -> dict[str, Any]:
        body: dict[str, Any] = self.response.json()
        return body if self.response.status_code == 200 else body["grade"]


async def _grade_all(url: str, bodies: list[dict[str, Any]]) -> list[Outcome]:
    limits = httpx2.Limits(max_connections=64)
    async with httpx2.AsyncClient(base_url=url, timeout=60, limits=limits) as client:

        async def one(body: dict[str, Any]) -> Outcome:
            response = await client.post("/grade", json=body)
            assert response.status_code in (200, 502), response.text
            said = response.json()
            number = (said if response.status_code == 200 else said["grade"])["grade_id"]
            return Outcome(response, (await client.get(f"/grades/{number}")).json())

        return await asyncio.gather(*(one(body) for body in bodies))


def _kept(outcome: Outcome) -> None:
    """What was answered is what is stored, and no seat is without a verdict or a reason."""
    GradeOut.model_validate(outcome.grade)
    assert outcome.stored["status"] == outcome.grade["status"] != "pending"
    assert outcome.stored["raw"] == outcome.grade["raw"]
    for said, kept in zip(outcome.grade["seats"], outcome.stored["seats"], strict=True):
        assert {**said, "latency_ms": 0} == {**kept, "latency_ms": 0}
        assert (said["scores"] is None) != (said["unscored"] is None)
        assert said["unscored"] is None or said["unscored"]["detail"]
        assert "secret" not in str(said)


@dataclass
class World:
    """The service, the provider, the names of all families but the one asked for, and what was answered."""

    service: str
    provider: str
    families: frozenset[str]
    outcomes: list[Outcome] = field(default_factory=list)

    def grade(self, bodies: list[dict[str, Any]]) -> list[Outcome]:
        """Send them all at once; every outcome is kept for the accounts."""
        found = asyncio.run(_grade_all(self.service, bodies))
        self.outcomes += found
        return found

    def body(self, prompt: str, *families: str, **panel: Any) -> dict[str, Any]:
        """A request whose panel is drawn from these families."""
        panel["exclude_families"] = sorted(self.families - set(families))
        return {
            "rubric": "point",
            "prompt": prompt,
            "answers": [{"system": "bot", "family": "bots", "text": "Press the round button."}],
            "panel": panel,
            "timeout_s": 30,
        }


ALL = (*LASTING, *PASSING)
# tests/web/test_faults.py has each protocol for the usual ones: here one of them by turns; others have all.
EVERY_PROTOCOL = frozenset({"filter", "no_content", "trickle;ms=500", "cut", "garbage", "array", "reset"})
CASES = {
    f"f{number}-{protocol}": (fault, protocol)
    for number, fault in enumerate(ALL)
    for turn, protocol in enumerate(PROTOCOLS)
    if fault in EVERY_PROTOCOL or number % 3 == turn
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Families in which one of two judges is ill, two that are well, three dead ones, and three that
    go through every fault there is.
    """
    with provider_process(keep=10) as url:
        nowhere = f"http://127.0.0.1:{free_port()}"
        roster = [judge(name, name, "openai", name, url) for name in ("well", "fine")]
        roster += [judge(f"{p}-gone", f"{p}-gone", p, "gone", nowhere) for p in PROTOCOLS]
        for family, (fault, protocol) in CASES.items():
            patience = {"timeout_s": 5 if LASTING.get(fault) == "timeout" else 20}
            roster.append(judge(f"ill-{family}", family, protocol, f"ill-{family}!{fault}", url, **patience))
            roster.append(judge(f"hale-{family}", family, protocol, f"hale-{family}", url))
        for number, name in enumerate(f"{f}-{k}" for f in TREES for k in range(2)):
            faults = [*MIXED[3 * number :], *MIXED[: 3 * number]]
            httpx2.post(f"{url}/control/model", json={"name": name, "faults": faults}, timeout=30)
            roster.append(judge(name, name[:3], list(PROTOCOLS)[number % 3], name, url, timeout_s=5))
        families = {"well", "fine", *TREES, *CASES, *(f"{p}-gone" for p in PROTOCOLS)}
        with service_process(settings_for(tmp_path_factory.mktemp("world"), roster)) as service:
            httpx2.put(f"{service.url}/rubrics/point", json=POINTWISE, timeout=30)
            yield World(service.url, url, frozenset(families))


@pytest.fixture(scope="module")
def ill(world: World) -> dict[tuple[str, str], Outcome]:
    """A grade with each fault at one judge of a family of two, for each protocol, all at once."""
    seed = _seed_that_seats_the_second()
    bodies = [world.body(f"How {family}?", family, "well", "fine", seed=seed) for family in CASES]
    return dict(zip(CASES.values(), world.grade(bodies), strict=True))


def _seed_that_seats_the_second() -> int:
    """A seed with which the first family seats the second of its two judges, so that the ill one is asked."""

    def of(family: str, *names: str) -> tuple[JudgeVersion, ...]:
        return tuple(JudgeVersion(family, name, name) for name in names)

    eligible = {"a": of("a", "hale", "ill"), "b": of("b", "b"), "c": of("c", "c")}
    for seed in range(100):
        panel = assign(eligible, PanelRequest(), 1, seed).seats
        if any(seat.judge.name == "ill" for seat in panel):
            return seed
    raise AssertionError("no such seed")


@pytest.mark.parametrize("fault, protocol", [case for case in CASES.values() if case[0] in LASTING])
def test_a_judge_that_fails_is_explained_and_its_family_still_speaks(ill, fault: str, protocol: str):
    outcome = ill[fault, protocol]
    _kept(outcome)
    grade = outcome.grade
    (failed,) = [seat for seat in grade["seats"] if seat["judge"].startswith("ill-")]
    (hale,) = [seat for seat in grade["seats"] if seat["judge"].startswith("hale-")]
    assert failed["unscored"]["reason"] in _EITHER.get(fault, {LASTING[fault]}), failed["unscored"]
    assert (hale["replaces"], hale["unscored"]) == (failed["position"], None)
    assert grade["status"] == "complete"
    assert grade["raw"]["helpfulness"]["seats"] == 3


@pytest.mark.parametrize("fault, protocol", [case for case in CASES.values() if case[0] in PASSING])
def test_what_passes_costs_attempts_but_no_seat(ill, fault: str, protocol: str):
    outcome = ill[fault, protocol]
    _kept(outcome)
    (passed,) = [seat for seat in outcome.grade["seats"] if seat["judge"].startswith("ill-")]
    assert passed["unscored"] is None, passed["unscored"]
    assert passed["attempts"] == (3 if "times=2" in fault else 1)
    assert len(outcome.grade["seats"]) == 3


def test_all_faults_at_once_lose_no_seat_and_no_verdict(world: World):
    outcomes = world.grade([world.body(f"How {k}?", *TREES) for k in range(GRADES)])
    for outcome in outcomes:
        _kept(outcome)
        grade = outcome.grade
        scored = [seat for seat in grade["seats"] if seat["unscored"] is None]
        assert (outcome.response.status_code == 502) == (not scored)
        assert grade["status"] == ("failed" if not scored else "complete" if len(scored) == 3 else "partial")
        if scored:
            values = [seat["scores"]["helpfulness"] for seat in scored]
            assert grade["raw"]["helpfulness"]["mean"] == pytest.approx(sum(values) / len(values))
        assert {seat["family"] for seat in grade["seats"]} == set(TREES)
    unscored = [seat["unscored"] for one in outcomes for seat in one.grade["seats"] if seat["unscored"]]
    assert {one["reason"] for one in unscored} >= {"refusal", "unparsable", "out_of_range", "timeout"}


def test_a_dead_provider_costs_one_round_and_then_nothing_while_others_speak_on(world: World):
    def panel(prompt: str) -> dict[str, Any]:
        return world.body(prompt, "openai-gone", "well", "fine")

    (first,) = world.grade([panel("first?")])
    then = [world.grade([panel(f"then {k}?")])[0] for k in range(4)]
    for outcome in (first, *then):
        _kept(outcome)
        assert outcome.grade["status"] == "partial"
        assert outcome.grade["raw"]["helpfulness"]["seats"] == 2
        (gone,) = [seat for seat in outcome.grade["seats"] if seat["judge"] == "openai-gone"]
        assert gone["unscored"]["reason"] == "provider_error"
        if outcome is not first:
            assert (gone["attempts"], gone["cost_usd"]) == (0, 0)
            assert "not called: 5 failures in a row" in gone["unscored"]["detail"]
    judges = httpx2.get(f"{world.service}/judges?limit=200", timeout=30).json()["items"]
    (health,) = [v["health"] for one in judges if one["name"] == "openai-gone" for v in one["versions"]]
    assert health["unscored_rate"] == 1


def test_a_panel_of_dead_providers_is_a_502_without_a_call_and_everything_is_stored(world: World):
    dead = [f"{p}-gone" for p in PROTOCOLS]
    world.grade([world.body("first?", *dead)])
    outcomes = world.grade([world.body(f"How {k}?", *dead) for k in range(8)])
    for outcome in outcomes:
        _kept(outcome)
        assert outcome.response.status_code == 502
        assert outcome.response.headers["content-type"] == "application/problem+json"
        assert outcome.response.json()["type"] == "/problems/no-verdict"
        assert outcome.stored["status"] == "failed"
        assert [seat["unscored"]["reason"] for seat in outcome.stored["seats"]] == ["provider_error"] * 3
        assert all("not called" in seat["unscored"]["detail"] for seat in outcome.stored["seats"])
        assert all(seat["attempts"] == 0 for seat in outcome.stored["seats"])


def test_attempts_costs_and_reasons_agree_with_metrics_and_with_the_providers_books(world: World, ill):
    metrics = httpx2.get(f"{world.service}/metrics", timeout=30).text
    provider = httpx2.get(f"{world.provider}/control", timeout=30).json()
    _agree([outcome.stored for outcome in world.outcomes], metrics, provider)


def _agree(grades: list[dict[str, Any]], metrics: str, provider: dict[str, Any]) -> None:
    """Attempts, costs and reasons of the stored seats, of /metrics, and of the provider's own books."""
    attempts: Counter[str] = Counter()
    costs: Counter[str] = Counter()
    outcomes: Counter[tuple[str, str]] = Counter()
    models: dict[str, str] = {}
    for grade in grades:
        assert grade["cost_usd"] == pytest.approx(sum(seat["cost_usd"] for seat in grade["seats"]))
        for seat in grade["seats"]:
            models[seat["judge"]] = seat["model"]
            attempts[seat["judge"]] += seat["attempts"]
            costs[seat["judge"]] += seat["cost_usd"]
            outcomes[seat["judge"], seat["unscored"]["reason"] if seat["unscored"] else "scored"] += 1
    for name, model in models.items():
        if name.endswith("-gone"):
            continue  # nobody was there to count
        assert attempts[name] == provider["calls"].get(model, 0), name
        billed = provider["billed"].get(model, {})
        dollars = (billed.get("input", 0) * PRICE_INPUT + billed.get("output", 0) * PRICE_OUTPUT) / 1e6
        assert costs[name] == pytest.approx(dollars, abs=1e-12), name
        assert counted(metrics, "venire_judge_attempts_total", judge=name) == attempts[name], name
        assert counted(metrics, "venire_cost_usd_total", judge=name) == pytest.approx(costs[name]), name
    for (name, outcome), count in outcomes.items():
        assert counted(metrics, "venire_judge_seats_total", judge=name, outcome=outcome) == count
    unscored = sum(count for (_, outcome), count in outcomes.items() if outcome != "scored")
    assert counted(metrics, "venire_unscored_total") == unscored > 0
    assert not counted(metrics, "venire_requests_total", status="500")
