"""Questions to one upstream over TCP or TLS, many at a time on one connection.

Knows lengths, ids, reuse and idleness (RFC 7766, 7858); what a reply is worth is for whoever asks.
"""

import asyncio
import secrets
import ssl
import time
from collections.abc import Callable

from wgctl.core.forward.upstream import Transport, Upstream

__all__ = ["Connection"]

_LENGTH_BYTES = 2
_ID_BITS = 16
_CONNECT_S = 4.0
# RFC 7766, section 6.2.3: a few seconds; servers of public resolvers end theirs after 10 s.
_IDLE_S = 8.0
# A connection takes ten times as long as a datagram, over TLS a hundred times: whoever ends each at
# once must not have one for every question.
_REST_S = 1.0
_MAX_STRAYS = 8


class Connection:
    """The way to one upstream: made when it is needed, shared while it lasts, then made again.

    After one that could not be made, or that brought nothing and was ended by the other side, there
    is none for a second.
    """

    def __init__(
        self,
        upstream: Upstream,
        *,
        tls: ssl.SSLContext | None,
        idle_s: float = _IDLE_S,
        rest_s: float = _REST_S,
    ) -> None:
        """Reach `upstream`, which has a certificate that `tls` accepts if it is asked over TLS."""
        self._upstream = upstream
        self._tls = tls if upstream.transport is Transport.TLS else None
        self._idle_s = idle_s
        self._rest_s = rest_s
        self._rests_until = float("-inf")
        self._opening: asyncio.Task[_Open] | None = None

    async def exchange(self, make: Callable[[int], bytes]) -> bytes:
        """Send what `make` makes of an id, and return the reply with that id.

        A connection that ends meanwhile is made anew, once: the upstream may have thought it idle.
        Waits for ever for the reply, up to 4 s for the connection; raises OSError.
        """
        opened = await self._open()
        try:
            return await opened.exchange(make)
        except ConnectionError:
            opened = await self._open()
        return await opened.exchange(make)

    def close(self) -> None:
        """Close the connection if there is one; what is awaited on it fails."""
        opening, self._opening = self._opening, None
        if opening is None:
            return
        opening.cancel()
        if opening.done() and not opening.cancelled() and opening.exception() is None:
            opening.result().close()

    async def _open(self) -> "_Open":
        """Return the connection that is open, or being opened for somebody else, or a new one."""
        if self._opening is not None and self._over(self._opening):
            if self._in_vain(self._opening):
                self._rests_until = time.monotonic() + self._rest_s
            self.close()
        if time.monotonic() < self._rests_until:
            raise ConnectionAbortedError("it ended the last connection at once")
        if self._opening is None:
            self._opening = asyncio.create_task(self._connect())
            self._opening.add_done_callback(_take_note)
        opening = self._opening
        try:
            # Whoever loses patience leaves the connection to the next one.
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            if opening.cancelled():
                raise ConnectionAbortedError("closed while it was being opened") from None
            raise

    def _over(self, opening: "asyncio.Task[_Open]") -> bool:
        if not opening.done():
            return False
        return opening.cancelled() or opening.exception() is not None or opening.result().over

    def _in_vain(self, opening: "asyncio.Task[_Open]") -> bool:
        if opening.cancelled():
            return False
        return opening.exception() is not None or opening.result().in_vain

    async def _connect(self) -> "_Open":
        endpoint = self._upstream.endpoint
        name = (self._upstream.name or endpoint.host) if self._tls else None
        try:
            async with asyncio.timeout(_CONNECT_S):
                reader, writer = await asyncio.open_connection(
                    endpoint.host, endpoint.port, ssl=self._tls, server_hostname=name
                )
        except TimeoutError as error:
            raise ConnectionRefusedError("no connection in time") from error
        return _Open(reader, writer, idle_s=self._idle_s)


def _take_note(opening: "asyncio.Task[_Open]") -> None:
    """Look at what became of it: everybody who would have may have lost patience."""
    if not opening.cancelled():
        opening.exception()


class _Open:
    """One connection, from its beginning to its end."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, idle_s: float
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._idle_s = idle_s
        self._awaited: dict[int, asyncio.Future[bytes]] = {}
        self._heard = self._strays = 0
        self.over = self.in_vain = False
        self._task = asyncio.create_task(self._read())

    async def exchange(self, make: Callable[[int], bytes]) -> bytes:
        if self.over or self._writer.transport.is_closing():
            raise ConnectionAbortedError("it closed the connection")
        id_ = self._unused_id()
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._awaited[id_] = reply
        message, heard = make(id_), self._heard
        self._writer.write(len(message).to_bytes(_LENGTH_BYTES, "big") + message)
        try:
            return await reply
        except asyncio.CancelledError:
            if self._heard == heard:
                self.close()  # Whoever says nothing to anybody may have died without a word.
            raise
        finally:
            self._awaited.pop(id_, None)

    def close(self) -> None:
        self.over = True
        self._task.cancel()
        self._writer.transport.abort()
        for reply in self._awaited.values():
            if not reply.done():
                reply.set_exception(ConnectionResetError("it closed the connection"))

    def _unused_id(self) -> int:
        while (id_ := secrets.randbits(_ID_BITS)) in self._awaited:
            pass
        return id_

    async def _read(self) -> None:
        """Hand out replies until the other side is done, idle, or sends what nobody asked for."""
        try:
            while self._strays < _MAX_STRAYS:
                async with asyncio.timeout(self._idle_s):
                    head = await self._reader.readexactly(_LENGTH_BYTES)
                    length = int.from_bytes(head, "big")
                    message = await self._reader.readexactly(length)
                reply = self._awaited.get(int.from_bytes(message[:2], "big"))
                if reply is None or reply.done():
                    self._strays += 1
                else:
                    self._heard += 1
                    self._strays = 0  # Late replies to those who lost patience are no fault.
                    reply.set_result(message)
            self.in_vain = not self._heard
        except TimeoutError:
            pass
        except (OSError, asyncio.IncompleteReadError):
            self.in_vain = not self._heard
        finally:
            self.close()
