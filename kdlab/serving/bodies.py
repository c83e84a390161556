"""Reads the bodies of requests, with limits of size, of all sizes together, and of time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request

from kdlab.serving.refusals import Refused, bad_request, too_busy

CLOSE = {"Connection": "close"}  # what is left of the body is not read


class Bodies:
    """Reads bodies into memory.

    Args:
        most: bytes of one body.
        most_pending: bytes of all bodies that are held.
        seconds: that a body may take to come in.
    """

    def __init__(self, most: int, most_pending: int, seconds: float) -> None:
        self.most, self.most_pending, self.seconds = most, most_pending, seconds
        self._pending = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """The body, which counts as held within the context.

        Raises:
            Refused: it is too large or too slow, encoded, or there is no room for it.
        """
        self._check_headers(request)
        body = bytearray()
        try:
            await self._receive(request, body)
            yield bytes(body)
        finally:
            self._pending -= len(body)

    async def _receive(self, request: Request, body: bytearray) -> None:
        try:
            async with asyncio.timeout(self.seconds):
                async for part in request.stream():
                    self._pending += len(part)
                    body += part
                    self._check_sizes(len(body))
        except TimeoutError as error:
            message = f"the body did not come within {self.seconds:g} s"
            raise Refused(408, "slow", message, CLOSE) from error
        except ClientDisconnect as error:
            raise Refused(499, "gone", "the client has gone") from error

    def _check_headers(self, request: Request) -> None:
        encoding = request.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise Refused(415, "bad_request", f"Content-Encoding must be identity, got {encoding[:50]}", CLOSE)
        length = request.headers.get("content-length", "0")
        if not length.isdigit():
            raise bad_request("Content-Length must be a whole number")
        self._check_sizes(int(length))

    def _check_sizes(self, size: int) -> None:
        if size > self.most:
            message = f"a body may have {self.most / 1e6:g} MB; serve.max_body_mb sets that"
            raise Refused(413, "too_large", message, CLOSE)
        if self._pending > self.most_pending:
            refused = too_busy("too many bodies are being read; try again", 1)
            raise Refused(refused.status, refused.reason, refused.message, {**refused.headers, **CLOSE})
