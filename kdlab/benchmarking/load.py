"""Requests to a running `kdlab.serve`: how many a second, and how long one takes."""

import asyncio
import io
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from kdlab.errors import BadInput

CONNECTIONS = (1, 4, 16)
SECONDS = 5.0
SIDE = 32  # of the image that is sent, in pixels
Sent = tuple[str, bytes, str]  # path, body, content type


@dataclass
class Load:
    """What a load met.

    Attributes:
        seconds: that it took.
        latencies: of requests with status 200, in seconds.
        statuses: number of requests by status; 0 for a connection that broke.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        """Requests with status 200 in a second."""
        return self.statuses[200] / self.seconds

    def quantile(self, share: float) -> float:
        """Of the latencies, in seconds."""
        ordered = sorted(self.latencies)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def load_table(address: str, token: str) -> Iterator[str]:
    """Lines of a table: an image file, sent by more and more clients at once.

    Args:
        address: of the server.
        token: that it needs; empty for none.

    Raises:
        BadInput: nothing answers there.
    """
    yield "connections   requests/s     p50 ms     p99 ms   statuses"
    for connections in CONNECTIONS:
        load = run_load(address, ("/predict", _image(), "image/png"), connections, SECONDS, token)
        if not load.latencies:
            found = ", ".join(str(status or "no connection") for status in load.statuses)
            raise BadInput(f"--serve {address}: no request got status 200, but {found}. Is kdlab.serve ready there?")
        p50, p99 = (1e3 * load.quantile(share) for share in (0.5, 0.99))
        statuses = ", ".join(f"{status or 'broken'}: {count}" for status, count in sorted(load.statuses.items()))
        yield f"{connections:>11}{load.per_second:>13.0f}{p50:>11.2f}{p99:>11.2f}   {statuses}"


def _image() -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.effect_noise((SIDE, SIDE), 64).convert("RGB").save(content, "PNG")
    return content.getvalue()


def run_load(address: str, request: Sent, connections: int, seconds: float, token: str = "") -> Load:
    """Sends the same request over and over.

    Args:
        address: such as `http://127.0.0.1:8000`.
        request: path, body and content type.
        connections: at once.
        seconds: for which requests are begun.
        token: of the server; empty for none.

    Raises:
        BadInput: nothing listens there.
    """
    url = urlsplit(address)
    if url.scheme != "http" or not url.hostname:
        raise BadInput(f"--serve must be an address such as http://127.0.0.1:8000, got {address}.")
    path, body, kind = request
    headers = f"Host: {url.netloc}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    headers += f"Authorization: Bearer {token}\r\n" if token else ""
    raw = f"POST {path} HTTP/1.1\r\n{headers}\r\n".encode() + body
    return asyncio.run(_load(url.hostname, url.port or 80, raw, connections, seconds))


async def _load(host: str, port: int, raw: bytes, connections: int, seconds: float) -> Load:
    load, started = Load(), time.perf_counter()
    clients = [_client(host, port, raw, started + seconds, load) for _ in range(connections)]
    await asyncio.gather(*clients)
    load.seconds = time.perf_counter() - started
    return load


async def _client(host: str, port: int, raw: bytes, until: float, load: Load) -> None:
    while time.perf_counter() < until:
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError:
            load.statuses[0] += 1
            await asyncio.sleep(0.05)
            continue
        try:
            while time.perf_counter() < until:
                started = time.perf_counter()
                writer.write(raw)
                status = await _status(reader)
                load.statuses[status] += 1
                if status == 200:
                    load.latencies.append(time.perf_counter() - started)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            load.statuses[0] += 1
        finally:
            writer.close()


async def _status(reader: asyncio.StreamReader) -> int:
    """Reads a response; returns its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split()[1])
