"""One exchange with a provider, whatever its protocol: a body goes out, a completion or a failure returns."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from app.judges.completion import Completion
from app.judges.connections import JsonPost
from app.judges.failures import broken, misshapen, read_json, refused


async def exchange(
    post: JsonPost, body: Mapping[str, Any], *, read: Callable[[dict[str, Any]], Completion], secret: str
) -> Completion:
    """Send ``body`` and ``read`` the payload that answers it.

    Raises
    ------
    CallFailed
        For whatever goes wrong on the way, with ``secret`` kept out of its words.
    """
    try:
        response = await post(orjson.dumps(body))
    except Exception as error:
        raise broken(error, secret=secret) from None
    if response.is_error:
        raise refused(response, secret=secret, now=time.time())
    payload = read_json(response, secret=secret)
    try:
        return replace(read(payload), headers=response.headers)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise misshapen(error) from None
