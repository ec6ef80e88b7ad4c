"""A server with TLS on the loopback, as the API has it, and who calls there."""

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
from wgctl.drivers.tls_alpn import Proofs

__all__ = ["OWN", "REQUEST", "Caller", "Place", "answer", "served"]

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.66\r\n\r\n"
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
        self.port = port
        self._callers: list[Caller] = []

    async def call(self, *, tls: bool = True) -> Caller:
        client = ssl.create_default_context(cadata=OWN.certificate.decode()) if tls else None
        name = NAME if tls else None
        opened = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=client, server_hostname=name
        )
        self._callers.append(Caller(*opened))
        return self._callers[-1]

    def close(self) -> None:
        for caller in self._callers:
            caller.writer.transport.abort()


@asynccontextmanager
async def served(
    *,
    handshake_s: float = HANG_S,
    patience_s: float = HANG_S,
    port: int = 0,
    proofs: Proofs | None = None,
    app: Any = answer,
    **more: Any,
) -> AsyncIterator["Place"]:
    """Serve `app` for the block; what was called is closed then. `more` is uvicorn's."""
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    listener.setblocking(False)
    tls = server_tls()
    use(tls, certificate=SHOWN.certificate, key=SHOWN.key)
    config = uvicorn.Config(
        app,
        log_config=None,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        **more,
    )
    config.load()
    server = uvicorn.Server(config)
    place = Place(listener.getsockname()[1])
    serving = asyncio.create_task(
        serve(
            *(server, listener, tls),
            proofs=proofs,
            handshake_s=handshake_s,
            patience_s=patience_s,
        )
    )
    try:
        yield place
    finally:
        server.should_exit = True
        async with asyncio.timeout(HANG_S):
            await serving
        place.close()
