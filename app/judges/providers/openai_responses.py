"""OpenAI's responses."""

from collections.abc import Mapping
from typing import Any

import openai

from app.judges.call import CallingJudge, calling_judge
from app.judges.completion import Completion, TokenCount
from app.judges.config import JudgeConfig
from app.judges.connections import JsonPost
from app.judges.exchange import exchange
from app.judges.failures import whole
from app.judges.lines import Lines
from app.judges.openai_batches import OpenAIBatches
from app.judges.openai_shapes import connect, read_token
from app.judges.params import read_params
from app.judges.prompt import Prompt


def openai_responses_judge(config: JudgeConfig, lines: Lines) -> CallingJudge:
    """A judge behind OpenAI's responses; BadInput if its parameters are wrong."""
    line = lines.line(config, connect)
    wire = OpenAIResponses(line.client, config)
    batches = OpenAIBatches(line.client, config, "/v1/responses", wire.body, read_completion)
    return calling_judge(config, wire, line, lines, batches)


class OpenAIResponses:
    """One model behind ``POST /responses``; nothing is stored at the provider unless ``store`` says so."""

    def __init__(self, client: openai.AsyncOpenAI, config: JudgeConfig) -> None:
        self._post, self._secret = JsonPost(client, "/responses"), config.api_key or ""
        self._abilities, rest = read_params(config)
        self._text = rest.pop("text", {})  # verbosity stands beside the format
        self._fixed = {"store": False, **rest, "model": config.model}
        self._fixed["max_output_tokens"] = self._abilities.max_output_tokens
        if self._abilities.top_logprobs:
            self._fixed["include"] = ["message.output_text.logprobs"]
            self._fixed["top_logprobs"] = self._abilities.top_logprobs

    @property
    def max_output_tokens(self) -> int:
        """The most that one attempt may write."""
        return self._abilities.max_output_tokens

    async def complete(self, prompt: Prompt) -> Completion:
        """See `app.judges.completion.Wire.complete`."""
        return await exchange(self._post, self.body(prompt), read=read_completion, secret=self._secret)

    def body(self, prompt: Prompt) -> dict[str, Any]:
        """The request that carries a prompt."""
        body = {
            **self._fixed,
            "instructions": prompt.system,
            "input": [{"role": "user", "content": prompt.user}],
        }
        if self._abilities.schema == "json_schema":
            form = {
                "type": "json_schema",
                "name": prompt.schema_name,
                "strict": True,
                "schema": prompt.schema,
            }
            body["text"] = {**self._text, "format": form}
        elif self._text:
            body["text"] = self._text
        return body


def read_completion(payload: Mapping[str, Any]) -> Completion:
    """The reply to such a request; KeyError and the like if it has not the protocol's form."""
    parts = [
        part
        for entry in payload["output"]
        if entry["type"] == "message"
        for part in entry.get("content") or ()
    ]
    texts = [part for part in parts if part["type"] == "output_text"]
    refusals = [str(part["refusal"]) for part in parts if part["type"] == "refusal"]
    refusal, cut_off = " ".join(refusals) or None, None
    count = _count(payload.get("usage") or {})
    if payload.get("status") == "incomplete":
        why = (payload.get("incomplete_details") or {}).get("reason")
        if why == "content_filter":
            refusal = refusal or "stopped by the provider's content filter"
        else:
            cut_off = f"{why or 'no reason given'}, after {count.output} tokens of output"
    return Completion(
        text="".join(part["text"] for part in texts),
        count=count,
        refusal=refusal,
        cut_off=cut_off,
        tokens=tuple(read_token(token) for part in texts for token in part.get("logprobs") or ()),
    )


def _count(usage: Mapping[str, Any]) -> TokenCount:
    return TokenCount(
        input=whole(usage.get("input_tokens")),
        cached=whole((usage.get("input_tokens_details") or {}).get("cached_tokens")),
        output=whole(usage.get("output_tokens")),
    )
