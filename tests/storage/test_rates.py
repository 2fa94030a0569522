"""Leases in a time of our own, so that nothing hangs on the machine's speed."""

import asyncio
from datetime import datetime, timedelta
from random import Random

import pytest

from app.domain.rates import RateKind, Want
from app.storage.database import Database
from app.storage.rate_states import rate_states
from app.storage.rates import FLOW, GATHERS_S, RECOVERS_PER_S, RESERVE, SharedRates

REQUESTS, TOKENS, DOLLARS = RateKind.REQUESTS, RateKind.TOKENS, RateKind.DOLLARS


async def lease(shared, now, amount, *, kind=REQUESTS, allowance=600.0, urgent=False, least=0.0, **more):
    want = Want(kind, allowance, amount, least, **more)
    (granted,) = await shared.lease("model", [want], urgent=urgent, now=now)
    assert granted.kind is kind
    return granted


async def test_five_processes_use_nearly_all_of_an_allowance_and_in_no_minute_more(
    db: Database, now: datetime
):
    """As their pools would: each comes at odd moments for what ten waiting calls need."""
    shared, rng = SharedRates(db), Random(5)
    due = [(rng.uniform(0, 1), worker) for worker in range(5)]
    spent: list[tuple[float, float]] = []
    per_worker = [0.0] * 5
    while (at := min(due))[0] < 75.0:
        due.remove(at)
        got = await lease(shared, now + timedelta(seconds=at[0]), 10.0, least=1.0)
        spent.append((at[0], got.amount))
        per_worker[at[1]] += got.amount
        due.append((at[0] + max(0.6, got.wait_s) * rng.uniform(0.6, 1.4), at[1]))
    minutes = [
        sum(amount for at, amount in spent if start <= at < start + 60.0)
        for start, _ in spent
        if start < 15.0
    ]
    assert max(minutes) <= 600.0
    assert min(minutes) >= 0.9 * 600.0
    assert min(per_worker) > 0.5 * sum(per_worker) / 5


async def test_what_gathers_is_no_more_than_a_moments_worth(db: Database, now: datetime):
    shared = SharedRates(db)
    first = await lease(shared, now, 1000.0, urgent=True)
    assert first.amount == pytest.approx(GATHERS_S * FLOW[REQUESTS] * 10.0)
    later = await lease(shared, now + timedelta(hours=1), 1000.0, urgent=True)
    assert later.amount == pytest.approx(first.amount)


async def test_the_reserve_is_for_the_urgent(db: Database, now: datetime):
    shared, gathers = SharedRates(db), GATHERS_S * FLOW[REQUESTS] * 10.0
    batch = await lease(shared, now, 1000.0)
    assert batch.amount == pytest.approx((1 - RESERVE) * gathers)
    assert (await lease(shared, now, 1000.0)).amount == 0.0
    assert (await lease(shared, now, 2.0, urgent=True)).amount == 2.0
    more = await lease(shared, now, 1000.0)
    assert more.amount == 0.0
    assert more.wait_s == pytest.approx(2.0 / (FLOW[REQUESTS] * 10.0))


async def test_a_call_larger_than_what_gathers_leaves_a_debt(db: Database, now: datetime):
    shared = SharedRates(db)
    got = await lease(shared, now, 100.0, least=100.0, urgent=True)
    assert got.amount == 100.0
    debt = 100.0 - GATHERS_S * FLOW[REQUESTS] * 10.0
    none = await lease(shared, now, 1.0, urgent=True)
    assert none.amount == 0.0
    assert none.wait_s == pytest.approx(debt / (FLOW[REQUESTS] * 10.0))


async def test_what_is_given_back_can_be_had_by_others(db: Database, now: datetime):
    shared = SharedRates(db)
    await lease(shared, now, 10.0, urgent=True)
    await lease(shared, now, -6.0)
    assert (await lease(shared, now, 100.0, urgent=True)).amount == pytest.approx(
        GATHERS_S * FLOW[REQUESTS] * 10.0 - 4.0
    )


async def test_a_call_that_was_turned_away_slows_all_down_for_a_while(db: Database, now: datetime):
    shared = SharedRates(db)
    await lease(shared, now, 100.0, urgent=True)
    for _ in range(5):  # together they count once
        await shared.shrink("model", [(REQUESTS, 600.0)], pause_s=2.0, now=now)
    second = timedelta(seconds=1)
    assert (await lease(shared, now + 2.0 * second, 100.0, urgent=True)).amount == 0.0
    slowed = await lease(shared, now + 3.0 * second, 100.0, urgent=True)
    assert slowed.amount == pytest.approx((0.8 + 2 * RECOVERS_PER_S) * FLOW[REQUESTS] * 10.0)
    await lease(shared, now + 60 * second, 100.0, urgent=True)
    assert (await lease(shared, now + 61 * second, 100.0, urgent=True)).amount == pytest.approx(
        FLOW[REQUESTS] * 10.0
    )


async def test_no_more_is_given_than_the_provider_says_is_left(db: Database, now: datetime):
    shared = SharedRates(db)
    assert (await lease(shared, now, 10.0, urgent=True, ceiling=3.0)).amount == 3.0
    assert (await lease(shared, now, 10.0, urgent=True)).amount == 0.0


async def test_dollars_are_given_once_a_day(db: Database, now: datetime):
    shared = SharedRates(db)
    given = {"kind": DOLLARS, "allowance": 20.0}
    assert (await lease(shared, now, 15.0, **given)).amount == 15.0
    assert (await lease(shared, now, 15.0, **given)).amount == 5.0
    none = await lease(shared, now, 15.0, **given)
    assert (none.amount, none.wait_s) == (0.0, 12 * 3600.0)
    assert (await lease(shared, now + timedelta(hours=12), 15.0, **given)).amount == 15.0


async def test_leases_of_many_at_once_never_give_more_than_there_is(db: Database, now: datetime):
    shared = SharedRates(db)
    wants = [Want(TOKENS, 60_000.0, 100.0), Want(REQUESTS, 600.0, 1.0)]
    granted = await asyncio.gather(*(shared.lease("model", wants, urgent=True, now=now) for _ in range(40)))
    assert sum(tokens.amount for tokens, _ in granted) == pytest.approx(GATHERS_S * FLOW[TOKENS] * 1000.0)
    assert sum(requests.amount for _, requests in granted) == pytest.approx(GATHERS_S * FLOW[REQUESTS] * 10.0)
    states = {state.kind: state for state in await rate_states(db)}
    assert states[TOKENS].level == pytest.approx(0.0)
    assert states[TOKENS].taken == pytest.approx(GATHERS_S * FLOW[TOKENS] * 1000.0)


async def test_scopes_do_not_touch_each_other(db: Database, now: datetime):
    shared = SharedRates(db)
    await lease(shared, now, 100.0, urgent=True)
    (other,) = await shared.lease("another", [Want(REQUESTS, 600.0, 5.0)], urgent=True, now=now)
    assert other.amount == 5.0


async def test_the_databases_own_clock_flows(db: Database):
    shared = SharedRates(db)
    await shared.lease("model", [Want(REQUESTS, 60_000.0, 1e6)], urgent=True)
    await asyncio.sleep(0.05)
    (more,) = await shared.lease("model", [Want(REQUESTS, 60_000.0, 1e6)], urgent=True)
    assert more.amount > 0.0
