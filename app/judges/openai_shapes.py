"""What OpenAI's two protocols have in common: the client, and the form of tokens with log-probabilities."""

from collections.abc import Mapping
from typing import Any

import openai

from app.judges.config import JudgeConfig
from app.judges.connections import LIMITS, TIMEOUT
from app.judges.expected import Token

OPENAI_URL = "https://api.openai.com/v1"


def connect(config: JudgeConfig) -> openai.AsyncOpenAI:
    """A client for the judge's endpoint, without retries or time limits of its own (the call has them)."""
    return openai.AsyncOpenAI(
        api_key=config.api_key or "none",  # the SDK insists on one; a server without keys ignores it
        base_url=config.base_url or OPENAI_URL,  # named here, or the SDK would read it from the environment
        max_retries=0,
        timeout=TIMEOUT,
        http_client=openai.DefaultAioHttpClient(limits=LIMITS, timeout=TIMEOUT),
    )


def read_token(entry: Mapping[str, Any]) -> Token:
    """One token of a reply; compatible servers may leave out its bytes."""
    raw = entry.get("bytes")
    return Token(
        raw=bytes(raw) if raw is not None else str(entry["token"]).encode("utf-8", "replace"),
        logprob=float(entry["logprob"]),
        alternatives=tuple(
            (str(other["token"]), float(other["logprob"])) for other in entry.get("top_logprobs") or ()
        ),
    )
