"""What calls cost in US dollars, from the tokens that the provider counted."""

from dataclasses import replace

from app.domain.judging import Usage
from app.judges.config import JudgeConfig

_MILLION = 1_000_000


def usage_of(
    config: JudgeConfig,
    *,
    input_tokens: int,
    output_tokens: int,
    cached_tokens: int = 0,
    written_tokens: int = 0,
    attempts: int = 1,
) -> Usage:
    """The usage of one call.

    ``input_tokens`` includes ``cached_tokens``, which the provider read from its prompt cache, and
    ``written_tokens``, which it stored there. Reasoning tokens are output.
    """
    cost = cost_usd(
        config,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=cached_tokens,
        written_tokens=written_tokens,
    )
    return Usage(input_tokens, min(cached_tokens, input_tokens), output_tokens, cost, attempts)


def at_batch_price(config: JudgeConfig, usage: Usage) -> Usage:
    """The same tokens at what its provider takes for them in a batch."""
    return replace(usage, cost_usd=config.batch_factor * usage.cost_usd)


def cost_usd(
    config: JudgeConfig,
    *,
    input_tokens: int,
    output_tokens: int,
    cached_tokens: int = 0,
    written_tokens: int = 0,
) -> float:
    """Price of the tokens; those in a cache at their own price where it is configured."""
    cached_price, written_price = config.price_cached_input_per_mtok, config.price_cache_write_per_mtok
    cached = min(cached_tokens, input_tokens)
    written = min(written_tokens, input_tokens - cached)
    dollars = (
        (input_tokens - cached - written) * config.price_input_per_mtok
        + cached * (config.price_input_per_mtok if cached_price is None else cached_price)
        + written * (config.price_input_per_mtok if written_price is None else written_price)
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


def worst_cost_usd(config: JudgeConfig, *, prompt_bytes: int, max_output_tokens: int) -> float:
    """What a call may cost at most, before it is made: a token per byte, everything written, nothing cached.

    No tokenizer makes more tokens than there are bytes; what a provider adds of its own (roles, the reply's
    schema) has room in the difference, which is a factor of four for ordinary text.
    """
    written = prompt_bytes if config.price_cache_write_per_mtok is not None else 0
    dearer = (config.price_cache_write_per_mtok or 0.0) > config.price_input_per_mtok
    return cost_usd(
        config,
        input_tokens=prompt_bytes,
        output_tokens=max_output_tokens,
        written_tokens=written if dearer else 0,
    )
