"""Processes that share a provider's allowance, and a provider that counts."""

import asyncio
from collections.abc import Mapping, Sequence
from random import Random

import pytest

from app.domain.judging import UnscoredReason
from app.domain.projects import ProjectLimits
from app.domain.rates import Granted, RateKind, Want
from app.judges.lines import Lines
from app.judges.pool import Exhausted, Pool
from app.judges.project_rates import ProjectRates
from app.judges.retry import RetryPolicy
from app.judges.turns import Lane, Turns
from app.storage.database import Database
from app.storage.projects import set_limits
from app.storage.rate_states import rate_states
from app.storage.rates import SharedRates
from tests.judges.conftest import ask, judge_of, unscored_of
from tests.judges.questions import question_of, rubric_of
from tests.provider_server.server import Provider

REQUESTS, TOKENS = RateKind.REQUESTS, RateKind.TOKENS
BATCH = Lane(1, urgent=False)


class Shelf:
    """Leases from a shelf that is filled by hand; ``asked`` counts transactions."""

    def __init__(self, **there: float) -> None:
        self.there = {RateKind(kind): amount for kind, amount in there.items()}
        self.projects: dict[int, Mapping[RateKind, float]] = {}
        self.asked = 0

    async def lease(self, scope: str, wants: Sequence[Want], *, urgent: bool) -> list[Granted]:
        self.asked += 1
        await asyncio.sleep(0)
        granted = []
        for want in wants:
            amount = want.amount if want.amount < 0 else min(want.amount, self.there[want.kind])
            self.there[want.kind] -= amount
            granted.append(Granted(want.kind, amount, 3600.0))
        return granted

    async def shrink(self, scope: str, kinds: Sequence[tuple[RateKind, float]], *, pause_s: float) -> None:
        self.there = dict.fromkeys(self.there, 0.0)

    async def of_projects(self) -> dict[int, Mapping[RateKind, float]]:
        return self.projects


def pool_of(shelf: Shelf, **allowances: float) -> Pool:
    pool = Pool(shelf, "model", rng=Random(1))
    for kind, allowance in allowances.items():
        pool.allow(RateKind(kind), allowance)
    return pool


