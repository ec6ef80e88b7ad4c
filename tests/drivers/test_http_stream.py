"""Real connections over IPv6's loopback to a real uvicorn."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn

from tests.patience import HANG_S
from wgctl.drivers.http_stream import guarded

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PATIENCE_S = 2.0


async def answer(scope: Any, _receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    assert scope["type"] == "http"
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hi"})


@asynccontextmanager
async def served(*, patience_s: float = PATIENCE_S) -> AsyncIterator[int]:
    """Serve for the block; give the port."""
    listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    config = uvicorn.Config(
        answer,
        http=guarded(patience_s=patience_s),
        log_config=None,
        lifespan="off",
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve([listener]))  # noqa: SLF001  # as the role does
    while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


class Caller:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def asks(self, request: bytes = REQUEST) -> bool:
        """Whether a request is answered on the connection."""
        try:
            self.writer.write(request)
            async with asyncio.timeout(HANG_S):
                head = await self._reader.readuntil(b"\r\n\r\n")
                await self._reader.readexactly(2)
        except (OSError, asyncio.IncompleteReadError):
            return False
        return head.startswith(b"HTTP/1.1 200 ")

    async def is_closed(self) -> None:
        """Wait until the server has closed the connection."""
        async with asyncio.timeout(HANG_S):
            with suppress(OSError):
                assert await self._reader.read() == b""


@asynccontextmanager
async def caller(port: int) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection("::1", port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("sent", [b"", REQUEST[:20], b"POST / HTTP/1.1\r\nContent-Le"])
def test_a_connection_without_a_whole_request_is_closed(sent: bytes) -> None:
    async def scene() -> None:
        async with served() as port, caller(port) as slow:
            slow.writer.write(sent)
            await slow.is_closed()

    asyncio.run(scene())


def test_an_octet_now_and_then_does_not_help() -> None:
    async def scene() -> int:
        sent = 0
        async with served() as port, caller(port) as slow:
            closed = asyncio.create_task(slow.is_closed())
            while not closed.done():
                slow.writer.write(b"X-Wait: yes\r\n" if sent else REQUEST[:-2])
                sent += 1
                await asyncio.wait([closed], timeout=PATIENCE_S / 8)
            await closed
        return sent

    assert asyncio.run(scene()) > 2


def test_a_connection_that_asks_again_and_again_is_kept() -> None:
    async def scene() -> list[bool]:
        async with served(patience_s=4.0) as port, caller(port) as steady:
            answers = []
            for _ in range(6):
                answers.append(await steady.asks())
                await asyncio.sleep(0.9)
            return answers

    assert asyncio.run(scene()) == [True] * 6


def test_a_ninth_connection_of_one_address_is_closed_until_another_one_leaves() -> None:
    async def scene() -> tuple[list[bool], bool]:
        async with served(patience_s=60.0) as port:
            callers = [Caller(*await asyncio.open_connection("::1", port)) for _ in range(9)]
            answered = [await one.asks() for one in callers]
            for one in callers:
                one.writer.transport.abort()
            async with asyncio.timeout(HANG_S):
                while True:
                    async with caller(port) as after:
                        if await after.asks():
                            return answered, True

    answered, after = asyncio.run(scene())

    assert answered == [True] * 8 + [False]
    assert after
