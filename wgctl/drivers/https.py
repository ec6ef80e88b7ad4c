"""HTTPS connections from elsewhere: counted before TLS begins, and each step of them timed.

Requests are uvicorn's; what is answered, and to whom, is the application's. Whatever a header says
of the asker's address is believed by nobody.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
import uvicorn

from wgctl.core.source import source_of
from wgctl.drivers.crowd import Crowd
from wgctl.drivers.http_stream import Patient
from wgctl.drivers.tls_alpn import Proofs, Visitor

__all__ = ["serve"]

_HANDSHAKE_S = 5.0
_PATIENCE_S = 30.0
_PAUSE_S = 0.1

# A host, or all behind one address: browsers and runners of a whole office.
_PER_SOURCE = 64
_PER_NETWORK = 256

_log = structlog.get_logger()


async def serve(
    server: uvicorn.Server,
    listener: socket.socket,
    tls: ssl.SSLContext,
    *,
    proofs: Proofs | None = None,
    handshake_s: float = _HANDSHAKE_S,
    patience_s: float = _PATIENCE_S,
) -> None:
    """Serve who connects to `listener`, which does not block, until `server` is to exit.

    `server` gets its connections from here alone. One that has no TLS within `handshake_s`, or no
    whole request or answer within `patience_s`, is closed; and at once one that is more than 64 of
    one address (of IPv6, one /64), 256 of a /48 or 512 in all. A CA is shown `proofs`.
    """
    # `_serve`, not `serve`: the latter takes the signals of the process.
    running = asyncio.create_task(server._serve([]))  # noqa: SLF001
    entrance = _Entrance(
        server, tls, proofs or Proofs(), handshake_s=handshake_s, patience_s=patience_s
    )
    taking = asyncio.create_task(entrance.take_from(listener))
    try:
        await asyncio.wait([running, taking], return_when=asyncio.FIRST_COMPLETED)
    finally:
        taking.cancel()
        entrance.close()
        listener.close()
        with contextlib.suppress(asyncio.CancelledError):
            await taking
        server.should_exit = True
        await running


class _Entrance:
    def __init__(
        self,
        server: uvicorn.Server,
        tls: ssl.SSLContext,
        proofs: Proofs,
        *,
        handshake_s: float,
        patience_s: float,
    ) -> None:
        self._server = server
        self._tls = tls
        self._proofs = proofs
        self._handshake_s = handshake_s
        self._patience_s = patience_s
        self._crowd = Crowd(per_asker=_PER_SOURCE, per_network=_PER_NETWORK)
        self._coming: set[asyncio.Task[None]] = set()

    async def take_from(self, listener: socket.socket) -> None:
        """Take connections for ever."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listener)
            except OSError as error:
                # Such as that too many files are open: it passes.
                _log.warning("connection not taken", reason=error.strerror)
                await asyncio.sleep(_PAUSE_S)
                continue
            source = source_of(address[0])
            if not self._crowd.admit(source):
                connection.close()
                continue
            task = loop.create_task(self._let_in(connection, _once(self._crowd.leave, source)))
            self._coming.add(task)
            task.add_done_callback(self._coming.discard)

    def close(self) -> None:
        """Drop whoever has not finished their handshake."""
        for task in self._coming:
            task.cancel()

    async def _let_in(self, connection: socket.socket, leave: Callable[[], None]) -> None:
        """Make a connection with TLS of it; whatever goes wrong there is the other side's doing."""
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(self._handshake_s):
                proving = await self._proofs.looked_for(connection)
            await asyncio.get_running_loop().connect_accepted_socket(
                partial(self._protocol if proving is None else Visitor, leave),
                connection,
                ssl=proving or self._tls,
                ssl_handshake_timeout=self._handshake_s,
                ssl_shutdown_timeout=self._handshake_s,
            )
        except (OSError, EOFError) as error:
            leave()
            connection.close()
            _log.debug("no TLS", reason=type(error).__name__)
        except asyncio.CancelledError:
            leave()
            connection.close()
            raise

    def _protocol(self, leave: Callable[[], None]) -> Patient:
        return Patient(
            self._server.config,
            self._server.server_state,
            {},
            patience_s=self._patience_s,
            on_lost=leave,
        )


def _once(function: Callable[[Any], None], argument: object) -> Callable[[], None]:
    """Return what calls `function` at its first call, and nothing at the others."""
    left = [argument]

    def call() -> None:
        if left:
            function(left.pop())

    return call
