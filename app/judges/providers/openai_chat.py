"""OpenAI's chat completions, and every server that speaks them: Gemini, Mistral, vLLM, Ollama, llama.cpp."""

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


def openai_chat_judge(config: JudgeConfig, lines: Lines) -> CallingJudge:
    """A judge behind chat completions, OpenAI's or compatible ones; BadInput if its parameters are wrong."""
    line = lines.line(config, connect)
    wire = OpenAIChat(line.client, config)
    batches = OpenAIBatches(line.client, config, "/v1/chat/completions", wire.body, read_completion)
    return calling_judge(config, wire, line, lines, batches)


class OpenAIChat:
    """One model behind ``POST /chat/completions``.

    The request is written as JSON here and sent through the SDK's low-level ``post``, and the raw reply is
    read here: the typed ``create`` takes more than twice the processor time (benchmarks/judge_calls.py).
    """

    def __init__(self, client: openai.AsyncOpenAI, config: JudgeConfig) -> None:
        self._post, self._secret = JsonPost(client, "/chat/completions"), config.api_key or ""
        self._abilities, rest = read_params(config)
        longest = "max_completion_tokens" if config.provider == "openai" else "max_tokens"
        self._fixed: dict[str, Any] = {"model": config.model, longest: self.max_output_tokens, **rest}
        if self._abilities.top_logprobs:
            self._fixed |= {"logprobs": True, "top_logprobs": self._abilities.top_logprobs}

    @property
    def max_output_tokens(self) -> int:
        """The most that one attempt may write."""
        return self._abilities.max_output_tokens

    async def complete(self, prompt: Prompt) -> Completion:
        """See `app.judges.completion.Wire.complete`."""
        return await exchange(self._post, self.body(prompt), read=read_completion, secret=self._secret)

    def body(self, prompt: Prompt) -> dict[str, Any]:
        """The request that carries a prompt."""
        messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]
        body = {**self._fixed, "messages": messages}
        if self._abilities.schema == "json_schema":
            form = {"name": prompt.schema_name, "strict": True, "schema": prompt.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        elif self._abilities.schema == "json_object":
            body["response_format"] = {"type": "json_object", "schema": prompt.schema}
        return body


def read_completion(payload: Mapping[str, Any]) -> Completion:
    """The reply to such a request; KeyError and the like if it has not the protocol's form."""
    choice = payload["choices"][0]
    message = choice["message"]
    refusal, cut_off = message.get("refusal") or None, None
    count = _count(payload.get("usage") or {})
    match choice.get("finish_reason"):
        case "content_filter":
            refusal = refusal or "stopped by the provider's content filter"
        case "length":
            cut_off = f"the token limit was reached after {count.output} tokens of output"
    return Completion(
        text=_text(message.get("content")),
        count=count,
        refusal=refusal,
        cut_off=cut_off,
        tokens=tuple(read_token(token) for token in (choice.get("logprobs") or {}).get("content") or ()),
    )


def _text(content: object) -> str:
    """The message's text; some servers give it in parts, and one that calls for tools gives none."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if part.get("type") == "text")
    return content if isinstance(content, str) else ""


def _count(usage: Mapping[str, Any]) -> TokenCount:
    details = usage.get("prompt_tokens_details") or {}
    cached = details.get("cached_tokens", usage.get("prompt_cache_hit_tokens"))  # the latter: DeepSeek
    return TokenCount(
        input=whole(usage.get("prompt_tokens")),
        cached=whole(cached),
        output=whole(usage.get("completion_tokens")),
    )
