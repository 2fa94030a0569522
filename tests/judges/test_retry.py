from datetime import UTC, datetime
from email.utils import format_datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.judges.retry import RetryPolicy, may_retry, retry_after_s, wait_before

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC).timestamp()


@given(failed=st.integers(1, 60), seed=st.integers())
def test_waits_without_advice_are_drawn_between_zero_and_a_capped_doubling_bound(failed, seed):
    wait = wait_before(RetryPolicy(first_s=0.5, cap_s=8.0), failed, None, Random(seed))
    assert 0.0 <= wait <= min(8.0, 0.5 * 2.0 ** (failed - 1))


@given(asked=st.floats(0.0, 1000.0), seed=st.integers())
def test_a_provider_that_asks_for_a_wait_gets_it_and_little_more(asked, seed):
    wait = wait_before(RetryPolicy(), 1, asked, Random(seed))
    assert asked <= wait <= asked + min(1.0, 0.1 * asked)


def test_the_same_chance_gives_the_same_waits():
    first, second = (
        [wait_before(RetryPolicy(), n, None, rng) for n in (1, 2, 3)] for rng in (Random(4), Random(4))
    )
    assert first == second


def test_calls_that_failed_together_come_back_spread_out():
    rng = Random(0)
    waits = sorted(wait_before(RetryPolicy(), 4, None, rng) for _ in range(1000))
    # Uniform on [0, 4]: quartiles at 1, 2, 3; the standard error of each is below 0.06.
    assert [waits[250], waits[500], waits[750]] == pytest.approx([1.0, 2.0, 3.0], abs=0.25)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": format_datetime(datetime.fromtimestamp(NOW + 12, UTC), usegmt=True)}, 12.0),
        ({"retry-after": format_datetime(datetime.fromtimestamp(NOW - 12, UTC), usegmt=True)}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Sun, 99 Nov 2026 12:00:00 GMT"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_as_seconds_milliseconds_or_a_date(headers, seconds):
    assert retry_after_s(headers, NOW) == seconds


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_these_statuses_are_worth_another_attempt(status):
    assert may_retry(status, {})


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_these_statuses_are_not(status):
    assert not may_retry(status, {})


def test_the_providers_own_word_on_retries_counts():
    assert not may_retry(500, {"x-should-retry": "false"})
    assert may_retry(400, {"x-should-retry": "true"})
