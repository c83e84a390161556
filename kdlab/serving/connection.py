"""Connections: sockets that answer at once, and clients that are slow or endless before a request has begun."""

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kdlab.errors import BadInput

MOST_HEADER_BYTES = 65536
BACKLOG = 2048


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that is bound, so that a port in use is an error before anything is loaded.

    It is created with the protocol TCP: asyncio sets TCP_NODELAY on connections only where the socket says that it is
    TCP, and one of protocol 0, as `socket.socket()` makes by default, does not. Without it the second of the two writes
    of a response waits for the client's delayed acknowledgement of the first: 40 ms on a connection that is kept alive.

    Raises:
        BadInput: the address is in use, or is none of this machine's.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, socket.IPPROTO_TCP)
    except OSError as error:
        raise BadInput(f"serve.host must be an address of this machine, got {host} ({error.strerror}).") from error
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it, whatever loop serves them
    try:
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise BadInput(
            f"serve.port={port} on {host} cannot be bound: {error.strerror}. Choose another one, such as "
            f"serve.port={port + 1}, or serve.port=0 for any that is free."
        ) from error
    return bound


class Guarded(HttpToolsProtocol):
    """A connection that is closed where the headers of a request take too long, or are too many."""

    header_seconds: float  # that they may take

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._timer: asyncio.TimerHandle | None = None
        self._header_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        if self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._await_headers()
        if self._timer is not None:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._timer is not None and self._header_bytes > MOST_HEADER_BYTES:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        self._have_headers()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_headers()
        super().connection_lost(exc)

    def _await_headers(self) -> None:
        self._timer = self.loop.call_later(self.header_seconds, self.transport.abort)
        self._header_bytes = 0

    def _have_headers(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def guarded_protocol(seconds: float) -> type[asyncio.Protocol]:
    """The class of connections whose headers may take so many seconds."""
    return type("GuardedProtocol", (Guarded,), {"header_seconds": seconds})
