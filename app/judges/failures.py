"""What goes wrong between us and a provider -> a failed call with its reason, in words, without secrets."""

import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import httpx2
import orjson

from app.domain.judging import UnscoredReason
from app.judges.completion import CallFailed, TokenCount, shortened
from app.judges.retry import may_retry, retry_after_s

_UNSENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ConnectionRefusedError)
_UNSENT_ABOVE = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
"""There was no connection on which a question could have been sent. What stands above aiohttp says so of a
connection that was reset under way, too, so that its word counts only where aiohttp said nothing."""

_FUTILE = ("insufficient_quota", "billing_hard_limit_reached", "credit balance")
"""A 429 or 400 with these will not pass by waiting: an account has to be filled."""


def refused(response: httpx2.Response, *, secret: str, now: float) -> CallFailed:
    """A reply with a 4xx or 5xx status; ``now`` is a Unix time, for a `retry-after` that is a date."""
    try:
        body = orjson.loads(response.content)
    except ValueError:
        body = response.text
    return _refusal(response.status_code, response.headers, body, secret=secret, now=now)


def _refusal(status: int, headers: Mapping[str, str], body: object, *, secret: str, now: float) -> CallFailed:
    message = f"HTTP {status}: {_message(body) or 'no explanation'}"
    futile = any(word in str(body) for word in _FUTILE)
    limited = status == 429 and not futile
    timed_out = status == 408
    reason = UnscoredReason.PROVIDER_ERROR
    if limited:
        reason = UnscoredReason.RATE_LIMITED
    elif timed_out:
        reason = UnscoredReason.TIMEOUT
    retry = may_retry(status, headers) and not futile
    return CallFailed(
        reason,
        shortened(message, secret),
        retry=retry,
        retry_after=retry_after_s(headers, now) if retry else None,
        alive=status < 500,
        count=_count(body),
        status=status,
        headers=headers,
        maybe_billed=timed_out,
    )


def failed_line(status: int, body: object, *, secret: str) -> CallFailed:
    """A request of a batch that its provider answered with a 4xx or 5xx status, as a call's would be."""
    return _refusal(status, {}, body, secret=secret, now=0.0)


def broken(error: BaseException, *, secret: str) -> CallFailed:
    """A call that brought no reply: no connection, a reset, bytes that are no HTTP, a time-out on the way.

    The SDKs wrap these two or three deep, and OpenAI's takes a reset for a time-out, so the innermost
    error decides.
    """
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    cause = chain[-1]
    below = any(isinstance(one, aiohttp.ClientError) for one in chain)
    unsent = any(isinstance(one, _UNSENT if below else (*_UNSENT, *_UNSENT_ABOVE)) for one in chain)
    said = shortened(f"{_name(cause)}: {cause}" if str(cause) else _name(cause), secret)
    if isinstance(cause, aiohttp.ServerTimeoutError | httpx2.TimeoutException | TimeoutError):
        reason, detail = UnscoredReason.TIMEOUT, f"time-out on the way: {said}"
    else:
        reason, detail = UnscoredReason.PROVIDER_ERROR, f"no reply: {said}"
    return CallFailed(reason, detail, retry=True, alive=False, maybe_billed=not unsent)


def read_json(response: httpx2.Response, *, secret: str) -> dict[str, Any]:
    """The JSON object of a successful reply.

    Raises
    ------
    CallFailed
        If it is anything else: a sign-in page, an empty body, an error under a status of 200.
    """
    try:
        payload = orjson.loads(response.content)
    except ValueError:
        kind = response.headers.get("content-type", "no content type")
        start = response.content[:80].decode("utf-8", "replace") or "nothing"
        raise _odd(f"the reply is no JSON but {kind}: {shortened(start, secret)}") from None
    if not isinstance(payload, dict):
        raise _odd("the reply is no JSON object")
    error = payload.get("error")
    if error:
        code = error.get("code") if isinstance(error, dict) else None
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
        raise _refusal(status, response.headers, payload, secret=secret, now=time.time())
    return payload


def misshapen(error: Exception) -> CallFailed:
    """A reply in JSON that has not the form of its protocol."""
    return _odd(f"the reply has not the form of its protocol: {_name(error)}: {error}")


def whole(value: object) -> int:
    """A count of tokens; 0 where the provider gave none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _odd(detail: str) -> CallFailed:
    said = shortened(detail)
    return CallFailed(UnscoredReason.PROVIDER_ERROR, said, retry=True, alive=False, maybe_billed=True)


def _message(body: object) -> str:
    """The sentence meant for people within an error's body."""
    if isinstance(body, str):
        return body
    if not isinstance(body, dict):
        return ""
    error = body.get("error", body)
    if isinstance(error, str):
        return error
    if isinstance(error, dict):
        for key in ("message", "detail", "error"):
            if isinstance(error.get(key), str):
                return str(error[key])
    return str(body)


def _count(body: object) -> TokenCount:
    """Tokens of a failed attempt, where the provider reports them."""
    usage = body.get("usage") if isinstance(body, dict) else None
    if not isinstance(usage, dict):
        return TokenCount()
    return TokenCount(
        input=whole(usage.get("prompt_tokens", usage.get("input_tokens"))),
        output=whole(usage.get("completion_tokens", usage.get("output_tokens"))),
    )


def _name(error: BaseException) -> str:
    return type(error).__name__
