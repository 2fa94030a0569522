"""A real HTTP server that speaks three providers' protocols, counts its calls and fails on request.

It is made for tests and benchmarks alike: a thin asyncio protocol on httptools, whose replies are
computed once per shape of request, so that the server's share of a measurement stays small.

In tests (same event loop)::

    async with serving() as provider:
        judge = ...(base_url=provider.url("openai"), model="alpha!429;times=1")
        ...
        assert provider.calls["alpha!429;times=1"] == 2

In its own process: ``python -m tests.provider_server --port 9000``, with ``GET /control``,
``POST /control/reset``, ``POST /control/model`` and ``POST /control/batches`` (see `Provider.control`).
"""

import asyncio
import contextlib
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any

import orjson

from tests.provider_server import protocols
from tests.provider_server.allowance import Allowance
from tests.provider_server.batch_endpoints import Batches
from tests.provider_server.behaviour import OF_CALLS, Behaviour, Fault, read_fault, read_name, struck
from tests.provider_server.protocols import Asked, Said
from tests.provider_server.verdicts import (
    bounded,
    find_form,
    form_line,
    json_objects,
    out_of_range,
    picker,
    pieces,
)
from tests.provider_server.wire import Connection, Response

POSTS = frozenset({protocols.OPENAI_CHAT, protocols.OPENAI_RESPONSES, protocols.ANTHROPIC})
_MARKER = 12  # digits of the number that fences a prompt's texts; it must not sway the pick


