"""The batch endpoints of both protocols: files and batches as OpenAI has them, batches as Anthropic has them.

A batch works for as long as the rules say *when it is looked at*, so that a test can let it end by changing
them. Its lines get what a call of their own would get, faults of the model included; they come back in
another order than they were sent. Nothing of it counts as a call: `Batches.processed` counts lines.
"""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from typing import Any
from urllib.parse import parse_qs

import orjson

from tests.provider_server import protocols
from tests.provider_server.wire import Response

FILES, BATCHES, MESSAGE_BATCHES = "/v1/files", "/v1/batches", "/v1/messages/batches"
_ENDPOINTS = (protocols.OPENAI_CHAT, protocols.OPENAI_RESPONSES)
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_WINDOW_S = 86_400

Answer = Callable[[str, dict[str, Any], int], tuple[int, dict[str, Any]]]
"""Path, body and its size of one line -> HTTP status and body of what a call would get."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How batches go, for all of them.

    ``takes_ms`` until one ends; then ``finished`` of its lines have a result and the others expired.
    ``replies_ms`` is how long the reply to a creation takes, once the batch is there; with ``loses`` the
    first so many replies never come. ``refuses`` is a status with which the next ``refusals`` creations are
    answered. ``room`` is how many lines may be at work at once (0: any number), as OpenAI limits enqueued
    tokens. Every ``leaves_out``-th line has no result at all. ``keeps_metadata`` is false for servers that
    forget it. ``without``: there are no such endpoints.
    """

    takes_ms: float = 0.0
    finished: float = 1.0
    replies_ms: float = 0.0
    loses: int = 0
    refuses: int = 503
    refusals: int = 0
    room: int = 0
    leaves_out: int = 0
    keeps_metadata: bool = True
    without: bool = False
    most_requests: int = 50_000
    most_bytes: int = 200_000_000


@dataclass(slots=True)
class Batch:
    """A batch of either protocol; ``outcomes`` are there once it has ended."""

    id: str
    path: str
    lines: list[tuple[str, dict[str, Any], int]]  # custom id, body, size
    made_at: float
    metadata: dict[str, str] | None = None
    input_file: str | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)
    cancelled_at: float | None = None
    ended_at: float | None = None
    status: str = ""
    outcomes: list[tuple[str, str, int, dict[str, Any]]] = field(default_factory=list)

    @property
    def anthropic(self) -> bool:
        return self.path == protocols.ANTHROPIC


