"""Anthropic's batches of messages."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from datetime import datetime
from os import SEEK_END
from typing import IO, Any

import anthropic
import orjson
from anthropic.types.messages import MessageBatch

from app.judges.batching import TRANSFER_S, AtProvider, Ended, LineResult, Size, Standing, talk
from app.judges.completion import Completion
from app.judges.config import JudgeConfig
from app.judges.failures import failed_line, misshapen
from app.judges.prompt import Prompt

_PATH = "/v1/messages/batches"
_HEAD, _TAIL = b'{"requests":[', b"]}"
_BLOCK = 1 << 20
_PAGE = 100
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class AnthropicBatches:
    """Batches of one model. ``body`` and ``read`` are those of its ordinary calls."""

    def __init__(
        self,
        client: anthropic.AsyncAnthropic,
        config: JudgeConfig,
        body: Callable[[Prompt], dict[str, Any]],
        read: Callable[[Mapping[str, Any]], Completion],
    ) -> None:
        self._client, self._secret = client, config.api_key or ""
        self._body, self._read = body, read
        self.size = Size(config.batch_max_requests or 100_000, int(1e6 * (config.batch_max_mb or 256.0)))

    def line(self, custom_id: str, prompt: Prompt) -> bytes:
        """See `app.judges.batching.BatchWire.line`."""
        return orjson.dumps({"custom_id": custom_id, "params": self._body(prompt)})

    async def upload(self, name: str, lines: IO[bytes]) -> str | None:
        """Nothing: the lines go along with the creation."""
        return None

    async def create(self, intent: str, lines: IO[bytes], uploaded: str | None) -> AtProvider:
        """Sent as a stream: the typed `create` would hold and convert every request in memory."""
        size = lines.seek(0, SEEK_END)

        async def send() -> AtProvider:
            headers = {"content-type": "application/json", "content-length": str(size + 1 + len(_HEAD))}
            return _shown(
                await self._client.post(
                    _PATH, cast_to=MessageBatch, content=_joined(lines), options={"headers": headers}
                )
            )

        return await talk(send, secret=self._secret, seconds=TRANSFER_S)

    async def find(
        self, intent: str, uploaded: str | None, *, since: datetime, requests: int, known: Collection[str]
    ) -> tuple[AtProvider | None, bool]:
        """By its size and time, and for certain by the ids of its results, once it has ended.

        Batches carry no mark here: while one that may be it is at work, nobody can tell.
        """
        uncertain = False
        async for one in self._since(since):
            counts = one.request_counts
            total = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
            if one.id in known or total != requests or one.archived_at is not None:
                continue
            if one.processing_status != "ended":
                uncertain = True
            elif (await self._first_id(one.id)).startswith(f"{intent}-"):
                return _shown(one), True
        return None, not uncertain

    async def look(self, batch_id: str) -> AtProvider:
        """See `app.judges.batching.BatchWire.look`."""

        async def look() -> AtProvider:
            return _shown(await self._client.messages.batches.retrieve(batch_id))

        return await talk(look, secret=self._secret)

    async def cancel(self, batch_id: str) -> AtProvider:
        """See `app.judges.batching.BatchWire.cancel`."""

        async def cancel() -> AtProvider:
            return _shown(await self._client.messages.batches.cancel(batch_id))

        return await talk(cancel, secret=self._secret)

    async def fetch(self, batch: AtProvider, into: IO[bytes]) -> None:
        """See `app.judges.batching.BatchWire.fetch`."""

        async def fetch() -> None:
            async with self._client.messages.batches.with_streaming_response.results(batch.id) as response:
                async for block in response.iter_bytes():
                    into.write(block)

        await talk(fetch, secret=self._secret, seconds=TRANSFER_S)

    def read(self, line: bytes) -> LineResult:
        """See `app.judges.batching.BatchWire.read`."""
        said = orjson.loads(line)
        name, result = str(said["custom_id"]), said["result"]
        match result["type"]:
            case "expired":
                return LineResult(name, Ended.EXPIRED)
            case "canceled":
                return LineResult(name, Ended.CANCELLED)
            case "succeeded":
                try:
                    return LineResult(name, Ended.ANSWERED, completion=self._read(result["message"]))
                except (KeyError, IndexError, TypeError, ValueError, AttributeError) as wrong:
                    return LineResult(name, Ended.FAILED, failure=misshapen(wrong))
        error = result.get("error") or {}
        kind = str((error.get("error") or {}).get("type"))
        failure = failed_line(_STATUSES.get(kind, 500), error, secret=self._secret)
        return LineResult(name, Ended.FAILED, failure=failure)

    async def _since(self, since: datetime) -> AsyncIterator[MessageBatch]:
        """Batches of the account, newest first."""
        page = await talk(lambda: self._client.messages.batches.list(limit=_PAGE), secret=self._secret)
        while True:
            for one in page.data:
                if one.created_at < since:
                    return
                yield one
            if not page.has_next_page():
                return
            page = await talk(page.get_next_page, secret=self._secret)

    async def _first_id(self, batch_id: str) -> str:
        async def first() -> str:
            async with self._client.messages.batches.with_streaming_response.results(batch_id) as response:
                async for line in response.iter_lines():
                    if line.strip():
                        return str(orjson.loads(line)["custom_id"])
            return ""

        return await talk(first, secret=self._secret)


async def _joined(lines: IO[bytes]) -> AsyncIterator[bytes]:
    """The body of a creation from lines that each end in a line break; JSON has none within."""
    lines.seek(0)
    block = lines.read(_BLOCK)
    yield _HEAD
    while block:
        following = lines.read(_BLOCK)
        if not following:
            block = block[:-1]
        yield block.replace(b"\n", b",")
        block = following
    yield _TAIL


def _shown(batch: MessageBatch) -> AtProvider:
    counts = batch.request_counts
    standing = {"in_progress": Standing.WORKING, "canceling": Standing.CANCELLING}.get(
        batch.processing_status, Standing.COMPLETED
    )
    if standing is Standing.COMPLETED and counts.canceled:
        standing = Standing.CANCELLED
    elif standing is Standing.COMPLETED and counts.expired:
        standing = Standing.EXPIRED
    ended = counts.succeeded + counts.errored + counts.canceled + counts.expired
    return AtProvider(
        id=batch.id,
        standing=standing,
        requests=counts.processing + ended,
        done=counts.succeeded,
        failed=counts.errored + counts.expired,
        created_at=batch.created_at,
        expires_at=batch.expires_at,
        results=(batch.results_url,) if batch.results_url else (),
    )
