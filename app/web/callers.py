"""Who calls: the key of a request, its project and its scopes.

A request carries ``Authorization: Bearer <key>``; pages carry a session in a cookie instead. While the
database has no key at all, whoever calls from this machine acts as project ``default`` with every scope.
"""

from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from fastapi import Depends
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from app.access.keys import Caller, KeyRing
from app.domain.problems import NotAuthenticated, NotPermitted
from app.domain.projects import Scope as KeyScope
from app.web.errors import answer

COOKIE = "venire_session"
TRUSTED = "venire.caller"
"""Where a request's caller stands in its ASGI scope. Set before the app is called, it is believed: only
code of the same process can do that, never a request."""
_OPEN = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs", "/", "/ui/sign-in", "/ui/annotate/enter"})
_OPEN_UNDER = ("/static/", "/ui/static/", "/problems/")


class IdentifyCallers:
    """Pure ASGI: puts the `Caller` of every request in its scope, or the reason why there is none.

    Whether a caller is needed, and with which scope, is said by the route (`needs`): so that a page can
    show a form to sign in where the API answers 401.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing, hosts: frozenset[str]) -> None:
        self.app, self.keys, self.hosts = app, keys, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and TRUSTED not in scope and not _is_open(scope["path"]):
            try:
                scope[TRUSTED] = await self._caller(scope)
            except (NotAuthenticated, NotPermitted) as error:
                if not scope["path"].startswith("/ui"):
                    await answer(error)(scope, receive, send)
                    return
                scope["venire.stranger"] = error
        await self.app(scope, receive, send)

    async def _caller(self, scope: Scope) -> Caller:
        authorization = host = origin = cookie = ""
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value.decode("latin-1")
            elif name == b"host":
                host = value.decode("latin-1")
            elif name == b"origin":
                origin = value.decode("latin-1")
            elif name == b"cookie":
                cookie = value.decode("latin-1")
        token = _bearer(authorization)
        if token is not None:
            return await self.keys.caller(token)
        session = _cookie(cookie) if cookie and scope["path"].startswith("/ui") else None
        if session is not None:
            return await self.keys.session_caller(session)
        caller = await self.keys.anyone()
        if caller is None:
            raise NotAuthenticated("send a key: Authorization: Bearer <key>")
        self._refuse_strangers(scope, host, origin)
        return caller

    def _refuse_strangers(self, scope: Scope, host: str, origin: str) -> None:
        """Without keys only this machine is served, and no web page of another site in its browser."""
        client = scope.get("client")
        if client is None or not is_loopback(client[0]):
            raise NotPermitted(
                "there is no key yet, so only this machine is served; make one: venire keys create"
            )
        name = _host_name(host)
        if not (is_loopback(name) or name in self.hosts):
            raise NotPermitted(f"there is no key yet, and {name!r} is not a name of this machine")
        if origin and _host_name(urlsplit(origin).netloc) != name:
            raise NotPermitted("there is no key yet, and this request comes from a page of another site")


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own; other names are not looked up."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def needs(*scopes: KeyScope) -> Any:
    """A dependency that hands the route its `Caller`, who holds one of ``scopes``; admin holds all."""

    async def caller(connection: HTTPConnection) -> Caller:
        return permitted(connection, *scopes)

    return Depends(caller)


def permitted(connection: HTTPConnection, *scopes: KeyScope) -> Caller:
    """What `needs` hands out, for routes that do without dependencies."""
    who = known_caller(connection)
    if KeyScope.ADMIN not in who.scopes and not any(scope in who.scopes for scope in scopes):
        wording = " or ".join(repr(scope.value) for scope in scopes)
        raise NotPermitted(f"this needs a key with the scope {wording}")
    return who


def known_caller(connection: HTTPConnection) -> Caller:
    """The caller of this request; `NotAuthenticated` or `NotPermitted` if there is none."""
    caller: Caller | None = connection.scope.get(TRUSTED)
    if caller is None:
        raise connection.scope.get("venire.stranger") or NotAuthenticated("a key is needed")
    return caller


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_UNDER)


def _bearer(authorization: str) -> str | None:
    scheme, _, token = authorization.partition(" ")
    if not scheme:
        return None
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated("the Authorization header must read: Bearer <key>")
    return token.strip()


def _cookie(header: str) -> str | None:
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE and value:
            return value
    return None


@lru_cache(maxsize=1024)
def _host_name(netloc: str) -> str:
    return (urlsplit(f"//{netloc}").hostname or "").lower()
