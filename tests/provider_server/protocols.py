"""The three wire formats: what a request asks for, and how a reply or an error looks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.provider_server.verdicts import Piece

OPENAI_CHAT = "/v1/chat/completions"
OPENAI_RESPONSES = "/v1/responses"
ANTHROPIC = "/v1/messages"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for, in no protocol's words.

    ``schema_kind`` is json_schema, json_object or none; ``tool`` the name of a forced tool.
    """

    model: str
    text: str
    schema: Mapping[str, Any] | None
    schema_kind: str
    tool: str | None
    top_logprobs: int | None
    input_tokens: int


@dataclass(frozen=True, slots=True)
class Said:
    """What the model says: tokens, and how it ended: stop, length, refusal or filter."""

    tokens: Sequence[Piece]
    end: str = "stop"
    silent: bool = False  # content null

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.tokens)


def read_request(path: str, body: Mapping[str, Any], size: int) -> Asked:
    """Understand a request of any of the three protocols; KeyError if it is none."""
    if path == OPENAI_CHAT:
        return _read_chat(body, size)
    if path == OPENAI_RESPONSES:
        return _read_responses(body, size)
    return _read_anthropic(body, size)


def reply(path: str, asked: Asked, said: Said, cached: int) -> dict[str, Any]:
    """A successful answer in the protocol of ``path``."""
    if path == OPENAI_CHAT:
        return _chat(asked, said, cached)
    if path == OPENAI_RESPONSES:
        return _responses(asked, said, cached)
    return _anthropic(asked, said, cached)


def error(path: str, status: int, message: str) -> dict[str, Any]:
    """An error in the protocol of ``path``."""
    if path == ANTHROPIC:
        kind = {429: "rate_limit_error", 529: "overloaded_error", 400: "invalid_request_error"}.get(
            status, "api_error"
        )
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return {"error": {"message": message, "type": "error", "param": None, "code": str(status)}}


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content)


def _read_chat(body: Mapping[str, Any], size: int) -> Asked:
    wanted = body.get("response_format") or {"type": "none"}
    kind = wanted["type"] if wanted["type"] in ("json_schema", "json_object") else "none"
    schema = wanted["json_schema"]["schema"] if kind == "json_schema" else wanted.get("schema")
    return Asked(
        model=body["model"],
        text="\n".join(_text_of(message["content"]) for message in body["messages"]),
        schema=schema,
        schema_kind=kind,
        tool=None,
        top_logprobs=int(body.get("top_logprobs", 0)) if body.get("logprobs") else None,
        input_tokens=size // 4,
    )


def _read_responses(body: Mapping[str, Any], size: int) -> Asked:
    wanted = (body.get("text") or {}).get("format") or {"type": "text"}
    parts = body["input"] if isinstance(body["input"], list) else [{"content": body["input"]}]
    wants_logprobs = "message.output_text.logprobs" in (body.get("include") or ())
    return Asked(
        model=body["model"],
        text="\n".join([body.get("instructions") or "", *(_text_of(part["content"]) for part in parts)]),
        schema=wanted.get("schema"),
        schema_kind="json_schema" if wanted["type"] == "json_schema" else "none",
        tool=None,
        top_logprobs=int(body.get("top_logprobs", 0)) if wants_logprobs else None,
        input_tokens=size // 4,
    )


def _read_anthropic(body: Mapping[str, Any], size: int) -> Asked:
    wanted = (body.get("output_config") or {}).get("format") or {}
    choice = body.get("tool_choice") or {}
    tool = choice.get("name") if choice.get("type") == "tool" else None
    schema = wanted.get("schema")
    if tool is not None:
        schema = next(t["input_schema"] for t in body["tools"] if t["name"] == tool)
    int(body["max_tokens"])  # required by this protocol
    return Asked(
        model=body["model"],
        text="\n".join(
            [
                _text_of(body.get("system") or ""),
                *(_text_of(message["content"]) for message in body["messages"]),
            ]
        ),
        schema=schema,
        schema_kind="json_schema" if schema is not None else "none",
        tool=tool,
        top_logprobs=None,
        input_tokens=size // 4,
    )


def _token_logprobs(tokens: Sequence[Piece], top: int) -> list[dict[str, Any]]:
    return [
        {
            "token": text,
            "logprob": choices[0][1] if choices else 0.0,
            "bytes": list(text.encode()),
            "top_logprobs": [
                {"token": t, "logprob": p, "bytes": list(t.encode())}
                for t, p in (choices or ((text, 0.0),))[:top]
            ],
        }
        for text, choices in tokens
    ]


def _chat(asked: Asked, said: Said, cached: int) -> dict[str, Any]:
    refused = said.end == "refusal"
    message = {
        "role": "assistant",
        "content": None if refused or said.silent else said.text,
        "refusal": said.text if refused else None,
    }
    choice: dict[str, Any] = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": {"length": "length", "filter": "content_filter"}.get(said.end, "stop"),
    }
    if asked.top_logprobs is not None:
        choice["logprobs"] = {"content": _token_logprobs(said.tokens, asked.top_logprobs)}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": asked.model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": asked.input_tokens,
            "completion_tokens": len(said.tokens),
            "total_tokens": asked.input_tokens + len(said.tokens),
            "prompt_tokens_details": {"cached_tokens": cached},
        },
    }


def _responses(asked: Asked, said: Said, cached: int) -> dict[str, Any]:
    part: dict[str, Any] = {"type": "output_text", "text": said.text, "annotations": []}
    if said.end == "refusal":
        part = {"type": "refusal", "refusal": said.text}
    elif asked.top_logprobs is not None:
        part["logprobs"] = _token_logprobs(said.tokens, asked.top_logprobs)
    why = {"length": "max_output_tokens", "filter": "content_filter"}.get(said.end)
    message = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "incomplete" if why else "completed",
        "content": [] if said.silent else [part],
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_790_000_000,
        "model": asked.model,
        "status": "incomplete" if why else "completed",
        "incomplete_details": {"reason": why} if why else None,
        "error": None,
        "output": [{"type": "reasoning", "id": "rs_1", "summary": []}, message],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": asked.input_tokens,
            "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
            "output_tokens": len(said.tokens),
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": asked.input_tokens + len(said.tokens),
        },
    }


def _anthropic(asked: Asked, said: Said, cached: int) -> dict[str, Any]:
    if said.silent:
        content: list[dict[str, Any]] = []
    elif asked.tool is not None and said.end == "stop":
        content = [{"type": "tool_use", "id": "toolu_1", "name": asked.tool, "input": _as_object(said.text)}]
    else:
        content = [{"type": "text", "text": said.text}]
    ends = {"length": "max_tokens", "refusal": "refusal", "filter": "refusal"}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": content,
        "stop_reason": ends.get(said.end, "tool_use" if asked.tool else "end_turn"),
        "stop_sequence": None,
        "usage": {
            "input_tokens": asked.input_tokens - cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached,
            "output_tokens": len(said.tokens),
        },
    }


def _as_object(text: str) -> Any:
    """A tool's input as parsed by the provider; what does not parse arrives as an odd object, as it does."""
    try:
        return json.loads(text)
    except ValueError:
        return {"raw": text}
