"""The sockets of the resolver: `::3`, port 53, of every network behind one interface.

Knows where a query came from and that it came through the tunnel; what to reply is the handler's
business. Nothing that arrives through another interface is ever seen here: the sockets are bound
to the device, and a query must be for the `::3` of the network that its source address names.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Never

from peers.addresses import RESOLVER_NUMBER
from wgctl.drivers.crowd import NETWORK_BYTES
from wgctl.drivers.dns_stream import Asker, Handler, Streams, ends
from wgctl.drivers.tunnel_socket import interface_index, listen_on

__all__ = ["Asker", "DnsServer", "Handler", "Listening"]

DNS_PORT = 53

_POLL_S = 0.25
_BATCH = 64
_MAX_QUERY_BYTES = 4096
_PKTINFO_BYTES = 20  # struct in6_pktinfo: an address and an interface index.
_ADDRESS_BYTES = 16
_CONTROL_BYTES = socket.CMSG_SPACE(_PKTINFO_BYTES)
_RESOLVER = RESOLVER_NUMBER.to_bytes(_ADDRESS_BYTES - NETWORK_BYTES, "big")


@dataclass(frozen=True, slots=True)
class Listening:
    """What became of the sockets.

    `index` is the interface's that they are bound to, None while there are none; `reason` says why
    they could not be opened, None otherwise.
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
    """The sockets on one interface, for as long as it has this index."""

    def __init__(self, index: int, datagrams: socket.socket, handler: Handler) -> None:
        self.index = index
        self._datagrams = datagrams
        self._handler = handler
        self._streams = Streams(handler)
        self._server: asyncio.Server | None = None
        self._owed: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, device: str, index: int, handler: Handler, port: int) -> "_Bound":
        with contextlib.ExitStack() as opened:
            datagrams, listener = (
                opened.enter_context(listen_on(device, port, kind=kind))
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)
            )
            opened.pop_all()
        bound = cls(index, datagrams, handler)
        bound._server = await asyncio.start_server(bound._converse, sock=listener)
        asyncio.get_running_loop().add_reader(datagrams, bound._read)
        return bound

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._datagrams)
        self._datagrams.close()
        for task in self._owed:
            task.cancel()
        if self._server is not None:
            self._server.close()
        self._streams.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asker, asked = ends(writer)
        if not _own_resolver(asker, asked):
            writer.transport.abort()
            return
        await self._streams.converse(reader, writer, asker=asker)

    def _read(self) -> None:
        """Take what has arrived, at most 64 datagrams before the loop has its turn."""
        for _ in range(_BATCH):
            try:
                message, control, flags, source = self._datagrams.recvmsg(
                    _MAX_QUERY_BYTES, _CONTROL_BYTES
                )
            except OSError:
                return
            if control and not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                self._take(message, control[0], source)

    def _take(
        self, message: bytes, control: tuple[int, int, bytes], source: tuple[str, int, int, int]
    ) -> None:
        try:
            asker = socket.inet_pton(socket.AF_INET6, source[0])
        except OSError:
            return  # A zone: the address is in no network.
        if not _own_resolver(asker, control[2][:_ADDRESS_BYTES]):
            return
        reply = self._handler(message, Asker(asker, stream=False))
        if isinstance(reply, bytes):
            self._send(reply, control, source)
        elif reply is not None:
            task = asyncio.ensure_future(self._send_later(reply, control, source))
            self._owed.add(task)
            task.add_done_callback(self._owed.discard)

    async def _send_later(
        self,
        reply: Awaitable[bytes | None],
        control: tuple[int, int, bytes],
        source: tuple[str, int, int, int],
    ) -> None:
        octets = await reply
        if octets is not None:
            self._send(octets, control, source)

    def _send(
        self, reply: bytes, control: tuple[int, int, bytes], source: tuple[str, int, int, int]
    ) -> None:
        """Reply from the address and interface that were asked; what does not fit is lost.

        That is what happens to datagrams, and the asker asks again.
        """
        with contextlib.suppress(OSError):
            self._datagrams.sendmsg([reply], [control], 0, source)


def _own_resolver(asker: bytes, asked: bytes) -> bool:
    """Whether `asked` is the `::3` of the network that `asker` is in."""
    return asked[NETWORK_BYTES:] == _RESOLVER and asked[:NETWORK_BYTES] == asker[:NETWORK_BYTES]
