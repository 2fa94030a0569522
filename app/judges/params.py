"""A judge's configured parameters: what is ours to understand, and what goes to the provider as it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.problems import BadInput, Problem
from app.judges.config import JudgeConfig

MAX_OUTPUT_TOKENS = 2048
"""Unless configured. A verdict takes some 200 tokens; models that think before they answer take more."""

MOST_TOP_LOGPROBS = 20  # what OpenAI allows

SCHEMAS: Mapping[str, tuple[str, ...]] = {
    "openai": ("json_schema", "json_object", "none"),
    "openai-compatible": ("json_schema", "json_object", "none"),
    "openai-responses": ("json_schema", "none"),
    "anthropic": ("json_schema", "tool", "none"),
}
"""The forms of reply that each provider's protocol has, the strictest first, which is the default."""

OURS = ("schema", "top_logprobs", "max_output_tokens", "cache_prompt")
_SETTLED = frozenset(
    {"model", "messages", "input", "instructions", "system", "stream", "stream_options", "n", "background"}
    | {"response_format", "tools", "tool_choice", "logprobs", "include"}
    | {"max_tokens", "max_completion_tokens"}
)


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a model is known to be able to do, from its configuration or a probe, and how much it may write.

    ``schema`` says how it is made to reply in the right form: ``json_schema``, ``json_object`` (with the
    schema beside it, as llama.cpp takes it), ``tool`` (a forced tool, Anthropic only) or ``none``.
    ``top_logprobs`` is 0 where log-probabilities are not to be asked for. ``cache_prompt`` marks the fixed
    part of the prompt for the provider's cache (Anthropic; OpenAI does so by itself).
    """

    schema: str = "json_schema"
    top_logprobs: int = 0
    max_output_tokens: int = MAX_OUTPUT_TOKENS
    cache_prompt: bool = False


def read_params(config: JudgeConfig) -> tuple[Abilities, dict[str, Any]]:
    """Split parameters into abilities and what is sent to the provider unchanged.

    Raises
    ------
    BadInput
        With every parameter that is wrong.
    """
    params, schemas = config.param_values(), SCHEMAS[config.provider]
    schema = params.get("schema", schemas[0])
    top = params.get("top_logprobs", 0)
    longest = params.get("max_output_tokens", MAX_OUTPUT_TOKENS)
    cache = params.get("cache_prompt", False)
    wrong = [_wrong(key, "is set by Venire itself", params[key]) for key in params if key in _SETTLED]
    if schema not in schemas:
        wrong.append(_wrong("schema", f"must be one of {', '.join(schemas)}", schema))
    if not _whole(top, 0, MOST_TOP_LOGPROBS):
        wrong.append(_wrong("top_logprobs", f"must be a whole number from 0 to {MOST_TOP_LOGPROBS}", top))
    elif top and config.provider == "anthropic":
        wrong.append(_wrong("top_logprobs", "must be 0: this provider gives no log-probabilities", top))
    if not _whole(longest, 1, 1_000_000):
        wrong.append(_wrong("max_output_tokens", "must be a whole number of at least 1", longest))
    if not isinstance(cache, bool):
        wrong.append(_wrong("cache_prompt", "must be true or false", cache))
    if wrong:
        raise BadInput("the judge's parameters cannot be used", wrong)
    rest = {key: value for key, value in params.items() if key not in OURS}
    return Abilities(schema, top, longest, cache), rest


def _wrong(key: str, problem: str, value: object) -> Problem:
    return Problem(problem, path=f"params.{key}", value=value)


def _whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
