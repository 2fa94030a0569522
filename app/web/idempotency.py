"""Idempotency-Key on every POST, once for all routes; and forms of pages that were sent twice."""

import asyncio
from hashlib import sha256
from tempfile import SpooledTemporaryFile
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access.idempotency import Answers, Claimed, KeyReused, Replay
from app.access.keys import Caller
from app.domain.problems import Conflict
from app.web.errors import BAD_INPUT, CONFLICT, answer, problem_response

_HEADER = b"idempotency-key"
_LONGEST_KEY = 255
_IN_MEMORY = 4_000_000  # bytes of a body that are kept in memory; the rest of it goes to a temporary file
_CHUNK = 256 * 1024
_KEPT_HEADERS = (b"content-type", b"location")
_SECRET_PATHS = ("/keys", "/invitations")  # ends of paths whose answers must not be stored


class RepeatFirstAnswers:
    """Pure ASGI: the same key and body gets the first answer, with ``Idempotency-Replayed: true``.

    The same key with another request is a 409. Repeats that come while the first is still at work wait
    for it; where another process has the first, they get a 409 with ``Retry-After``. Kept are answers
    below 400 and failed grades (502): after any other error nothing was done, and the key is free again.

    A form of a page whose address carries ``once`` is the same request if it was filled in the same way:
    a button that was clicked twice does one thing.
    """

    def __init__(self, app: ASGIApp, answers: Answers) -> None:
        self.app, self.answers = app, answers
        self._running: dict[tuple[int, str], asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        post = scope["type"] == "http" and scope["method"] == "POST"
        header = _header(scope) if post else None
        key = _once(scope) if post and header is None else header
        caller: Caller | None = scope.get("venire.caller")
        if key is None or caller is None:
            await self.app(scope, receive, send)
        elif not 0 < len(key) <= _LONGEST_KEY or not key.isprintable():
            detail = f"Idempotency-Key must have 1 to {_LONGEST_KEY} printable characters"
            await problem_response(BAD_INPUT, detail)(scope, receive, send)
        else:
            with SpooledTemporaryFile(_IN_MEMORY) as body:
                fingerprint = await _spool(scope, receive, body)
                if header is None:
                    key = f"form {fingerprint}"  # filled in otherwise, it is another request
                await self._answer(scope, send, caller, key, fingerprint, _Replayed(body, receive))

    async def _answer(
        self, scope: Scope, send: Send, caller: Caller, key: str, fingerprint: str, body: "_Replayed"
    ) -> None:
        running = (caller.project.id, key)
        while True:
            claim = await self.answers.claim(caller.project, key, fingerprint)
            if isinstance(claim, Claimed):
                self._running[running] = asyncio.Event()
                try:
                    await self._first(scope, send, claim, body)
                finally:
                    self._running.pop(running).set()
                return
            if isinstance(claim, Replay):
                await _replay(send, claim)
                return
            if isinstance(claim, KeyReused):
                error = Conflict(f"the Idempotency-Key {key!r} was used with another request")
                await answer(error)(scope, body, send)
                return
            other = self._running.get(running)
            if other is None:
                detail = "the first request with this Idempotency-Key is still at work"
                response = problem_response(CONFLICT, detail, headers={"Retry-After": "1"})
                await response(scope, body, send)
                return
            await other.wait()

    async def _first(self, scope: Scope, send: Send, claim: Claimed, body: "_Replayed") -> None:
        recorder = _Recorder(send)
        try:
            await self.app(scope, body, recorder)
        except BaseException:
            await self.answers.release(claim)
            raise
        if scope["path"].endswith(_SECRET_PATHS) and recorder.status < 400:
            shown_once = problem_response(CONFLICT, "this was done, and its secret is shown only once")
            headers = {"content-type": shown_once.headers["content-type"]}
            await self.answers.keep(claim, 409, headers, bytes(shown_once.body))
        elif recorder.status < 400 or recorder.status == 502:
            await self.answers.keep(claim, recorder.status, recorder.headers, bytes(recorder.body))
        else:
            await self.answers.release(claim)
        await recorder.flush()


class _Recorder:
    """Holds an answer back until it is kept, so that nobody is told what could be forgotten."""

    def __init__(self, send: Send) -> None:
        self._send, self._held = send, list[Message]()
        self.status, self.headers, self.body = 500, dict[str, str](), bytearray()

    async def __call__(self, message: Message) -> None:
        self._held.append(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in message["headers"]
                if name.lower() in _KEPT_HEADERS
            }
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    async def flush(self) -> None:
        """Let the answer go."""
        for message in self._held:
            await self._send(message)


class _Replayed:
    """The body again, as the server would deliver it; afterwards whatever the server still says."""

    def __init__(self, body: "SpooledTemporaryFile[bytes]", receive: Receive) -> None:
        self._body, self._receive, self._more = body, receive, True

    async def __call__(self) -> Message:
        if not self._more:
            return await self._receive()
        chunk = self._body.read(_CHUNK)
        self._more = len(chunk) == _CHUNK
        return {"type": "http.request", "body": chunk, "more_body": self._more}


async def _spool(scope: Scope, receive: Receive, body: "SpooledTemporaryFile[bytes]") -> str:
    """Write the request's body to ``body``, rewound; returns the fingerprint of the request.

    The boundary of a multipart body is random: it is left out, so that a repeated upload is the same.
    """
    boundary = _boundary(scope)
    digest = sha256(f"{scope['method']} {scope['path']}?".encode() + scope["query_string"])
    kept = b""
    more = True
    while more:
        message = await receive()
        chunk, more = message.get("body", b""), message.get("more_body", False)
        body.write(chunk)
        if not boundary:
            digest.update(chunk)
            continue
        text = (kept + chunk).replace(boundary, b"")
        held = len(boundary) - 1  # a boundary may be cut by the end of a chunk
        digest.update(text[:-held] if more else text)
        kept = text[-held:] if more else b""
    body.seek(0)
    return digest.hexdigest()


async def _replay(send: Send, first: Replay) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in first.headers.items()]
    headers += [(b"content-length", str(len(first.body)).encode()), (b"idempotency-replayed", b"true")]
    await send({"type": "http.response.start", "status": first.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": first.body})


def _once(scope: Scope) -> str | None:
    """What a page put into the address of a form."""
    if not scope["path"].startswith("/ui/"):
        return None
    return next(iter(parse_qs(scope["query_string"].decode("latin-1")).get("once", ())), None)


def _header(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == _HEADER:
            return str(value.decode("latin-1")).strip()
    return None


def _boundary(scope: Scope) -> bytes:
    content_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    if not content_type.lower().startswith(b"multipart/"):
        return b""
    _, _, after = content_type.partition(b"boundary=")
    return bytes(after.split(b";")[0].strip().strip(b'"'))
