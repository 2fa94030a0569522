"""Anthropic's messages."""

from collections.abc import Mapping
from typing import Any

import anthropic
import orjson

from app.judges.anthropic_batches import AnthropicBatches
from app.judges.call import CallingJudge, calling_judge
from app.judges.completion import Completion, TokenCount
from app.judges.config import JudgeConfig
from app.judges.connections import LIMITS, TIMEOUT, JsonPost
from app.judges.exchange import exchange
from app.judges.failures import whole
from app.judges.lines import Lines
from app.judges.params import read_params
from app.judges.prompt import Prompt

ANTHROPIC_URL = "https://api.anthropic.com"


def anthropic_judge(config: JudgeConfig, lines: Lines) -> CallingJudge:
    """A judge behind Anthropic's messages; BadInput if its parameters are wrong."""
    line = lines.line(config, connect)
    wire = AnthropicMessages(line.client, config)
    batches = AnthropicBatches(line.client, config, wire.body, read_completion)
    return calling_judge(config, wire, line, lines, batches)


def connect(config: JudgeConfig) -> anthropic.AsyncAnthropic:
    """A client for the judge's endpoint, without retries or time limits of its own (the call has them)."""
    return anthropic.AsyncAnthropic(
        api_key=config.api_key or "none",  # or the SDK would look for one elsewhere
        base_url=config.base_url
        or ANTHROPIC_URL,  # named here, or the SDK would read it from the environment
        max_retries=0,
        timeout=TIMEOUT,
        http_client=anthropic.DefaultAioHttpClient(limits=LIMITS, timeout=TIMEOUT),
    )


class AnthropicMessages:
    """One model behind ``POST /v1/messages``. Temperature goes along only where it is configured."""

    def __init__(self, client: anthropic.AsyncAnthropic, config: JudgeConfig) -> None:
        self._post, self._secret = JsonPost(client, "/v1/messages"), config.api_key or ""
        self._abilities, rest = read_params(config)
        self._output_config = rest.pop("output_config", {})  # effort stands beside the format
        self._fixed = {**rest, "model": config.model, "max_tokens": self._abilities.max_output_tokens}

    @property
    def max_output_tokens(self) -> int:
        """The most that one attempt may write."""
        return self._abilities.max_output_tokens

    async def complete(self, prompt: Prompt) -> Completion:
        """See `app.judges.completion.Wire.complete`."""
        return await exchange(self._post, self.body(prompt), read=read_completion, secret=self._secret)

    def body(self, prompt: Prompt) -> dict[str, Any]:
        """The request that carries a prompt."""
        system: Any = prompt.system
        if self._abilities.cache_prompt:
            system = [{"type": "text", "text": prompt.system, "cache_control": {"type": "ephemeral"}}]
        body = {**self._fixed, "system": system, "messages": [{"role": "user", "content": prompt.user}]}
        if self._abilities.schema == "json_schema":
            form = {"type": "json_schema", "schema": prompt.schema}
            body["output_config"] = {**self._output_config, "format": form}
        elif self._output_config:
            body["output_config"] = self._output_config
        if self._abilities.schema == "tool":
            about = "Gives the verdict."
            body["tools"] = [
                {"name": prompt.schema_name, "description": about, "input_schema": prompt.schema}
            ]
            body["tool_choice"] = {"type": "tool", "name": prompt.schema_name}
        return body


def read_completion(payload: Mapping[str, Any]) -> Completion:
    """The reply to such a request; KeyError and the like if it has not the protocol's form."""
    count = _count(payload.get("usage") or {})
    refusal = cut_off = None
    text = _text(payload["content"])
    match payload.get("stop_reason"):
        case "refusal":
            refusal = text or "the model declined"
        case "max_tokens" | "model_context_window_exceeded" as why:
            cut_off = f"{why}, after {count.output} tokens of output"
    return Completion(text=text, count=count, refusal=refusal, cut_off=cut_off)


def _text(content: list[Mapping[str, Any]]) -> str:
    """The text of a reply, or the input of the forced tool, which is the verdict; thoughts are left out."""
    tools = [block["input"] for block in content if block["type"] == "tool_use"]
    if tools:
        return "\n".join(orjson.dumps(tool).decode() for tool in tools)
    return "".join(block["text"] for block in content if block["type"] == "text")


def _count(usage: Mapping[str, Any]) -> TokenCount:
    """Here ``input_tokens`` leaves out what was read from or written to the cache."""
    cached = whole(usage.get("cache_read_input_tokens"))
    written = whole(usage.get("cache_creation_input_tokens"))
    return TokenCount(
        input=whole(usage.get("input_tokens")) + cached + written,
        cached=cached,
        output=whole(usage.get("output_tokens")),
        written=written,
    )