@dataclass(frozen=True, slots=True)
class Request:
    """A call as it arrived; ``connection`` counts connections from 1."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    connection: int
    at: float


@dataclass(slots=True)
class Model:
    behaviour: Behaviour
    faults: list[Fault] = field(default_factory=list)
    allowance: Allowance | None = None

    def __post_init__(self) -> None:
        told = self.behaviour
        if told.rpm or told.tpm:
            self.allowance = Allowance(told.rpm or None, told.tpm or None, told.window)


class Provider:
    """What all connections share: models, counts, the last requests.

    ``calls`` counts requests per model name that reached the server, also those that failed; ``billed``
    the tokens per model and kind (input, output) of the replies that were sent whole.
    """

    def __init__(self, models: tuple[str, ...] = (), *, keep: int = 200) -> None:
        self.offered = models or ("llama-3.2-1b-instruct", "qwen2.5-0.5b-instruct", "house-model")
        self.models: dict[str, Model] = {}
        self.calls: Counter[str] = Counter()
        self.billed: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.requests: deque[Request] = deque(maxlen=keep)
        self.connections = 0
        self.open: set[Connection] = set()
        self.in_flight: Counter[str] = Counter()
        self.most_in_flight: Counter[str] = Counter()
        self.address = ("127.0.0.1", 0)
        self._shapes: dict[Any, bytes] = {}
        self.batches = Batches(self._line)

    def url(self, protocol: str) -> str:
        """The base URL to configure: ``openai`` ends in /v1, ``anthropic`` does not."""
        host, port = self.address
        return f"http://{host}:{port}" + ("/v1" if protocol.startswith("openai") else "")

    def set_model(self, name: str, behaviour: Behaviour | None = None, *faults: str) -> None:
        """Give a plainly named model a behaviour and faults; forgets how often earlier ones struck."""
        self.models[name] = Model(behaviour or Behaviour(), [read_fault(text) for text in faults])

    def reset(self) -> None:
        """Forget counts, requests, faults and behaviours."""
        for counts in (self.calls, self.in_flight, self.most_in_flight):
            counts.clear()
        self.billed.clear()
        self.requests.clear()
        self.models.clear()
        self.batches.reset()

    def model(self, name: str) -> Model:
        if name not in self.models:
            self.models[name] = Model(*read_name(name))
        return self.models[name]

    def answer(
        self, connection: Connection, method: str, path: str, headers: dict[str, str], raw: bytes
    ) -> None:
        """Serve one request; called by the connection, which sends what is handed to it."""
        if path.startswith("/control"):
            connection.send(self.control(path, orjson.loads(raw) if raw else {}))
            return
        if method == "GET" and path == "/v1/models":
            connection.send(Response(200, orjson.dumps(self._model_list())))
            return
        if path not in POSTS and self.batches.serves(path):
            seconds, answer = self.batches.serve(method, path, connection.query, headers, raw)
            self._answer_late(connection, seconds, answer)
            return
        if method != "POST" or path not in POSTS:
            connection.send(Response(404, orjson.dumps(protocols.error(path, 404, f"no such path: {path}"))))
            return
        try:
            body = orjson.loads(raw)
            asked = protocols.read_request(path, body, len(raw))
            model = self.model(asked.model)
        except (ValueError, KeyError, TypeError) as error:
            connection.send(
                Response(400, orjson.dumps(protocols.error(path, 400, f"bad request: {error!r}")))
            )
            return
        name = asked.model
        self.calls[name] += 1
        self.requests.append(Request(path, headers, body, connection.number, time.monotonic()))
        self.in_flight[name] += 1
        self.most_in_flight[name] = max(self.most_in_flight[name], self.in_flight[name])
        connection.busy_with = name
        fault = struck(model.faults) if model.faults else None
        if fault is None:
            reply = self._plain(path, asked, model.behaviour)
            if model.allowance is not None:
                reply = _within(model.allowance, path, reply)
            reply = self._bill(name, reply)
            connection.send_after(model.behaviour.latency / 1000, reply)
        else:
            self._strike(connection, path, headers, asked, model.behaviour, fault)

    def control(self, path: str, body: dict[str, Any]) -> Response:
        """``/control``: counts; ``/control/reset``; ``/control/model`` ``{name, behaviour?, faults?}``;
        ``/control/requests``: every call that is kept, with its model and its body; ``/control/batches``:
        rules of the batch endpoints, and what became of batches.
        """
        if path == "/control/requests":
            kept = [{"model": r.body["model"], "body": r.body} for r in self.requests]
            return Response(200, orjson.dumps(kept))
        if path == "/control/batches":
            self.batches.rules = replace(self.batches.rules, **body)
            return Response(200, orjson.dumps(self.batches.state()))
        if path == "/control/reset":
            self.reset()
        elif path == "/control/model":
            self.set_model(body["name"], Behaviour(**body.get("behaviour", {})), *body.get("faults", ()))
        return Response(
            200,
            orjson.dumps(
                {
                    "calls": dict(self.calls),
                    "billed": {name: dict(tokens) for name, tokens in self.billed.items()},
                    "connections": self.connections,
                    "turned_away": {
                        name: model.allowance.turned_away
                        for name, model in self.models.items()
                        if model.allowance is not None
                    },
                    "most_in_flight": dict(self.most_in_flight),
                    "last": [{"path": r.path, "body": r.body} for r in list(self.requests)[-10:]],
                }
            ),
        )

    def _model_list(self) -> dict[str, Any]:
        entries = [
            {"id": name, "object": "model", "created": 1_790_000_000, "owned_by": "local"}
            for name in self.offered
        ]
        return {"object": "list", "data": entries, "has_more": False}

    def _plain(self, path: str, asked: Asked, behaviour: Behaviour) -> Response:
        refused = _unsupported(asked, behaviour)
        if refused is not None:
            return Response(refused[0], orjson.dumps(protocols.error(path, *refused)))
        if behaviour.logprobs == "ignored":
            asked = replace(asked, top_logprobs=None)
        # Sixteen different texts per shape are enough to look like judging and keep every reply in a cache.
        sixteenth = picker(behaviour.pick, _without_marker(asked.text))("", 16)
        form = form_line(asked.text)
        shape = (
            path,
            asked.model,
            orjson.dumps(asked.schema),
            form,
            asked.top_logprobs,
            asked.tool,
            sixteenth,
        )
        if shape not in self._shapes:
            knows = behaviour.pick.startswith("knows:")
            said = _said(asked, behaviour, picker(behaviour.pick, asked.text if knows else str(sixteenth)))
            reply = protocols.reply(path, asked, said, min(behaviour.cached, asked.input_tokens))
            self._shapes[shape] = orjson.dumps(reply)
        return Response(200, self._shapes[shape])

    def _strike(
        self,
        connection: Connection,
        path: str,
        headers: dict[str, str],
        asked: Asked,
        behaviour: Behaviour,
        fault: Fault,
    ) -> None:
        if fault.kind.isdigit():
            connection.send(self._bill(asked.model, _status(path, headers, fault)))
            return
        match fault.kind:
            case "slow":
                late = self._bill(asked.model, self._plain(path, asked, behaviour))
                connection.send_after(fault.number("ms", 1000) / 1000, late)
            case "hang":
                pass
            case "trickle":
                connection.trickle(self._plain(path, asked, behaviour), fault.number("ms", 50) / 1000)
            case "reset":
                connection.reset()
            case "cut":
                connection.cut(self._plain(path, asked, behaviour))
            case "garbage":
                connection.raw(b"\x00\x01 this is no HTTP\r\n\r\n")
            case "html":
                connection.send(Response(200, b"<html><body>Sign in</body></html>", "text/html"))
            case "empty":
                connection.send(Response(200, b""))
            case "array":
                connection.send(Response(200, b"[1, 2]"))
            case _:
                said = _spoiled(asked, behaviour, fault.kind)
                reply = Response(200, orjson.dumps(protocols.reply(path, asked, said, behaviour.cached)))
                connection.send(self._bill(asked.model, reply))

    def _line(self, path: str, body: dict[str, Any], size: int) -> tuple[int, dict[str, Any]]:
        """What a line of a batch gets: what a call would, or 500 for a fault that only a call can have."""
        asked = protocols.read_request(path, body, size)
        model = self.model(asked.model)
        fault = struck(model.faults) if model.faults else None
        if fault is None:
            reply = self._plain(path, asked, model.behaviour)
        elif fault.kind.isdigit():
            reply = _status(path, {}, fault)
        elif fault.kind in OF_CALLS:
            reply = Response(500, orjson.dumps(protocols.error(path, 500, "internal")))
        else:
            said = _spoiled(asked, model.behaviour, fault.kind)
            return 200, protocols.reply(path, asked, said, model.behaviour.cached)
        return reply.status, orjson.loads(reply.body)

    def _answer_late(self, connection: Connection, seconds: float, answer: Response | None) -> None:
        def send() -> None:
            assert answer is not None
            connection.send(answer)

        if answer is None:
            connection.reset()
        elif seconds:
            asyncio.get_running_loop().call_later(seconds, send)
        else:
            send()

    def _bill(self, model: str, reply: Response) -> Response:
        """Count the tokens of a reply that is sent whole."""
        usage = orjson.loads(reply.body).get("usage") or {}
        billed = self.billed[model]
        billed["input"] += usage.get("prompt_tokens", usage.get("input_tokens", 0))
        billed["output"] += usage.get("completion_tokens", usage.get("output_tokens", 0))
        return reply


def _within(allowance: Allowance, path: str, reply: Response) -> Response:
    """The reply with headers that tell what is left, or a 429."""
    usage = orjson.loads(reply.body).get("usage") or {}
    names = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")
    wait = allowance.admit(sum(usage.get(name, 0) for name in names), time.monotonic())
    headers = allowance.headers(anthropic=path == protocols.ANTHROPIC)
    if wait is None:
        return replace(reply, extra=(*reply.extra, *headers))
    body = orjson.dumps(protocols.error(path, 429, "rate limit reached"))
    return Response(429, body, extra=(*headers, ("retry-after-ms", str(round(1000 * wait)))))


def _unsupported(asked: Asked, behaviour: Behaviour) -> tuple[int, str] | None:
    """Status and message if the model cannot do what is asked."""
    if asked.top_logprobs is not None and behaviour.logprobs == "no":
        return 400, "logprobs are not supported by this model"
    if asked.schema_kind == "json_schema" and behaviour.schema == "json_object":
        return 500, "1 validation error: response_format.type must be 'text' or 'json_object'"
    if asked.schema_kind != "none" and behaviour.schema == "none":
        return 400, "response_format is not supported by this model"
    return None


def _said(asked: Asked, behaviour: Behaviour, pick: Any) -> Said:
    schema = asked.schema if behaviour.schema != "ignored" else None
    obeyed = schema is not None
    schema = bounded(schema, asked.text) if schema is not None else find_form(asked.text)
    if schema is None:
        return Said([("I have no opinion.", ())])
    tokens = pieces(schema, pick)
    if not obeyed:
        tokens = [
            ("My verdict, after some thought:\n```json\n", ()),
            *tokens,
            ("\n```\nI hope that helps.", ()),
        ]
    return Said(tokens)


def _spoiled(asked: Asked, behaviour: Behaviour, kind: str) -> Said:
    good = list(_said(asked, behaviour, picker(behaviour.pick, asked.text)).tokens)
    match kind:
        case "refusal":
            return Said([("I cannot judge this content.", ())], end="refusal")
        case "filter":
            return Said([], end="filter")
        case "truncation":
            return Said(good[: len(good) // 2], end="length")
        case "malformed":
            return Said([*good[:-1], (", ", ())])
        case "fenced":
            return Said([("Here you are:\n```json\n", ()), *good, ("\n```\nAnything else?", ())])
        case "prose":
            return Said([("Both have their merits; I would rather not say.", ())])
        case "out_of_range":
            return Said(out_of_range(good))
        case "two_objects":
            low = pieces(bounded(asked.schema or {}, asked.text), picker("low", ""))
            high = pieces(bounded(asked.schema or {}, asked.text), picker("high", ""))
            return Said([*low, ("\nOr rather:\n", ()), *high])
        case "echo":
            found = next((o for o in json_objects(asked.text) if "properties" not in o), {})
            return Said([(orjson.dumps(found).decode(), ())])
        case _:
            return Said([], silent=True)


def _status(path: str, headers: dict[str, str], fault: Fault) -> Response:
    status = int(fault.kind)
    message = fault.options.get("message", f"injected {status}")
    if status == 401:  # as providers do, with part of the key
        message = f"Incorrect API key provided: {headers.get('authorization', '').removeprefix('Bearer ')}"
    extra = []
    if "retry-after" in fault.options:
        extra.append(("retry-after", fault.options["retry-after"]))
    if "retry-after-ms" in fault.options:
        extra.append(("retry-after-ms", fault.options["retry-after-ms"]))
    if "retry-after-date" in fault.options:
        extra.append(
            ("retry-after", formatdate(time.time() + float(fault.options["retry-after-date"]), usegmt=True))
        )
    body = protocols.error(path, status, message)
    if "usage" in fault.options:
        tokens = int(fault.options["usage"])
        body["usage"] = {
            "prompt_tokens": tokens,
            "input_tokens": tokens,
            "completion_tokens": 0,
            "output_tokens": 0,
        }
    return Response(status, orjson.dumps(body), extra=tuple(extra))


def _without_marker(text: str) -> str:
    """The text without the number that fences it, so that the same item gets the same verdict each time."""
    start = text.find("The number of this message is ")
    if start < 0:
        return text
    start += len("The number of this message is ")
    return text[start:].replace(text[start : start + _MARKER], "")


@contextlib.asynccontextmanager
async def serving(
    models: tuple[str, ...] = (), *, host: str = "127.0.0.1", port: int = 0, keep: int = 200
) -> AsyncIterator[Provider]:
    """Serve on the running event loop until the block ends; port 0 takes a free one."""
    provider = Provider(models, keep=keep)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(provider), host, port)
    provider.address = server.sockets[0].getsockname()[:2]
    try:
        yield provider
    finally:
        server.close()
        for connection in list(provider.open):
            connection.reset()
        await server.wait_closed()
