"""One HTTP/1.1 connection of the provider server, and the ways in which it can misbehave."""

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import Any, Protocol, cast

import httptools

_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    404: b"Not Found",
    429: b"Too Many Requests",
}


class Server(Protocol):
    """What a connection needs of the server behind it."""

    connections: int
    open: set["Connection"]
    in_flight: Any

    def answer(
        self, connection: "Connection", method: str, path: str, headers: dict[str, str], raw: bytes
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes
    content_type: str = "application/json"
    extra: tuple[tuple[str, str], ...] = ()

    def encode(self) -> bytes:
        head = b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %d\r\nx-request-id: req_1\r\n" % (
            self.status,
            _REASONS.get(self.status, b"Error"),
            self.content_type.encode(),
            len(self.body),
        )
        for name, value in self.extra:
            head += f"{name}: {value}\r\n".encode()
        return head + b"\r\n" + self.body


class Connection(asyncio.Protocol):
    """Parses requests and writes replies; keep-alive, no pipelining."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url, self._headers, self._body = b"", dict[str, str](), list[bytes]()
        self.number, self.query = 0, ""
        self.busy_with: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.connections += 1
        self.number = self._server.connections
        self._server.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.open.discard(self)
        self._done()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.reset()

    def on_message_begin(self) -> None:
        self._url, self._headers, self._body = b"", {}, []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        path, _, self.query = self._url.decode().partition("?")
        method = self._parser.get_method().decode()
        self._server.answer(self, method, path, self._headers, b"".join(self._body))

    def send(self, response: Response) -> None:
        self.raw(response.encode())
        self._done()

    def send_after(self, seconds: float, response: Response) -> None:
        if seconds <= 0:
            self.send(response)
        else:
            asyncio.get_running_loop().call_later(seconds, self.send, response)

    def raw(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def reset(self) -> None:
        """Close with a TCP reset rather than an orderly end."""
        if self._transport is None:
            return
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def cut(self, response: Response) -> None:
        """Send the head and half of the body, then close."""
        data = response.encode()
        self.raw(data[: -len(response.body) // 2])
        if self._transport is not None:
            self._transport.close()

    def trickle(self, response: Response, pause: float) -> None:
        """Send the head, then the body byte by byte."""
        data = response.encode()
        self.raw(data[: -len(response.body)])
        self._drip(response.body, pause)

    def _drip(self, rest: bytes, pause: float) -> None:
        if self._transport is None or not rest:
            self._done()
            return
        self.raw(rest[:1])
        asyncio.get_running_loop().call_later(pause, self._drip, rest[1:], pause)

    def _done(self) -> None:
        if self.busy_with is not None:
            self._server.in_flight[self.busy_with] -= 1
            self.busy_with = None
