"""One HTTP request over a Unix socket from within an event loop, and its answer as it comes.

The protocol is h11's, which the server speaks too: it loads in a tenth of the time of a client
with pools and TLS. What is asked is `wgctl.client.node`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import h11

from wgctl.core.errors import Unavailable

__all__ = ["Answer", "asked"]

_HOST = "controller"
_TIMEOUT_S = 5.0
_READ_BYTES = 64 * 1024
_MOST_BYTES = 2**20
"""A hundred times the longest row: a line or a body without end must not fill the memory."""


@asynccontextmanager
async def asked(
    path: Path, method: str, target: str, *, body: bytes | None = None, silence_s: float
) -> AsyncIterator["Answer"]:
    """Send one request, with `body` as JSON, and give its answer once that begins.

    Raises Unavailable when nobody takes the request at `path` within 5 s, when what answers speaks
    no HTTP, and, also while the answer is read, when it ends too soon or pauses for `silence_s`.
    """
    with _expecting(path):
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(path)
    try:
        answer = Answer(path, reader, silence_s=silence_s)
        with _expecting(path):
            writer.write(answer.request(method, target, body))
            async with asyncio.timeout(_TIMEOUT_S):
                await writer.drain()
        await answer.begin()
        yield answer
    finally:
        # Not close(): it waits for what was not sent, which a controller that hangs never takes.
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


class Answer:
    """The answer to one request."""

    def __init__(self, path: Path, reader: asyncio.StreamReader, *, silence_s: float) -> None:
        """Read from `reader` what the controller at `path` answers."""
        self.status = 0
        self._path = path
        self._reader = reader
        self._silence_s = silence_s
        self._http = h11.Connection(h11.CLIENT)

    @property
    def good(self) -> bool:
        """Whether the request was met: a status of 2xx."""
        return self.status // 100 == 2  # noqa: PLR2004  # the class of a status

    @property
    def refused(self) -> bool:
        """Whether the request was at fault: a status of 4xx."""
        return self.status // 100 == 4  # noqa: PLR2004  # the class of a status

    def request(self, method: str, target: str, body: bytes | None) -> bytes:
        """Return the request as it is sent."""
        headers = [("Host", _HOST), ("Connection", "close")]
        if body is not None:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        sent = (
            h11.Request(method=method, target=target, headers=headers),
            h11.Data(data=body or b""),
            h11.EndOfMessage(),
        )
        return b"".join(self._http.send(event) or b"" for event in sent)

    async def begin(self) -> None:
        """Wait for the status."""
        while not isinstance(event := await self._next(), h11.Response):
            pass  # A status of 1xx comes before the one that counts.
        self.status = event.status_code

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes, to its end; chunks that came together as one piece."""
        piece = bytearray()
        while not isinstance(event := self._event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                piece += event.data
            elif event is h11.NEED_DATA:
                if piece:
                    yield bytes(piece)
                    piece.clear()
                await self._receive()
        if piece:
            yield bytes(piece)

    async def lines(self) -> AsyncIterator[list[bytes]]:
        """Yield the lines of the body without their ends, those together that came together.

        Raises Unavailable when one has more than 1 MiB.
        """
        rest = b""
        async for piece in self.pieces():
            *whole, rest = (rest + piece).split(b"\n")
            if whole:
                yield whole
            self._require_bounded(rest, "a line")
        if rest:
            yield [rest]

    async def body(self) -> bytes:
        """Return the whole body; raises Unavailable when it has more than 1 MiB."""
        body = bytearray()
        async for piece in self.pieces():
            body += piece
            self._require_bounded(body, "an answer")
        return bytes(body)

    def _require_bounded(self, read: bytes | bytearray, what: str) -> None:
        if len(read) > _MOST_BYTES:
            raise Unavailable(
                f"the controller at {self._path}: {what} of more than {_MOST_BYTES} bytes"
            )

    async def _next(self) -> object:
        while (event := self._event()) is h11.NEED_DATA:
            await self._receive()
        return event

    def _event(self) -> object:
        with _expecting(self._path):
            event = self._http.next_event()
            if isinstance(event, h11.ConnectionClosed):
                raise ConnectionError("it closed the connection")  # as a socket tells it
        return event

    async def _receive(self) -> None:
        with _expecting(self._path):
            async with asyncio.timeout(self._silence_s):
                self._http.receive_data(await self._reader.read(_READ_BYTES))


@contextmanager
def _expecting(path: Path) -> Iterator[None]:
    """Raise Unavailable for whatever keeps the controller from answering."""
    try:
        yield
    except TimeoutError as error:
        raise Unavailable(f"the controller at {path} says nothing") from error
    except (OSError, h11.RemoteProtocolError) as error:
        raise Unavailable(f"the controller at {path}: {error}") from error
