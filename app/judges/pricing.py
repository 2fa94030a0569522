"""What calls cost in US dollars, from the tokens that the provider counted."""

from app.domain.judging import Usage
from app.judges.config import JudgeConfig

_MILLION = 1_000_000


def usage_of(
    config: JudgeConfig, *, input_tokens: int, output_tokens: int, cached_tokens: int = 0, attempts: int = 1
) -> Usage:
    """The usage of one call. ``input_tokens`` includes ``cached_tokens``; reasoning tokens are output."""
    cached = min(cached_tokens, input_tokens)
    return Usage(
        input_tokens=input_tokens,
        cached_tokens=cached,
        output_tokens=output_tokens,
        cost_usd=cost_usd(
            config, input_tokens=input_tokens, output_tokens=output_tokens, cached_tokens=cached
        ),
        attempts=attempts,
    )


def cost_usd(config: JudgeConfig, *, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float:
    """Price of the tokens; cached input costs as much as other input unless its price is configured."""
    cached_price = config.price_cached_input_per_mtok
    if cached_price is None:
        cached_price = config.price_input_per_mtok
    fresh = max(input_tokens - cached_tokens, 0)
    dollars = (
        fresh * config.price_input_per_mtok
        + cached_tokens * cached_price
        + output_tokens * config.price_output_per_mtok
    )
    return dollars / _MILLION


def add_usage(first: Usage, second: Usage) -> Usage:
    """The usage of several calls for one seat: retries cost too."""
    return Usage(
        input_tokens=first.input_tokens + second.input_tokens,
        cached_tokens=first.cached_tokens + second.cached_tokens,
        output_tokens=first.output_tokens + second.output_tokens,
        cost_usd=first.cost_usd + second.cost_usd,
        attempts=first.attempts + second.attempts,
    )


def worst_cost_usd(config: JudgeConfig, *, prompt_chars: int, max_output_tokens: int) -> float:
    """An upper bound on the price of a call before it is made, for budgets.

    A token holds at least one UTF-8 byte and a character at most four, but text of any language stays
    below one token per character in today's tokenisers; emoji and rare scripts may pass it.
    """
    return cost_usd(config, input_tokens=prompt_chars, output_tokens=max_output_tokens)
