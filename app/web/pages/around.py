"""Around every page: only our own forms may post, and an error is a page rather than a JSON document."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.errors import FORBIDDEN, MEDIA_TYPE, problem_response
from app.web.pages.addresses import url
from app.web.pages.page import HEADERS, show
from app.web.pages.words import sentence

_SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong with a request: where, what, and the value as it was sent."""

    where: str
    problem: str
    value: str


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """What went wrong, and where to go from here."""

    title: str
    status: int
    detail: str
    advice: str
    wrong: tuple[Wrong, ...]


_ADVICE = {
    401: "Sign in with a key of your project.",
    403: "Sign in with a key that has the scope named above, or ask whoever keeps the keys.",
    404: "It may have been renamed, or the address may be incomplete. The menu's lists have what there is.",
    409: "Reload the page to see how things stand, then try again.",
    413: "Send a smaller file, or in parts.",
    500: "Nothing that was stored is lost. Try again; if it happens again, look into the service's log.",
}


class AroundPages:
    """Pure ASGI, around everything else."""

    def __init__(self, app: ASGIApp, public_url: str = "") -> None:
        self.app = app
        self._public = urlsplit(public_url).netloc.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_page(scope["path"]):
            await self.app(scope, receive, send)
            return
        answer = _Answer(scope, receive, send)
        if scope["method"] not in _SAFE and not self._is_ours(Headers(scope=scope)):
            refusal = problem_response(FORBIDDEN, "this form was sent from another site, so nothing was done")
            await refusal(scope, receive, answer.send)
            return
        await self.app(scope, receive, answer.send)

    def _is_ours(self, headers: Headers) -> bool:
        """Whether a browser says that one of our own pages sent this; other programs say nothing."""
        site = headers.get("sec-fetch-site")
        if site not in (None, "same-origin", "none"):
            return False
        origin = headers.get("origin")
        if origin is None:
            return True
        host = urlsplit(origin).netloc.lower()
        return bool(host) and host in (headers.get("host", "").lower(), self._public)


class _Answer:
    """Passes an answer on, unless it is a problem document: that is gathered and shown as a page."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._problem: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kind = Headers(raw=message["headers"]).get("content-type", "")
            if kind.startswith(MEDIA_TYPE):
                self._problem = message
                return
        if self._problem is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if not message.get("more_body", False):
            await self._show(orjson.loads(self._body))

    async def _show(self, problem: Mapping[str, Any]) -> None:
        request = Request(self._scope)
        status = int(problem["status"])
        response: Response
        if status == 401 and self._scope["method"] in _SAFE:
            here = self._scope["path"] + (f"?{request.url.query}" if request.url.query else "")
            response = RedirectResponse(url("sign-in", next=here), 303, HEADERS)
        else:
            response = show(request, "error.html", error_page(problem), status=status)
        await response(self._scope, self._receive, self._send)


def error_page(problem: Mapping[str, Any]) -> ErrorPage:
    """A problem document as a page."""
    status = int(problem["status"])
    return ErrorPage(
        title=problem["title"],
        status=status,
        detail=sentence(problem["detail"]),
        advice=_ADVICE.get(status, "Go back, change what is named here, and try again."),
        wrong=tuple(_wrong(one) for one in problem.get("errors", ())[:50]),
    )


def _wrong(error: Mapping[str, Any]) -> Wrong:
    where = [f"row {error['row']}" if "row" in error else "", error.get("column", ""), error.get("path", "")]
    return Wrong(", ".join(part for part in where if part), error["problem"], str(error.get("value", "")))


def _is_page(path: str) -> bool:
    return path == "/ui" or path.startswith("/ui/")
