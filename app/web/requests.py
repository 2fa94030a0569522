"""Around every request: its size, its time, and what becomes of an error that nobody expected."""

from collections.abc import Iterable
from time import perf_counter

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.errors import INTERNAL, TOO_LARGE, problem_response
from app.web.metrics import Metrics

log = structlog.get_logger(__name__)

_NOSNIFF = (b"x-content-type-options", b"nosniff")


class ObserveRequests:
    """Pure ASGI, outermost: counts and times requests, and answers a crash with a 500 that tells nothing."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _as_declared(message["headers"])}
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception:
            log.exception("request crashed", method=scope["method"], route=_route(scope))
            if status:  # the answer had begun: all that is left is to break the connection
                raise
            response = problem_response(INTERNAL, "something went wrong inside; it has been logged")
            await response(scope, receive, watched)
        finally:
            seconds = perf_counter() - begun
            route = _route(scope)
            self.metrics.request(scope["method"], route, status, seconds)
            log.debug(
                "request", method=scope["method"], route=route, status=status, ms=round(seconds * 1e3, 2)
            )


class LimitBodies:
    """Pure ASGI: refuses bodies larger than their route takes, by their length or as they come in."""

    def __init__(self, app: ASGIApp, default: int, larger: dict[str, int]) -> None:
        """Sizes in bytes; ``larger`` has the limit of paths that begin so."""
        self.app, self.default, self.larger = app, default, larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        limit = self._limit(scope["path"])
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if length.isdigit() and int(length) > limit:
            response = problem_response(TOO_LARGE, _too_large(limit), headers={"Connection": "close"})
            await response(scope, receive, send)
            return
        if length:  # the server has checked that no more comes than was announced
            await self.app(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, _too_large(limit))
            return message

        await self.app(scope, counted, send)

    def _limit(self, path: str) -> int:
        return next((limit for start, limit in self.larger.items() if path.startswith(start)), self.default)


def _as_declared(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers, with the one that keeps a browser from taking an answer for another kind than it says."""
    kept = [header for header in headers if header[0].lower() != _NOSNIFF[0]]
    return [*kept, _NOSNIFF]


def _too_large(limit: int) -> str:
    return f"the request body is larger than {limit / 1e6:g} MB, the most that this route takes"


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", None) or "(none)"