class Batches:
    """All batches and files of the server."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.rules = Rules()
        self.files: dict[str, tuple[str, bytes]] = {}
        self.batches: dict[str, Batch] = {}
        self.processed: Counter[str] = Counter()
        self.billed: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.looks = self.created = 0

    def serves(self, path: str) -> bool:
        """Whether a path is one of a batch endpoint."""
        return not self.rules.without and path.startswith((FILES, BATCHES, MESSAGE_BATCHES))

    def serve(
        self, method: str, path: str, query: str, headers: Mapping[str, str], raw: bytes
    ) -> tuple[float, Response | None]:
        """Seconds until the reply, and the reply; None: it never comes."""
        try:
            return self._serve(method, path, parse_qs(query), headers, raw)
        except _Refused as refused:
            return 0.0, Response(refused.status, orjson.dumps(_error(path, refused.status, str(refused))))
        except (KeyError, ValueError, TypeError) as error:
            return 0.0, Response(400, orjson.dumps(_error(path, 400, f"bad request: {error!r}")))

    def state(self) -> dict[str, Any]:
        """For ``/control``."""
        return {
            "created": self.created,
            "looks": self.looks,
            "batches": [
                {"id": one.id, "lines": len(one.lines), "status": self._status(one), "path": one.path}
                for one in self.batches.values()
            ],
            "processed": dict(self.processed),
            "billed": {name: dict(tokens) for name, tokens in self.billed.items()},
        }

    def _serve(
        self, method: str, path: str, query: dict[str, list[str]], headers: Mapping[str, str], raw: bytes
    ) -> tuple[float, Response | None]:
        root = next(root for root in (MESSAGE_BATCHES, BATCHES, FILES) if path.startswith(root))
        name, _, action = path[len(root) :].strip("/").partition("/")
        if root == FILES:
            return 0.0, self._file(method, name, action, headers, raw)
        if method == "POST" and not name:
            return self._create(root, orjson.loads(raw))
        if not name:
            return 0.0, self._list(root, query)
        batch = self.batches.get(name)
        if batch is None or batch.anthropic != (root == MESSAGE_BATCHES):
            raise _Refused(404, f"no such batch: {name}")
        self._go_on(batch)
        if action == "cancel":
            if batch.ended_at is None and batch.cancelled_at is None:
                batch.cancelled_at = time.time()
                self._go_on(batch)
        elif action == "results":
            return 0.0, self._results(batch)
        elif action:
            raise _Refused(404, f"no such path: {path}")
        else:
            self.looks += 1
        return 0.0, _json(self._shown(batch))

    def _file(self, method: str, name: str, action: str, headers: Mapping[str, str], raw: bytes) -> Response:
        if method == "POST" and not name:
            parts = _parts(headers["content-type"], raw)
            if parts["purpose"][1] != b"batch":
                raise _Refused(400, "only files for batches are taken")
            name = f"file-{len(self.files) + 1}"
            self.files[name] = parts["file"]
            return _json(self._shown_file(name))
        if name not in self.files:
            raise _Refused(404, f"no such file: {name}")
        if action == "content":
            return Response(200, self.files[name][1], "application/octet-stream")
        return _json(self._shown_file(name))

    def _create(self, root: str, body: dict[str, Any]) -> tuple[float, Response | None]:
        if self.rules.refusals:
            self.rules = replace(self.rules, refusals=self.rules.refusals - 1)
            raise _Refused(self.rules.refuses, "not now")
        made = self._anthropic(body) if root == MESSAGE_BATCHES else self._openai(body)
        self.batches[made.id] = made
        self.created += 1
        if self.rules.loses:
            self.rules = replace(self.rules, loses=self.rules.loses - 1)
            return 0.0, None
        self._go_on(made)
        return self.rules.replies_ms / 1000, _json(self._shown(made))

    def _openai(self, body: dict[str, Any]) -> Batch:
        if body["endpoint"] not in _ENDPOINTS or body["completion_window"] != "24h":
            raise _Refused(400, "no such endpoint or window")
        content = self.files[body["input_file_id"]][1]
        made = Batch(
            id=f"batch_{len(self.batches) + 1}",
            path=body["endpoint"],
            lines=[],
            made_at=time.time(),
            metadata=body.get("metadata") if self.rules.keeps_metadata else None,
            input_file=body["input_file_id"],
        )
        for number, raw in enumerate(content.splitlines(), 1):
            line = orjson.loads(raw)
            if line["url"] != made.path or line["method"] != "POST":
                made.errors.append({"code": "invalid_url", "message": "another url", "line": number})
            made.lines.append((line["custom_id"], line["body"], len(raw)))
        if len({line[1]["model"] for line in made.lines}) > 1:
            made.errors.append({"code": "mismatched_model", "message": "more than one model", "line": None})
        if len({line[0] for line in made.lines}) < len(made.lines):
            made.errors.append({"code": "duplicate_custom_id", "message": "twice", "line": None})
        if len(made.lines) > self.rules.most_requests or len(content) > self.rules.most_bytes:
            made.errors.append({"code": "too_large", "message": "too many lines or bytes", "line": None})
        if self.rules.room and self._at_work() + len(made.lines) > self.rules.room:
            made.errors.append({"code": "token_limit_exceeded", "message": "Enqueued limit", "line": None})
        if made.errors:
            made.ended_at, made.status = time.time(), "failed"
        return made

    def _anthropic(self, body: dict[str, Any]) -> Batch:
        lines = [(one["custom_id"], one["params"], len(orjson.dumps(one))) for one in body["requests"]]
        ids = [line[0] for line in lines]
        if len(set(ids)) < len(ids) or not all(_CUSTOM_ID.fullmatch(one) for one in ids):
            raise _Refused(400, "custom ids must be unique, of letters, digits, - and _")
        if len(lines) > self.rules.most_requests or sum(line[2] for line in lines) > self.rules.most_bytes:
            raise _Refused(413, "too many requests or bytes")
        if self.rules.room and self._at_work() + len(lines) > self.rules.room:
            raise _Refused(429, "too many requests in batches")
        name = f"msgbatch_{len(self.batches) + 1}"
        return Batch(id=name, path=protocols.ANTHROPIC, lines=lines, made_at=time.time())

    def _at_work(self) -> int:
        for one in self.batches.values():
            self._go_on(one)
        return sum(len(one.lines) for one in self.batches.values() if one.ended_at is None)

    def _list(self, root: str, query: dict[str, list[str]]) -> Response:
        mine = [one for one in self.batches.values() if one.anthropic == (root == MESSAGE_BATCHES)][::-1]
        after = query.get("after", query.get("after_id", [""]))[0]
        ids = [one.id for one in mine]
        start = ids.index(after) + 1 if after in ids else 0
        page = mine[start : start + int(query.get("limit", ["20"])[0])]
        for one in page:
            self._go_on(one)
        return _json(
            {
                "object": "list",
                "data": [self._shown(one) for one in page],
                "first_id": page[0].id if page else None,
                "last_id": page[-1].id if page else None,
                "has_more": start + len(page) < len(mine),
            }
        )

    def _go_on(self, batch: Batch) -> None:
        """Let the batch end if its time has come."""
        now = time.time()
        due = batch.made_at + self.rules.takes_ms / 1000
        if batch.ended_at is not None or (batch.cancelled_at is None and now < due):
            return
        if batch.cancelled_at is None:
            done, rest = int(self.rules.finished * len(batch.lines)), "expired"
        else:
            done, rest = self._so_far(batch, batch.cancelled_at), "cancelled"
        batch.ended_at = now
        batch.status = rest if done < len(batch.lines) or rest == "cancelled" else "completed"
        for number, (name, body, size) in enumerate(batch.lines):
            if self.rules.leaves_out and number % self.rules.leaves_out == self.rules.leaves_out - 1:
                continue
            if number < done:
                status, reply = self._answer(batch.path, body, size)
                self._bill(str(body["model"]), reply)
                batch.outcomes.append((name, "answered", status, reply))
            else:
                batch.outcomes.append((name, rest, 0, {}))
        Random(batch.id).shuffle(batch.outcomes)

    def _bill(self, model: str, reply: dict[str, Any]) -> None:
        usage = reply.get("usage") or {}
        self.processed[model] += 1
        self.billed[model]["input"] += usage.get("prompt_tokens", usage.get("input_tokens", 0))
        self.billed[model]["output"] += usage.get("completion_tokens", usage.get("output_tokens", 0))

    def _so_far(self, batch: Batch, now: float) -> int:
        if not self.rules.takes_ms:
            return len(batch.lines)
        share = (now - batch.made_at) / (self.rules.takes_ms / 1000)
        return int(min(1.0, share) * self.rules.finished * len(batch.lines))

    def _status(self, batch: Batch) -> str:
        self._go_on(batch)
        return batch.status or "in_progress"

    def _shown(self, batch: Batch) -> dict[str, Any]:
        return self._shown_anthropic(batch) if batch.anthropic else self._shown_openai(batch)

    def _shown_openai(self, batch: Batch) -> dict[str, Any]:
        good = [one for one in batch.outcomes if one[1] == "answered" and one[2] == 200]
        bad = [one for one in batch.outcomes if one not in good]
        output = self._keep(f"{batch.id}_output", map(_openai_line, good)) if good else None
        error = self._keep(f"{batch.id}_error", map(_openai_line, bad)) if bad else None
        done = len(good) if batch.ended_at else self._so_far(batch, time.time())
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.path,
            "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
            "input_file_id": batch.input_file,
            "completion_window": "24h",
            "status": batch.status or "in_progress",
            "output_file_id": output,
            "error_file_id": error,
            "created_at": int(batch.made_at),
            "expires_at": int(batch.made_at) + _WINDOW_S,
            "completed_at": int(batch.ended_at) if batch.ended_at else None,
            "request_counts": {"total": len(batch.lines), "completed": done, "failed": len(bad)},
            "metadata": batch.metadata,
        }

    def _shown_anthropic(self, batch: Batch) -> dict[str, Any]:
        ended = batch.ended_at is not None
        counts = Counter(_anthropic_kind(one) for one in batch.outcomes)
        names = ("succeeded", "errored", "canceled", "expired")
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": {
                "processing": 0 if ended else len(batch.lines),
                **{name: counts[name] for name in names},
            },
            "created_at": _moment(batch.made_at),
            "expires_at": _moment(batch.made_at + _WINDOW_S),
            "ended_at": _moment(batch.ended_at) if batch.ended_at else None,
            "cancel_initiated_at": _moment(batch.cancelled_at) if batch.cancelled_at else None,
            "archived_at": None,
            "results_url": f"{MESSAGE_BATCHES}/{batch.id}/results" if ended else None,
        }

    def _results(self, batch: Batch) -> Response:
        if batch.ended_at is None:
            raise _Refused(404, "there are no results yet")
        return Response(200, _lines(map(_anthropic_line, batch.outcomes)), "application/x-jsonl")

    def _keep(self, name: str, lines: Iterable[dict[str, Any]]) -> str:
        self.files[name] = (name, _lines(lines))
        return name

    def _shown_file(self, name: str) -> dict[str, Any]:
        filename, content = self.files[name]
        return {
            "id": name,
            "object": "file",
            "bytes": len(content),
            "created_at": int(time.time()),
            "filename": filename,
            "purpose": "batch",
            "status": "processed",
        }


class _Refused(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def _json(document: Any) -> Response:
    return Response(200, orjson.dumps(document))


def _lines(documents: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(one) + b"\n" for one in documents)


def _error(path: str, status: int, message: str) -> dict[str, Any]:
    protocol = protocols.ANTHROPIC if path.startswith(MESSAGE_BATCHES) else protocols.OPENAI_CHAT
    return protocols.error(protocol, status, message)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _openai_line(outcome: tuple[str, str, int, dict[str, Any]]) -> dict[str, Any]:
    name, kind, status, body = outcome
    line: dict[str, Any] = {"id": f"batch_req_{name}", "custom_id": name, "response": None, "error": None}
    if kind == "answered":
        line["response"] = {"status_code": status, "request_id": "req_1", "body": body}
    else:
        line["error"] = {"code": f"batch_{kind}", "message": "This request was not executed in time."}
    return line


def _anthropic_kind(outcome: tuple[str, str, int, dict[str, Any]]) -> str:
    _, kind, status, _ = outcome
    if kind == "answered":
        return "succeeded" if status == 200 else "errored"
    return {"cancelled": "canceled"}.get(kind, kind)


def _anthropic_line(outcome: tuple[str, str, int, dict[str, Any]]) -> dict[str, Any]:
    kind = _anthropic_kind(outcome)
    result: dict[str, Any] = {"type": kind}
    if kind == "succeeded":
        result["message"] = outcome[3]
    elif kind == "errored":
        result["error"] = outcome[3]
    return {"custom_id": outcome[0], "result": result}


def _parts(content_type: str, raw: bytes) -> dict[str, tuple[str, bytes]]:
    """The parts of a form, by name: file name and content."""
    boundary = b"--" + content_type.partition("boundary=")[2].strip('"').encode()
    found = {}
    for part in raw.split(boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        said = dict(re.findall(r'(\w+)="([^"]*)"', head.decode()))
        found[said["name"]] = (said.get("filename", ""), content[:-2])
    return found
