import pytest

from app.domain.judging import Usage
from app.judges.config import JudgeConfig
from app.judges.pricing import add_usage, cost_usd, usage_of, worst_cost_usd

PLAIN = JudgeConfig("j", "f", "openai", "m", price_input_per_mtok=2.0, price_output_per_mtok=10.0)
CACHING = JudgeConfig(
    "j",
    "f",
    "anthropic",
    "m",
    price_input_per_mtok=2.0,
    price_cached_input_per_mtok=0.2,
    price_cache_write_per_mtok=2.5,
    price_output_per_mtok=10.0,
)


def test_tokens_cost_their_price_per_million():
    assert cost_usd(PLAIN, input_tokens=1_000_000, output_tokens=100_000) == pytest.approx(3.0)


def test_cached_tokens_cost_as_much_as_others_unless_they_have_a_price():
    assert cost_usd(PLAIN, input_tokens=1000, output_tokens=0, cached_tokens=900) == pytest.approx(0.002)
    cost = cost_usd(CACHING, input_tokens=1000, output_tokens=0, cached_tokens=700, written_tokens=200)
    assert cost == pytest.approx((100 * 2.0 + 700 * 0.2 + 200 * 2.5) / 1e6)


def test_a_provider_that_counts_more_cached_than_input_tokens_never_makes_a_negative_price():
    usage = usage_of(CACHING, input_tokens=100, output_tokens=0, cached_tokens=500, written_tokens=500)
    assert usage.cost_usd == pytest.approx(100 * 0.2 / 1e6)
    assert usage.cached_tokens == 100


def test_retries_add_up():
    first = usage_of(PLAIN, input_tokens=1000, output_tokens=10, cached_tokens=5)
    second = usage_of(PLAIN, input_tokens=1000, output_tokens=20)
    assert add_usage(first, second) == Usage(2000, 5, 30, pytest.approx(0.0043), 2)


def test_a_free_judge_costs_nothing():
    free = JudgeConfig("j", "f", "openai-compatible", "m")
    assert usage_of(free, input_tokens=10_000, output_tokens=10_000).cost_usd == 0.0


def test_the_worst_case_takes_the_most_output_and_a_token_for_each_character():
    worst = worst_cost_usd(PLAIN, prompt_bytes=4000, max_output_tokens=800)
    assert worst == pytest.approx((4000 * 2.0 + 800 * 10.0) / 1e6)
