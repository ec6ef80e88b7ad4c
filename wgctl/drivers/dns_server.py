"""DNS over TCP at the `::3` of every network behind one interface.

Knows where a query came from and that it came through the tunnel; what to reply is the handler's
business. Nothing that arrives through another interface is ever seen here: the socket is bound to
the device, and a connection must be to the `::3` of the network that its source address names.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Never

from wgctl.drivers.dns_datagrams import own_resolver
from wgctl.drivers.dns_stream import Handler, Streams, ends
from wgctl.drivers.tunnel_socket import interface_index, listen_on

__all__ = ["DNS_PORT", "DnsServer", "Listening"]

DNS_PORT = 53

_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Listening:
    """What became of a socket.

    `index` is the interface's that it is bound to, None while there is none; `reason` says why it
    could not be opened, None otherwise.
    """

    device: str
    index: int | None
    reason: str | None = None


class DnsServer:
    """A server that follows its interface: it may come late, vanish, and come back as another."""

    def __init__(
        self,
        device: str,
        handler: Handler,
        *,
        port: int = DNS_PORT,
        notify: Callable[[Listening], None],
    ) -> None:
        """Serve on `device`; `notify` hears what the first look found, and of every change."""
        self._device = device
        self._handler = handler
        self._port = port
        self._notify = notify
        self._bound: _Bound | None = None
        self._told: Listening | None = None

    async def run(self) -> Never:
        """Serve until cancelled, looking for the interface four times a second."""
        try:
            while True:
                await self._follow_device()
                await asyncio.sleep(_POLL_S)
        finally:
            self._close()

    async def _follow_device(self) -> None:
        index = interface_index(self._device)
        if self._bound is not None and self._bound.index != index:
            self._close()
        if self._bound is None and index is None:
            self._tell(Listening(self._device, None))
        if self._bound is None and index is not None:
            try:
                self._bound = await _Bound.open(self._device, index, self._handler, self._port)
            except OSError as error:
                self._tell(Listening(self._device, None, str(error)))
            else:
                self._tell(Listening(self._device, index))

    def _close(self) -> None:
        if self._bound is not None:
            self._bound.close()
            self._bound = None

    def _tell(self, listening: Listening) -> None:
        if listening != self._told:
            self._told = listening
            self._notify(listening)


class _Bound:
    """The socket on one interface, for as long as it has this index."""

    def __init__(self, index: int, handler: Handler) -> None:
        self.index = index
        self._streams = Streams(handler)
        self._server: asyncio.Server | None = None

    @classmethod
    async def open(cls, device: str, index: int, handler: Handler, port: int) -> "_Bound":
        bound = cls(index, handler)
        listener = listen_on(device, port, kind=socket.SOCK_STREAM)
        bound._server = await asyncio.start_server(bound._converse, sock=listener)
        return bound

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._streams.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asker, asked = ends(writer)
        if not own_resolver(asker, asked):
            writer.transport.abort()
            return
        await self._streams.converse(reader, writer, asker=asker)
