"""Real connections over the loopback to a real uvicorn with TLS."""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn

from tests.patience import HANG_S
from wgctl.core import authority
from wgctl.core.pin import NAME
from wgctl.drivers.https import serve
from wgctl.drivers.tls import server_tls, use

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.66\r\n\r\n"
SOON_S = 2.0
NOW = int(time.time())

OWN = authority.make(now=NOW)
SHOWN = authority.issue(OWN, [], now=NOW)


async def answer(scope: Any, _receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    body = json.dumps([scope["client"][0], scope["scheme"]]).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Caller:
    """One connection to the server, with TLS or without."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def asks(self) -> object:
        """Ask once; None if there is no answer."""
        try:
            self.writer.write(REQUEST)
            async with asyncio.timeout(HANG_S):
                head = await self._reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                return json.loads(await self._reader.readexactly(length))
        except (OSError, asyncio.IncompleteReadError):
            return None

    async def is_closed(self) -> None:
        """Wait until the server has closed the connection."""
        async with asyncio.timeout(HANG_S):
            with suppress(OSError):
                while await self._reader.read(1000):
                    pass


class Place:
    """Where the server is."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._callers: list[Caller] = []

    async def call(self, *, tls: bool = True) -> Caller:
        client = ssl.create_default_context(cadata=OWN.certificate.decode()) if tls else None
        name = NAME if tls else None
        opened = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=client, server_hostname=name
        )
        self._callers.append(Caller(*opened))
        return self._callers[-1]

    def close(self) -> None:
        for caller in self._callers:
            caller.writer.transport.abort()


@asynccontextmanager
async def served(
    *, handshake_s: float = HANG_S, patience_s: float = HANG_S
) -> AsyncIterator["Place"]:
    """Serve for the block; what was called is closed then."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    listener.setblocking(False)
    tls = server_tls()
    use(tls, certificate=SHOWN.certificate, key=SHOWN.key)
    config = uvicorn.Config(
        answer,
        log_config=None,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    config.load()
    server = uvicorn.Server(config)
    place = Place(listener.getsockname()[1])
    serving = asyncio.create_task(
        serve(server, listener, tls, handshake_s=handshake_s, patience_s=patience_s)
    )
    try:
        yield place
    finally:
        server.should_exit = True
        async with asyncio.timeout(HANG_S):
            await serving
        place.close()


def test_a_request_over_tls_is_answered_and_no_header_says_where_it_comes_from() -> None:
    async def scene() -> list[object]:
        async with served() as place:
            caller = await place.call()
            return [await caller.asks() for _ in range(2)]

    assert asyncio.run(scene()) == [["127.0.0.1", "https"]] * 2


def test_a_connection_that_never_speaks_tls_is_closed() -> None:
    async def scene() -> object:
        async with served(handshake_s=SOON_S) as place:
            silent, plain = await place.call(tls=False), await place.call(tls=False)
            plain.writer.write(REQUEST)
            await silent.is_closed()
            await plain.is_closed()
            return await (await place.call()).asks()

    assert asyncio.run(scene())


def test_a_slow_request_is_closed_though_an_octet_comes_now_and_then() -> None:
    async def scene() -> int:
        async with served(patience_s=SOON_S) as place:
            slow = await place.call()
            closed, sent = asyncio.create_task(slow.is_closed()), 0
            while not closed.done():
                slow.writer.write(b"X-Wait: yes\r\n" if sent else REQUEST[:-2])
                sent += 1
                await asyncio.wait([closed], timeout=SOON_S / 8)
            await closed
        return sent

    assert asyncio.run(scene()) > 2


def test_a_host_that_holds_its_64_connections_gets_no_more_until_one_ends() -> None:
    """Those that have not even begun with TLS count too: they cost a handshake's memory each."""

    async def scene() -> tuple[object, object]:
        async with served() as place:
            held = [await place.call(tls=False) for _ in range(64)]
            beyond = await place.call(tls=False)
            await beyond.is_closed()
            held[0].writer.transport.abort()
            async with asyncio.timeout(HANG_S):
                while True:
                    with suppress(OSError, ssl.SSLError):
                        after = await (await place.call()).asks()
                        if after is not None:
                            return len(held), after

    assert asyncio.run(scene()) == (64, ["127.0.0.1", "https"])


def test_it_ends_though_some_are_half_way_in() -> None:
    async def scene() -> None:
        async with served() as place:
            half, whole = await place.call(tls=False), await place.call()
            assert await whole.asks()
        await half.is_closed()
        await whole.is_closed()

    asyncio.run(scene())
