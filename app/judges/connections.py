"""How connections to providers are kept, the same for every SDK."""

from typing import Protocol

import httpx2

MOST_CONNECTIONS = (
    500  # per endpoint and process; how many are used is for a judge's `max_concurrency` to say
)

LIMITS = httpx2.Limits(
    max_connections=MOST_CONNECTIONS, max_keepalive_connections=MOST_CONNECTIONS, keepalive_expiry=60.0
)

TIMEOUT = httpx2.Timeout(None, connect=20.0)
"""Only connecting has a limit of its own: the whole call is bounded by its deadline (`app.judges.call`)."""


class SDKClient(Protocol):
    """What the clients of both SDKs can do."""

    async def post(self, path: str, *, cast_to: type[httpx2.Response], content: bytes) -> httpx2.Response: ...


class JsonPost:
    """``POST path`` of ready JSON, as an SDK makes it, at a third of its cost.

    The first call goes through the SDK. Its address, headers and time limits are the same for every
    later one, which repeats them on the SDK's own HTTP client and spares what the SDK does anew for each:
    merging options and headers, resolving the address, wrapping the reply (benchmarks/judge_calls.py).
    """

    def __init__(self, client: SDKClient, path: str) -> None:
        self._client, self._path = client, path
        self._http: httpx2.AsyncClient = client._client  # type: ignore[attr-defined]  # the one it was given
        self._sent: httpx2.Request | None = None

    async def __call__(self, body: bytes) -> httpx2.Response:
        """The reply, whatever its status; raises what the SDK or its transport raises where there is none."""
        if self._sent is None:
            return await self._through_sdk(body)
        sent = self._sent
        again = httpx2.Request(
            sent.method, sent.url, headers=sent.headers, content=body, extensions=dict(sent.extensions)
        )
        return await self._http.send(again)

    async def _through_sdk(self, body: bytes) -> httpx2.Response:
        try:
            response = await self._client.post(self._path, cast_to=httpx2.Response, content=body)
        except Exception as error:
            refusal = getattr(error, "response", None)  # both SDKs raise on a status of 400 or more
            if not isinstance(refusal, httpx2.Response):
                raise
            response = refusal
        if not response.history:  # a redirected request is no pattern for others
            self._sent = response.request
            self._sent.headers.pop("content-length", None)
        return response
