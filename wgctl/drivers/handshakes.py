"""Handshake initiations as they arrive at the port of a WireGuard device, which gets them too.

Hears the copies that the `initiations` chain of `wgctl.core.firewall` makes, over netfilter's log
(linux/netfilter/nfnetlink_log.h); what to make of them is its reader's. They are seen where the
device sees them: IPv4 and IPv6, whatever link they came by, after the host's own filters and port
redirections, and once. A packet socket would see them before a filter drops them, and let in whom
it keeps out; a raw socket would be handed every datagram of the host. Neither right is needed.

The socket's buffer is the queue, and its bound: what comes while it is full is lost, the newest
first, and counted by the gap in the kernel's sequence.
"""

import errno
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from peers.noise import INITIATION_BYTES
from wgctl.core.errors import Unavailable
from wgctl.core.tunnel import Source
from wgctl.drivers.netlink import attributes
from wgctl.drivers.netlink.messages import ACK, Answer, Message, join, split

__all__ = ["Arrival", "Handshakes"]

# From linux/netlink.h, linux/netfilter/nfnetlink.h and asm-generic/socket.h.
_NETFILTER = 12
_SOL_NETLINK = 270
_NO_ENOBUFS = 5
_RCVBUFFORCE = 33
_LOG = 4 << 8
_PACKET, _CONFIG = _LOG | 0, _LOG | 1
_FAMILY_HEADER = struct.Struct("!BBH")

# From linux/netfilter/nfnetlink_log.h.
_CFG_COMMAND, _CFG_FLAGS = 1, 6
_BIND = 1
_COUNTED = 1
_INPUT_DEVICE, _PAYLOAD, _SEQUENCE = 4, 9, 12

# About 1,300 wait at most: what cannot be looked at within 0.3 s is better sent again.
_QUEUE_BYTES = 1 << 20
_READ_BYTES = 1 << 12
_TIMEOUT_S = 5.0

_SEQUENCES = 1 << 32
_IPV4 = 4
_UDP = b"\x11"
_IPV6_HEADER_BYTES = 40
_DATAGRAM_BYTES = 8 + INITIATION_BYTES
_CURES = {
    errno.EPERM: "end the other program that hears it, or run as root or with CAP_NET_ADMIN",
    errno.EINVAL: "this kernel has no nfnetlink_log: load it, or set peers to eager",
}


class Arrival(NamedTuple):
    """What may be an initiation: an IP packet with 148 bytes over UDP.

    `interface` is the number of the one that it came in by.
    """

    packet: bytes
    interface: int

    @property
    def message(self) -> bytes:
        """The 148 bytes."""
        return self.packet[-INITIATION_BYTES:]

    @property
    def source(self) -> Source:
        """Where they came from."""
        port = int.from_bytes(self.packet[-_DATAGRAM_BYTES:][:2])
        if self.packet[0] >> 4 == _IPV4:
            return Source(IPv4Address(self.packet[12:16]), port)
        host = IPv6Address(self.packet[8:24])
        if host.is_link_local:
            host = IPv6Address(f"{host}%{self.interface}")
        return Source(host, port)


class Handshakes:
    """What arrives, in order. Used by one thread, in the network namespace that it is in."""

    def __init__(self, group: int) -> None:
        """Hear the log group `group`.

        Raises Unavailable when the kernel refuses, or when another program hears it.
        """
        self._sequence = 0
        self.lost = 0
        """How many came while the queue was full."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
        try:
            self._bind(group)
        except OSError as error:
            self._socket.close()
            cure = _CURES.get(error.errno or 0, "see dmesg, or set peers to eager")
            raise Unavailable(
                f"netfilter log group {group}: {error.strerror or error}; {cure}"
            ) from error

    def close(self) -> None:
        """Hear nothing more."""
        self._socket.close()

    def read(self, most: int, *, within_s: float) -> list[Arrival]:
        """Return what has arrived, at most `most`; empty when nothing did in time."""
        if not select.select([self._socket], [], [], within_s)[0]:
            return []
        arrived: list[Arrival] = []
        while len(arrived) < most:
            try:
                datagram = self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                break
            arrived += self._taken(datagram)
        return arrived

    def _bind(self, group: int) -> None:
        opened = self._socket
        opened.settimeout(_TIMEOUT_S)
        with suppress(PermissionError):  # In a user namespace: the queue is shorter there.
            opened.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _QUEUE_BYTES)
        # A loss is seen in the sequence, and how great it was.
        opened.setsockopt(_SOL_NETLINK, _NO_ENOBUFS, 1)
        opened.connect((0, 0))
        flags = attributes.pack(_CFG_FLAGS, _COUNTED.to_bytes(2))
        body = attributes.pack(_CFG_COMMAND, bytes((_BIND,))) + flags
        header = _FAMILY_HEADER.pack(socket.AF_UNSPEC, 0, group)
        opened.send(join(Message(_CONFIG, ACK, 1, header + body)))
        answer = Answer(1)
        while not answer.take(opened.recv(_READ_BYTES)):
            pass
        opened.setblocking(False)

    def _taken(self, datagram: bytes) -> Iterator[Arrival]:
        for message in split(datagram):
            if message.kind != _PACKET:
                continue
            told = dict(attributes.unpack(message.body[_FAMILY_HEADER.size :]))
            self._count(int.from_bytes(told.get(_SEQUENCE, b"")))
            packet = told.get(_PAYLOAD, b"")
            if _carries_initiation(packet):
                yield Arrival(packet, int.from_bytes(told.get(_INPUT_DEVICE, b"")))

    def _count(self, sequence: int) -> None:
        self.lost += (sequence - self._sequence) % _SEQUENCES
        self._sequence = (sequence + 1) % _SEQUENCES


def _carries_initiation(packet: bytes) -> bool:
    """Whether nothing but UDP's header is between the IP header and 148 bytes."""
    match packet[0] >> 4 if packet else 0:
        case 4:
            header_bytes, protocol = 4 * (packet[0] & 0xF), packet[9:10]
        case 6:
            header_bytes, protocol = _IPV6_HEADER_BYTES, packet[6:7]
        case _:
            return False
    return protocol == _UDP and len(packet) == header_bytes + _DATAGRAM_BYTES
