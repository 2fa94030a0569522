import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.judges.limits import Bucket, Limits, NoPlace, Slots


def clock() -> float:
    return asyncio.get_running_loop().time()


def limits_of(slots: int = 8, *, requests: float | None = None, tokens: float | None = None) -> Limits:
    limits = Limits(Slots(1), slots)
    limits.tighten(max_concurrency=slots, requests_per_minute=requests, tokens_per_minute=tokens)
    return limits


@given(
    per_minute=st.floats(1.0, 5000.0),
    gaps=st.lists(st.floats(0.0, 20.0), min_size=1, max_size=200),
)
def test_in_no_minute_do_more_calls_leave_a_bucket_than_allowed(per_minute, gaps):
    bucket, now, left = Bucket(per_minute), 0.0, []
    for gap in gaps:
        now += gap
        left.append(now + bucket.wait(1.0, now))
        bucket.take(1.0, now)
    for start in left:
        within = sum(start <= at < start + 60.0 - 1e-6 for at in left)
        assert within <= math.ceil(per_minute)


def test_a_full_bucket_lets_a_tenth_of_a_minute_go_at_once_and_the_rest_evenly():
    bucket = Bucket(600.0)
    waits = []
    for _ in range(62):
        waits.append(bucket.wait(1.0, 0.0))
        bucket.take(1.0, 0.0)
    assert waits[:60] == [0.0] * 60
    assert waits[60:] == pytest.approx([1 / 9, 2 / 9])  # 540 a minute flow in


def test_a_call_larger_than_the_bucket_waits_for_a_full_one_and_leaves_a_debt():
    bucket = Bucket(1000.0)
    assert bucket.wait(500.0, 0.0) == 0.0
    bucket.take(500.0, 0.0)
    assert bucket.wait(1.0, 0.0) == pytest.approx(401 / 15)


def test_what_was_not_used_is_given_back():
    bucket = Bucket(1000.0)
    bucket.take(100.0, 0.0)
    bucket.give_back(60.0)
    assert bucket.wait(60.0, 0.0) == 0.0
    assert bucket.wait(61.0, 0.0) > 0.0


async def test_no_more_calls_are_under_way_than_there_are_places():
    limits, under_way, most = limits_of(3), 0, 0

    async def call() -> None:
        nonlocal under_way, most
        await limits.enter(1.0, clock() + 30)
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.002)
        under_way -= 1
        limits.leave(1.0, 1.0)

    await asyncio.gather(*(call() for _ in range(20)))
    assert most == 3


async def test_models_of_one_endpoint_share_its_places():
    endpoint = Slots(1)
    first, second = Limits(endpoint, 2), Limits(endpoint, 1)
    await first.enter(0.0, clock() + 30)
    await first.enter(0.0, clock() + 30)
    with pytest.raises(NoPlace):
        await second.enter(0.0, clock() + 0.02)
    first.leave(0.0, 0.0)
    await second.enter(0.0, clock() + 30)


async def test_of_several_judges_of_one_model_the_tightest_limit_counts():
    limits = limits_of(requests=60.0)
    limits.tighten(max_concurrency=8, requests_per_minute=6.0, tokens_per_minute=None)
    limits.tighten(max_concurrency=8, requests_per_minute=600.0, tokens_per_minute=None)
    await limits.enter(0.0, clock() + 30)
    with pytest.raises(NoPlace, match="6 requests per minute"):
        await limits.enter(0.0, clock() + 1)


async def test_a_wait_that_would_outlast_the_deadline_is_not_begun():
    limits, started = limits_of(requests=1.0), clock()
    await limits.enter(0.0, clock() + 30)
    with pytest.raises(
        NoPlace, match=r"no place before the deadline: .* 1 requests per minute, (60.0|59.\d) s"
    ):
        await limits.enter(0.0, clock() + 30)
    assert clock() - started < 20


async def test_a_wait_within_the_deadline_is_kept():
    limits, started = limits_of(tokens=60_000.0), clock()
    await limits.enter(6000.0, clock() + 30)
    await limits.enter(90.0, clock() + 30)  # 900 tokens flow in per second
    assert clock() - started > 0.08


async def test_estimates_are_corrected_by_real_usage():
    limits = limits_of(tokens=60_000.0)
    await limits.enter(6000.0, clock() + 30)
    limits.leave(6000.0, 100.0)
    await limits.enter(5800.0, clock() + 3)  # uncorrected it would have to wait for 6 s, and so refuse


def test_estimates_follow_what_calls_took():
    limits = limits_of()
    assert limits.estimate(400, 2000) == 600.0
    limits.learn(400, 100, 100)
    assert limits.estimate(400, 2000) == pytest.approx(100.0 + 1.1 * 100.0)
    for _ in range(100):
        limits.learn(400, 200, 50)
    assert limits.estimate(400, 2000) == pytest.approx(200.0 + 1.1 * 50.0, rel=0.001)
    limits.learn(400, 0, 0)  # a call that failed says nothing
    assert limits.estimate(400, 2000) == pytest.approx(200.0 + 1.1 * 50.0, rel=0.001)
    assert limits.estimate(400, 30) == pytest.approx(200.0 + 30.0, rel=0.001)


async def test_nobody_calls_before_the_pause_that_a_provider_asked_for_is_over():
    limits = limits_of()
    started = clock()
    limits.pause(1.0, started)
    with pytest.raises(NoPlace, match="asked for a pause"):
        await limits.enter(0.0, clock() + 0.05)
    await limits.enter(0.0, clock() + 30)
    assert clock() - started >= 0.99


async def test_no_pause_lasts_longer_than_two_minutes():
    limits = limits_of()
    limits.pause(86_400.0, clock())
    with pytest.raises(NoPlace, match=r"1(20.0|19.\d) s to wait"):
        await limits.enter(0.0, clock() + 60)


async def test_a_cancelled_wait_takes_neither_place_nor_rate():
    limits = limits_of(1, requests=600.0)
    await limits.enter(0.0, clock() + 30)
    waiting = [asyncio.ensure_future(limits.enter(0.0, clock() + 5)) for _ in range(5)]
    await asyncio.sleep(0.01)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    limits.leave(0.0, 0.0)
    await limits.enter(0.0, clock() + 5)


async def test_a_place_handed_over_in_the_moment_of_cancellation_is_passed_on():
    slots = Slots(1)
    await slots.take()
    first, second = (asyncio.ensure_future(slots.take()) for _ in range(2))
    await asyncio.sleep(0)
    slots.give()
    first.cancel()
    await asyncio.wait([first])
    await asyncio.wait_for(second, 1)
    assert slots.used == 1
