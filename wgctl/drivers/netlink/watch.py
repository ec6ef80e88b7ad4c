"""What changes in the kernel, as it tells: our link, its addresses, our routes, our table.

Says of which part something was told, and not what: that is read back. What was lost for want of
room counts as told of every part. WireGuard tells nothing of its devices.
"""

import errno
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum, auto

from wgctl.core.errors import Unavailable
from wgctl.core.tunnel import ROUTE_PROTOCOL
from wgctl.drivers.netlink.attributes import unpack
from wgctl.drivers.netlink.messages import Message, split

__all__ = ["Notice", "Watch"]

# From linux/netlink.h and asm-generic/socket.h.
_ROUTE, _NETFILTER = 0, 12
_SOL_NETLINK = 270
_JOIN = 1
_RCVBUFFORCE = 33
_ROOM_BYTES = 1 << 20
_READ_BYTES = 1 << 16

# From linux/rtnetlink.h: groups, messages, where they have the number of a link, its name.
_LINKS, _IPV6_ADDRESSES, _IPV6_ROUTES = 1, 9, 11
_NEW_LINK, _DELETE_LINK = 16, 17
_ADDRESSES = frozenset({20, 21})
_OF_ROUTES = frozenset({24, 25})
_LINK_HEAD = struct.Struct("=BxHi8x")
_ADDRESS_HEAD = struct.Struct("=4xI")
_PROTOCOL_AT = 5
_LINK_NAME = 3

# From linux/netfilter/nfnetlink.h and linux/netfilter/nf_tables.h: in all messages but the one that
# counts the states, the first attribute is the name of the table.
_TABLES = 7
_OF_TABLES = 10
_NEW_STATE = 15
_FAMILY_HEADER_BYTES = 4
_INET = 1
_TABLE_NAME = 1


class Notice(Enum):
    """The part that something was told of."""

    TUNNEL = auto()
    FIREWALL = auto()


class Watch:
    """What the kernel tells of one interface, in the network namespace that the thread is in."""

    def __init__(self, interface: str) -> None:
        """Hear from here on. Raises Unavailable when the kernel refuses."""
        self._name = interface.encode("ascii")
        self._index = 0
        with suppress(OSError):
            self._index = socket.if_nametoindex(interface)
        self._sockets: list[socket.socket] = []
        try:
            self._open(_ROUTE, _LINKS, _IPV6_ADDRESSES, _IPV6_ROUTES)
            self._open(_NETFILTER, _TABLES)
        except OSError as error:
            self.close()
            raise Unavailable(
                f"the kernel does not tell of its changes: {error.strerror or error}"
            ) from error

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """What becomes readable when there is something to read."""
        return tuple(self._sockets)

    def close(self) -> None:
        """Hear nothing more."""
        for opened in self._sockets:
            opened.close()
        self._sockets.clear()

    def read(self) -> frozenset[Notice]:
        """Return the parts that something was told of since the last call; never waits."""
        return frozenset(notice for opened in self._sockets for notice in self._drain(opened))

    def _open(self, family: int, *groups: int) -> None:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, family)
        self._sockets.append(opened)
        with suppress(PermissionError):  # In a user namespace there is less room.
            opened.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _ROOM_BYTES)
        # Without a port of its own it would count as the kernel, which is told nothing of its own.
        opened.bind((0, 0))
        for group in groups:
            opened.setsockopt(_SOL_NETLINK, _JOIN, group)

    def _drain(self, opened: socket.socket) -> Iterator[Notice]:
        while True:
            try:
                datagram, (sender, _) = opened.recvfrom(_READ_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                yield from Notice
                continue
            if sender != 0:  # Only the kernel is believed.
                continue
            for message in split(datagram):
                if notice := self._notice(message):
                    yield notice

    def _notice(self, message: Message) -> Notice | None:
        kind, body = message.kind, message.body
        if kind >> 8 == _OF_TABLES:
            return Notice.FIREWALL if self._is_our_table(kind & 0xFF, body) else None
        ours = (
            (kind in {_NEW_LINK, _DELETE_LINK} and self._is_our_link(kind, body))
            or (kind in _ADDRESSES and _ADDRESS_HEAD.unpack_from(body)[0] == self._index)
            or (kind in _OF_ROUTES and body[_PROTOCOL_AT] == ROUTE_PROTOCOL)
        )
        return Notice.TUNNEL if ours else None

    def _is_our_link(self, kind: int, body: bytes) -> bool:
        index = _LINK_HEAD.unpack_from(body)[2]
        name = dict(unpack(body[_LINK_HEAD.size :])).get(_LINK_NAME, b"").rstrip(b"\0")
        was_ours = index == self._index
        if name == self._name:
            self._index = index if kind == _NEW_LINK else 0
        elif was_ours:
            self._index = 0
        return was_ours or name == self._name

    def _is_our_table(self, kind: int, body: bytes) -> bool:
        if kind == _NEW_STATE or body[:1] != bytes((_INET,)):
            return False
        for attribute, value in unpack(body[_FAMILY_HEADER_BYTES:]):
            if attribute == _TABLE_NAME:
                return value.rstrip(b"\0") == self._name
        return False
