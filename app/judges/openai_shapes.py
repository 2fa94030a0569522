"""What OpenAI's two protocols have in common: the client, and the form of tokens with log-probabilities."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import httpx2
import openai

from app.domain.judging import UnscoredReason
from app.judges.completion import CallFailed
from app.judges.config import JudgeConfig
from app.judges.connections import LIMITS, TIMEOUT
from app.judges.expected import Token
from app.judges.failures import broken, misshapen, read_json, refused

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


async def list_models(config: JudgeConfig, timeout_s: float) -> tuple[str, ...]:
    """The ids of the models that a server offers at ``GET /models``, in its order.

    Raises
    ------
    CallFailed
        If it cannot be reached in ``timeout_s`` seconds, refuses, or lists none.
    """
    secret = config.api_key or ""
    client = connect(config)
    try:
        async with asyncio.timeout(timeout_s):
            response = await client.get("/models", cast_to=httpx2.Response)
        payload = read_json(response, secret=secret)
        models = tuple(dict.fromkeys(str(entry["id"]) for entry in payload.get("data") or ()))
    except CallFailed:
        raise
    except TimeoutError:
        raise CallFailed(UnscoredReason.TIMEOUT, f"no reply within {timeout_s:g} s") from None
    except openai.APIStatusError as error:
        raise refused(error.response, secret=secret, now=time.time()) from None
    except (KeyError, TypeError, AttributeError) as error:
        raise misshapen(error) from None
    except Exception as error:
        raise broken(error, secret=secret) from None
    finally:
        await client.close()
    if not models:
        raise CallFailed(UnscoredReason.PROVIDER_ERROR, f"{config.base_url} lists no models")
    return models


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
