"""OpenAI's files and batches, for chat completions and responses; also those of compatible servers."""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import IO, Any, Literal

import openai
import orjson
from openai.types import Batch

from app.judges.batching import INTENT, TRANSFER_S, AtProvider, Ended, LineResult, Size, Standing, talk
from app.judges.completion import Completion, shortened
from app.judges.config import JudgeConfig
from app.judges.failures import failed_line, misshapen
from app.judges.prompt import Prompt

Endpoint = Literal["/v1/chat/completions", "/v1/responses"]

_STANDING = {
    "failed": Standing.FAILED,
    "completed": Standing.COMPLETED,
    "expired": Standing.EXPIRED,
    "cancelling": Standing.CANCELLING,
    "cancelled": Standing.CANCELLED,
}
_FULL = "token_limit_exceeded"  # too many tokens of the account are waiting in batches
_NOT_TRIED = {"batch_expired": Ended.EXPIRED, "batch_cancelled": Ended.CANCELLED}
_PAGE = 100


class OpenAIBatches:
    """Batches of one model. ``body`` and ``read`` are those of its ordinary calls."""

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        config: JudgeConfig,
        endpoint: Endpoint,
        body: Callable[[Prompt], dict[str, Any]],
        read: Callable[[Mapping[str, Any]], Completion],
    ) -> None:
        self._client, self._secret, self._endpoint = client, config.api_key or "", endpoint
        self._body, self._read = body, read
        self.size = Size(config.batch_max_requests or 50_000, int(1e6 * (config.batch_max_mb or 200.0)))

    def line(self, custom_id: str, prompt: Prompt) -> bytes:
        """See `app.judges.batching.BatchWire.line`."""
        request = {"custom_id": custom_id, "method": "POST", "url": self._endpoint}
        return orjson.dumps({**request, "body": self._body(prompt)})

    async def upload(self, name: str, lines: IO[bytes]) -> str | None:
        """The id of the file."""

        async def send() -> str:
            lines.seek(0)
            return (await self._client.files.create(file=(f"{name}.jsonl", lines), purpose="batch")).id

        return await talk(send, secret=self._secret, seconds=TRANSFER_S)

    async def create(self, intent: str, lines: IO[bytes], uploaded: str | None) -> AtProvider:
        """See `app.judges.batching.BatchWire.create`."""
        assert uploaded is not None  # `upload` returned it

        async def send() -> AtProvider:
            return _shown(
                await self._client.batches.create(
                    input_file_id=uploaded,
                    endpoint=self._endpoint,
                    completion_window="24h",
                    metadata={INTENT: intent},
                )
            )

        return await talk(send, secret=self._secret)

    async def find(
        self, intent: str, uploaded: str | None, *, since: datetime, requests: int, known: Collection[str]
    ) -> tuple[AtProvider | None, bool]:
        """By its mark, or where a server keeps none by the file that was brought for it alone."""

        async def look() -> AtProvider | None:
            async for one in self._client.batches.list(limit=_PAGE):
                if datetime.fromtimestamp(one.created_at, UTC) < since:
                    return None
                marked = (one.metadata or {}).get(INTENT) == intent
                if marked or (uploaded is not None and one.input_file_id == uploaded):
                    return _shown(one)
            return None

        return await talk(look, secret=self._secret), True

    async def look(self, batch_id: str) -> AtProvider:
        """See `app.judges.batching.BatchWire.look`."""

        async def look() -> AtProvider:
            return _shown(await self._client.batches.retrieve(batch_id))

        return await talk(look, secret=self._secret)

    async def cancel(self, batch_id: str) -> AtProvider:
        """See `app.judges.batching.BatchWire.cancel`."""

        async def cancel() -> AtProvider:
            return _shown(await self._client.batches.cancel(batch_id))

        return await talk(cancel, secret=self._secret)

    async def fetch(self, batch: AtProvider, into: IO[bytes]) -> None:
        """Answers and errors stand in two files."""

        async def fetch(name: str) -> None:
            async with self._client.files.with_streaming_response.content(name) as response:
                last = b"\n"
                async for block in response.iter_bytes():
                    into.write(block)
                    last = block[-1:] or last
            if last != b"\n":
                into.write(b"\n")

        for name in batch.results:
            await talk(partial(fetch, name), secret=self._secret, seconds=TRANSFER_S)

    def read(self, line: bytes) -> LineResult:
        """See `app.judges.batching.BatchWire.read`."""
        said = orjson.loads(line)
        name, response, error = str(said["custom_id"]), said.get("response"), said.get("error")
        if response is None:
            code = str((error or {}).get("code"))
            if code in _NOT_TRIED:
                return LineResult(name, _NOT_TRIED[code])
            return LineResult(name, Ended.FAILED, failure=failed_line(500, error, secret=self._secret))
        status, body = int(response["status_code"]), response.get("body")
        if status >= 400:
            return LineResult(name, Ended.FAILED, failure=failed_line(status, body, secret=self._secret))
        try:
            return LineResult(name, Ended.ANSWERED, completion=self._read(body))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as wrong:
            return LineResult(name, Ended.FAILED, failure=misshapen(wrong))


def _shown(batch: Batch) -> AtProvider:
    counts, why = batch.request_counts, (batch.errors.data if batch.errors else None) or []
    standing = _STANDING.get(batch.status, Standing.WORKING)
    if standing is Standing.FAILED and any(error.code == _FULL for error in why):
        standing = Standing.FULL
    said = "; ".join(dict.fromkeys(f"{error.code}: {error.message}" for error in why))
    return AtProvider(
        id=batch.id,
        standing=standing,
        requests=counts.total if counts else 0,
        done=counts.completed if counts else 0,
        failed=counts.failed if counts else 0,
        created_at=datetime.fromtimestamp(batch.created_at, UTC),
        expires_at=datetime.fromtimestamp(batch.expires_at, UTC) if batch.expires_at else None,
        results=tuple(name for name in (batch.output_file_id, batch.error_file_id) if name),
        detail=shortened(said) or None,
    )
