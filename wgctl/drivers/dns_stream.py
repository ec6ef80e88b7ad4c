"""DNS over streams: TCP from peers, and the operators' socket.

Knows lengths, pipelining and patience (RFC 7766); what to reply is the handler's business.

    TCP                 length (2 octets), message
    operators' socket   asker's address (16 octets), length (2 octets), message;
                        a reply of length 0 stands for silence
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from wgctl.drivers.crowd import Crowd

__all__ = ["Asker", "Handler", "Streams", "ends"]


class Asker(NamedTuple):
    """Who asks, as 16 octets of IPv6 address, and whether over a stream."""

    address: bytes
    stream: bool


Handler = Callable[[bytes, Asker], bytes | Awaitable[bytes | None] | None]
"""Gives the reply to a message, at once or later; None for silence. It must not raise."""

_LENGTH_BYTES = 2
_ADDRESS_BYTES = 16

_PIPELINED = 32
_PATIENCE_S = 10.0


class Streams:
    """Every open connection of one listener.

    What is too many for a `Crowd` is closed as it comes. A connection without a whole request for
    10 s is closed once all replies that it is owed have been sent; one whose other side does not
    take a reply within 10 s, at once.
    """

    def __init__(self, handler: Handler, *, patience_s: float = _PATIENCE_S) -> None:
        """Reply as `handler` says, and wait for the other side up to `patience_s` at a time."""
        self._handler = handler
        self._patience_s = patience_s
        self._open: set[asyncio.StreamWriter] = set()
        self._crowd = Crowd()

    async def converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asker: bytes | None
    ) -> None:
        """Answer until either side is done; without `asker` each request names its own."""
        if not self._crowd.admit(asker):
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            conversation = _Conversation(reader, writer, asker, patience_s=self._patience_s)
            await conversation.hold(self._handler)
        finally:
            writer.transport.abort()
            self._open.discard(writer)
            self._crowd.leave(asker)

    def close(self) -> None:
        """Close every connection."""
        for writer in self._open:
            writer.transport.abort()


class _Conversation:
    """One connection: requests are read while replies to earlier ones are still awaited."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        asker: bytes | None,
        *,
        patience_s: float,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._asker = asker
        self._patience_s = patience_s
        self._owed: set[asyncio.Task[None]] = set()
        # A drain that waits until all is sent: what is owed at the end has then left.
        writer.transport.set_write_buffer_limits(high=0)

    async def hold(self, handler: Handler) -> None:
        """Answer until the asker has gone, stalls or sends nonsense."""
        try:
            while request := await self._read():
                await self._take(handler, *request)
            if self._owed:
                await asyncio.wait(self._owed)
        except (OSError, TimeoutError):
            pass
        finally:
            for task in self._owed:
                task.cancel()

    async def _take(self, handler: Handler, address: bytes, message: bytes) -> None:
        if len(self._owed) >= _PIPELINED:
            await asyncio.wait(self._owed, return_when=asyncio.FIRST_COMPLETED)
        reply = handler(message, Asker(address, stream=True))
        if reply is None or isinstance(reply, bytes):
            await self._send(reply)
            return
        task = asyncio.create_task(self._send_later(reply))
        self._owed.add(task)
        task.add_done_callback(self._owed.discard)

    async def _send_later(self, reply: Awaitable[bytes | None]) -> None:
        try:
            await self._send(await reply)
        except (OSError, TimeoutError):
            self._writer.transport.abort()

    async def _send(self, reply: bytes | None) -> None:
        """Send `reply`; silence ends a TCP connection, where it would only hold up the next."""
        if reply is None and self._asker is not None:
            raise ConnectionAbortedError
        octets = reply or b""
        self._writer.write(len(octets).to_bytes(_LENGTH_BYTES, "big") + octets)
        async with asyncio.timeout(self._patience_s):
            await self._writer.drain()

    async def _read(self) -> tuple[bytes, bytes] | None:
        """Return the asker and message of the next request; None when there will be none."""
        address_bytes = _ADDRESS_BYTES if self._asker is None else 0
        try:
            async with asyncio.timeout(self._patience_s):
                head = await self._reader.readexactly(address_bytes + _LENGTH_BYTES)
                length = int.from_bytes(head[address_bytes:], "big")
                message = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, TimeoutError):
            return None
        return self._asker or head[:address_bytes], message


def ends(connection: asyncio.StreamWriter) -> tuple[bytes, bytes]:
    """Return the two ends of a TCP connection, theirs and ours, as 16 octets each.

    Empty where the end has gone or has a zone: such an address is in no network.
    """
    return _packed(connection, "peername"), _packed(connection, "sockname")


def _packed(connection: asyncio.StreamWriter, end: str) -> bytes:
    try:
        return socket.inet_pton(socket.AF_INET6, connection.get_extra_info(end)[0])
    except (OSError, TypeError):
        return b""
