"""The service as commands see it: a client of its HTTP API, over the network or within this process.

Either way a command sends the same requests, so there is one implementation of everything it does.
"""

import contextlib
import json
from argparse import Namespace
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from app.cli.errors import CannotRun, Refused
from app.cli.wiring import Wiring

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Response

_WITHIN = "http://localhost"
_CONNECT_S = 10.0
_PAGE = 200
DEFAULT_PROJECT = "default"


class Service:
    """A service that answers. ``local`` says that it lives within this process and ends with the command."""

    def __init__(self, http: "AsyncClient", url: str, *, local: bool) -> None:
        self._http, self.url, self.local = http, url, local

    async def get(self, path: str, **query: Any) -> Any:
        """The answer to a GET, as bytes unless it is JSON; parameters that are None are left out."""
        return await self._json("GET", path, params=_given(query))

    async def put(self, path: str, body: Any) -> Any:
        """The answer to a PUT."""
        return await self._json("PUT", path, json=body)

    async def post(self, path: str, body: Any) -> Any:
        """The answer to a POST."""
        return await self._json("POST", path, json=body)

    async def patch(self, path: str, body: Any) -> Any:
        """The answer to a PATCH."""
        return await self._json("PATCH", path, json=body)

    async def delete(self, path: str) -> None:
        """Delete what is at ``path``."""
        await self._json("DELETE", path)

    async def all(self, path: str, **query: Any) -> list[Any]:
        """Every entry of a list, page by page."""
        entries: list[Any] = []
        cursor = None
        while True:
            page = await self.get(path, limit=_PAGE, cursor=cursor, **query)
            entries += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return entries

    async def lines(self, path: str) -> AsyncIterator[Any]:
        """The documents of a JSONL answer, as they come in."""
        import httpx2

        try:
            async with self._http.stream("GET", path) as response:
                if response.status_code >= 400:
                    await response.aread()
                    raise Refused(problem_of(response))
                async for line in response.aiter_lines():
                    if line:
                        yield json.loads(line)
        except httpx2.TransportError as error:
            said = str(error) or type(error).__name__
            raise CannotRun(f"{self.url} cannot be reached: {said}", gone=True) from error

    async def upload(
        self, path: str, file: Path, fields: Mapping[str, Any], *, corrections: Path | None = None
    ) -> Any:
        """The answer to a POST of a file (and of corrections to it), read from disk as it is sent."""
        with contextlib.ExitStack() as opened:
            files = {"file": (file.name, opened.enter_context(file.open("rb")))}
            if corrections is not None:
                files["corrections"] = (corrections.name, opened.enter_context(corrections.open("rb")))
            return await self._json("POST", path, files=files, data=_given(fields))

    async def form(self, path: str, fields: Mapping[str, Any]) -> Any:
        """The answer to a POST of form fields without a file."""
        parts = {name: (None, str(value)) for name, value in _given(fields).items()}
        return await self._json("POST", path, files=parts)

    async def send(self, method: str, path: str, **request: Any) -> "Response":
        """One request, with whatever it answers; CannotRun if the service cannot be reached."""
        import httpx2

        try:
            return await self._http.request(method, path, **request)
        except httpx2.TransportError as error:
            said = str(error) or type(error).__name__
            raise CannotRun(f"{self.url} cannot be reached: {said}", gone=True) from error

    async def _json(self, method: str, path: str, **request: Any) -> Any:
        response = await self.send(method, path, **request)
        if response.status_code >= 400:
            raise Refused(problem_of(response))
        if not response.content:
            return None
        kind = response.headers.get("content-type", "").partition(";")[0]
        return response.json() if kind.endswith(("/json", "+json")) else response.content


def problem_of(response: "Response") -> dict[str, Any]:
    """The problem document of an error; one made up where something else than the service answered."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if isinstance(problem, dict) and "title" in problem:
        return problem
    detail = f"{response.request.url} answered {response.status_code}, and not as Venire does"
    return {"type": "about:blank", "title": "This is not Venire", "status": response.status_code,
            "detail": detail, "errors": []}  # fmt: skip


def part(name: str) -> str:
    """A name as one part of a path."""
    return quote(name, safe="")


@contextlib.asynccontextmanager
async def connect(arguments: Namespace, wiring: Wiring) -> AsyncIterator[Service]:
    """The service at ``--url`` or VENIRE_URL; without either, on this machine's database.

    Raises
    ------
    CannotRun
        If the address or the choice of options makes no sense.
    """
    url = arguments.url or wiring.environment.get("VENIRE_URL", "")
    if not url:
        async with within_process(wiring, arguments.project or DEFAULT_PROJECT) as service:
            yield service
        return
    if arguments.project is not None:
        raise CannotRun("--project is for this machine's database; at an address the key opens its project")
    async with at_address(url, arguments.key or wiring.environment.get("VENIRE_KEY", "")) as service:
        yield service


@contextlib.asynccontextmanager
async def at_address(url: str, key: str = "") -> AsyncIterator[Service]:
    """A running service; requests take as long as they take, for only connecting is limited in time."""
    import httpx2

    if not url.startswith(("http://", "https://")):
        raise CannotRun(f"{url!r} is no address of a service; one reads http://127.0.0.1:8000")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = httpx2.Timeout(None, connect=_CONNECT_S)
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(
        base_url=url.rstrip("/"), headers=headers, timeout=timeout, limits=limits
    ) as http:
        yield Service(http, url.rstrip("/"), local=False)


@contextlib.asynccontextmanager
async def within_process(wiring: Wiring, project: str) -> AsyncIterator[Service]:
    """The service within this process, trusted with ``project``."""
    import httpx2

    async with wiring.open_app(project) as app:
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=_WITHIN, timeout=None) as http:
            yield Service(http, _WITHIN, local=True)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