def soon(seconds: float = 20.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_waiting_calls_are_served_by_one_lease_of_a_slice():
    shelf = Shelf(requests=1000.0, tokens=1e6)
    pool = pool_of(shelf, requests=6000.0, tokens=6e6)
    needs = {REQUESTS: 1.0, TOKENS: 100.0}
    await asyncio.gather(*(pool.take(needs, BATCH, soon()) for _ in range(50)))
    assert shelf.asked == 1
    assert shelf.there == {REQUESTS: 950.0, TOKENS: 1e6 - 5000.0}


async def test_what_calls_did_not_use_serves_the_next_without_a_lease():
    shelf = Shelf(requests=10.0, tokens=1000.0)
    pool = pool_of(shelf, tokens=60_000.0)
    await pool.take({TOKENS: 300.0}, BATCH, soon())
    pool.settle({TOKENS: 200.0})
    await pool.take({TOKENS: 200.0}, BATCH, soon())
    assert shelf.asked == 1
    pool.settle({TOKENS: -150.0})  # one used more: it is taken from the shelf afterwards
    await pool.take({TOKENS: 10.0}, BATCH, soon())
    assert shelf.there[TOKENS] == 540.0


async def test_who_is_urgent_goes_before_a_batch_that_waited_longer():
    shelf, order = Shelf(requests=0.0), []
    pool = pool_of(shelf, requests=60.0)

    async def call(name: str, lane: Lane) -> None:
        await pool.take({REQUESTS: 1.0}, lane, soon())
        order.append(name)

    waiting = [asyncio.ensure_future(call("batch", BATCH)) for _ in range(3)]
    await asyncio.sleep(0.05)
    waiting.append(asyncio.ensure_future(call("urgent", Lane(2))))
    await asyncio.sleep(0.05)
    shelf.there[REQUESTS] = 100.0
    await asyncio.gather(*waiting)
    assert order[0] == "urgent"


def test_a_project_with_few_calls_does_not_wait_for_one_with_many():
    turns = Turns[str]()
    for index in range(100):
        turns.push(Lane(1, urgent=False), 1.0, f"many {index}")
    for _ in range(10):
        turns.pop()
    for index in range(3):
        turns.push(Lane(2, urgent=False), 1.0, f"few {index}")
    served = [turns.pop() for _ in range(6)]
    assert sum(name.startswith("few") for name in served) == 3


async def test_a_wait_ends_with_its_deadline_and_takes_nothing():
    shelf = Shelf(requests=0.0)
    pool = pool_of(shelf, requests=60.0)
    with pytest.raises(Exhausted, match="60 requests per minute"):
        await pool.take({REQUESTS: 1.0}, BATCH, soon(0.05))
    shelf.there[REQUESTS] = 1.0
    await pool.take({REQUESTS: 1.0}, BATCH, soon())


async def test_five_workers_keep_to_what_a_provider_allows(db: Database, provider: Provider):
    """In two seconds it serves 100 calls: without each other the five would send five times that."""
    model = "alpha,rpm=100,window=2"
    made = []
    for seed in range(5):
        lines = Lines(retries=RetryPolicy(attempts=1), rng=Random(seed))
        judge = judge_of(lines, provider.url("openai"), model, requests_per_minute=3000.0, timeout_s=60.0)
        lines.share(SharedRates(db))
        made.append((lines, judge))
    question = question_of(rubric_of(), lane=BATCH)
    asked = [judge.judge(question, deadline=soon(60.0)) for _, judge in made for _ in range(40)]
    replies = await asyncio.gather(*asked)
    turned_away = sum(reply.unscored is not None for reply in replies)
    assert turned_away <= 40  # of 200; a busy machine bunches calls, but without each other 100 would be
    assert provider.calls[model] == 200
    (state,) = await rate_states(db)
    assert state.taken > 199.99  # parts of a second's worth add up to it, but for rounding
    for lines, _ in made:
        await lines.close()


async def test_a_call_that_is_turned_away_slows_other_processes_too(db: Database, provider: Provider):
    model = "alpha!429;times=1;retry-after-ms=1"
    lines = Lines(retries=RetryPolicy(attempts=2, first_s=0.01, cap_s=0.01), rng=Random(1))
    judge = judge_of(lines, provider.url("openai"), model, requests_per_minute=6000.0)
    lines.share(SharedRates(db))
    reply = await ask(judge)
    assert reply.unscored is None
    (state,) = await rate_states(db)
    assert state.factor < 1.0
    await lines.close()


def pools_of(shelf: Shelf) -> ProjectRates:
    return ProjectRates(shelf, Random(1))


async def test_a_project_waits_for_its_own_allowance_and_others_do_not():
    shelf = Shelf(requests=2.0)
    shelf.projects = {1: {REQUESTS: 60.0}}
    rates = pools_of(shelf)
    for _ in range(2):
        await rates.take({REQUESTS: 1.0, TOKENS: 500.0}, BATCH, soon())
    with pytest.raises(Exhausted, match="the project's limit of 60 requests"):
        await rates.take({REQUESTS: 1.0}, BATCH, soon(0.05))
    await rates.take({REQUESTS: 1.0}, Lane(2), soon(0.05))
    rates.settle({REQUESTS: 1.0}, BATCH)
    await rates.take({REQUESTS: 1.0}, BATCH, soon())


async def test_a_projects_limit_that_is_taken_away_holds_nobody_up(monkeypatch):
    monkeypatch.setattr("app.judges.project_rates.REMEMBERED_S", 0.0)
    shelf = Shelf(requests=0.0)
    shelf.projects = {1: {REQUESTS: 60.0}}
    rates = pools_of(shelf)
    waiting = asyncio.ensure_future(rates.take({REQUESTS: 1.0}, BATCH, soon()))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    shelf.projects = {}
    await rates.take({REQUESTS: 1.0}, Lane(2), soon())  # whoever asks next hears of it
    await asyncio.wait_for(waiting, 5.0)


async def test_two_processes_keep_to_a_projects_limit(db: Database, project, provider: Provider):
    """The provider would take any number; what the project's calls took is on record, by process."""
    await set_limits(db, project.id, ProjectLimits(requests_per_minute=3000.0))
    lane, made = Lane(project.id, urgent=False), []
    for seed in range(2):
        lines = Lines(rng=Random(seed))
        judge = judge_of(lines, provider.url("openai"), "alpha", timeout_s=60.0)
        lines.share(SharedRates(db))
        made.append((lines, judge))
    start = asyncio.get_running_loop().time()
    question = question_of(rubric_of(), lane=lane)
    asked = [judge.judge(question, deadline=soon(60.0)) for _, judge in made for _ in range(75)]
    replies = await asyncio.gather(*asked)
    took = asyncio.get_running_loop().time() - start
    assert all(reply.unscored is None for reply in replies)
    # 50 a second flow, and what gathers in a second and a half is there at first.
    assert took >= (150 - 1.5 * 50) / 50
    (state,) = await rate_states(db, project.id)
    assert (state.scope, state.project_id, state.kind) == ("", project.id, REQUESTS)
    assert state.taken > 149.99
    assert sum(holder.used for holder in state.holders) == pytest.approx(state.used)
    assert await rate_states(db, project.id + 1) == ()
    for lines, _ in made:
        await lines.close()


async def test_two_projects_share_a_providers_allowance_evenly(db: Database, provider: Provider):
    """One has six times the calls waiting; by the time the other's are served, it had no more than these,
    beside what went before they came."""
    lines = Lines(rng=Random(1))
    judge = judge_of(
        lines,
        provider.url("openai"),
        "alpha,rpm=6000,window=60",
        requests_per_minute=3000.0,
        timeout_s=60.0,
        max_concurrency=500,
    )
    lines.share(SharedRates(db))
    served: list[int] = []

    async def call(project_id: int) -> None:
        question = question_of(rubric_of(), lane=Lane(project_id, urgent=False))
        await judge.judge(question, deadline=soon(60.0))
        served.append(project_id)

    await asyncio.gather(*(call(1) for _ in range(240)), *(call(2) for _ in range(40)))
    last = max(place for place, one in enumerate(served) if one == 2)
    assert last < 75 + 40 + 60
    await lines.close()


async def test_a_days_dollars_are_shared_and_say_when_they_are_spent(db: Database, provider: Provider):
    lines = Lines(rng=Random(1))
    judge = judge_of(lines, provider.url("anthropic"), "alpha", "anthropic", usd_per_day=0.000001)
    lines.share(SharedRates(db))
    unscored = unscored_of(await ask(judge))
    assert unscored.reason in (UnscoredReason.RATE_LIMITED, UnscoredReason.BUDGET)
    assert "$1e-06 a day" in unscored.detail
    assert provider.calls["alpha"] == 0
    await lines.close()
