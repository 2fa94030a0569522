"""A provider that is dead or hangs costs a panel its first round of attempts, not a time-out each."""

import asyncio

from app.domain.judging import UnscoredReason
from app.judges.breaker import BreakerPolicy
from app.judges.lines import Lines
from app.judges.retry import RetryPolicy
from tests.judges.conftest import ask, judge_of, unscored_of
from tests.provider_server.behaviour import Behaviour
from tests.provider_server.server import Provider, serving


async def test_a_server_that_is_not_there_costs_one_fast_failure_and_then_nothing(lines):
    async with serving() as gone:
        url = gone.url("openai")
    judge = judge_of(lines, url, "alpha")
    reply = await ask(judge)
    assert unscored_of(reply).reason == UnscoredReason.PROVIDER_ERROR
    assert "no reply" in unscored_of(reply).detail
    assert reply.usage.attempts == 5
    again = await ask(judge)
    assert again.usage.attempts == 0
    assert "not called: 5 failures in a row" in unscored_of(again).detail


async def test_a_hanging_provider_costs_a_panel_one_round_of_timeouts_and_is_then_left_alone(provider):
    lines = Lines(breaker=BreakerPolicy(failures=3, cooldown_s=60, patience_s=0.1), retries=RetryPolicy(2))
    judges = [judge_of(lines, provider.url("openai"), name) for name in ("alpha!hang", "beta!hang")]
    await asyncio.gather(*(ask(judge, within=1) for judge in judges for _ in range(2)))
    reply = await ask(judges[0], within=5)
    assert "not called: 4 failures in a row" in unscored_of(reply).detail
    assert sum(provider.calls.values()) == 4
    assert judges[0].breaker.open_until is not None
    judges[0].breaker.open_until -= 60  # a minute later
    provider.set_model("alpha!hang", Behaviour())
    assert (await ask(judges[0])).unscored is None
    assert (await ask(judges[0])).unscored is None
    await lines.close()


async def test_while_a_probe_is_under_way_the_others_fail_at_once(provider: Provider):
    lines = Lines(breaker=BreakerPolicy(failures=1, cooldown_s=0.1), retries=RetryPolicy(1))
    provider.set_model("alpha", Behaviour(latency=200), "500;times=1")
    judge = judge_of(lines, provider.url("openai"), "alpha")
    assert unscored_of(await ask(judge)).reason == UnscoredReason.PROVIDER_ERROR
    await asyncio.sleep(0.15)
    replies = await asyncio.gather(*(ask(judge) for _ in range(5)))
    assert sum(reply.unscored is None for reply in replies) == 1
    assert sum("being tried again now" in reply.unscored.detail for reply in replies if reply.unscored) == 4
    assert provider.calls["alpha"] == 2
    await lines.close()


async def test_a_caller_in_a_hurry_does_not_open_the_breaker(provider: Provider, lines):
    judge = judge_of(lines, provider.url("openai"), "alpha,latency=100")
    for _ in range(7):
        await ask(judge, within=0.01)
    assert (await ask(judge)).unscored is None


async def test_a_provider_that_refuses_is_not_taken_for_dead(provider: Provider, lines):
    judge = judge_of(lines, provider.url("openai"), "alpha!401")
    for _ in range(8):
        await ask(judge)
    assert provider.calls["alpha!401"] == 8


async def test_a_dead_address_does_not_stop_judges_elsewhere(provider: Provider, lines):
    async with serving() as gone:
        dead = judge_of(lines, gone.url("openai"), "alpha")
    await ask(dead)
    assert (await ask(judge_of(lines, provider.url("openai"), "alpha"))).unscored is None
