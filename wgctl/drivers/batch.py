"""Many datagrams in one system call: recvmmsg(2) and sendmmsg(2), with each packet's own addresses.

Knows sockets and where octets lie; what is in them is `wgctl.drivers.dns_datagrams`.

A datagram is taken into a slot of its own, and its reply leaves from there: to the address that it
came from, from the address and interface that it came to, with its own first two octets. All slots
are copied out as one `bytes`, all replies in as one (offsets within a slot):

    0    sockaddr_in6   the sender
    32   cmsghdr        IPV6_PKTINFO: the destination, the interface's index
    72   the message    its first 184 octets
"""

import ctypes
import errno
import socket
import struct
from array import array
from collections.abc import Iterator
from ctypes import addressof
from itertools import accumulate
from typing import NamedTuple

__all__ = [
    "ENVELOPE_BYTES",
    "MESSAGE_AT",
    "OFFSETS",
    "ROOM_BYTES",
    "SENDERS",
    "SLOTS",
    "Batch",
    "Sender",
    "send",
]

SLOTS = 64
"""How many datagrams are taken at once: more save no time, and cost the first one patience."""

_NAME_BYTES, _CONTROL_AT, _CONTROL_BYTES = 28, 32, 40
MESSAGE_AT = 72
ROOM_BYTES = 184
"""How much of a message lies in its slot; the rest, if there is one, is kept apart."""

_STRIDE = MESSAGE_AT + ROOM_BYTES
_MOST_BYTES = 4096
ENVELOPE_BYTES = MESSAGE_AT

OFFSETS = tuple(slot * _STRIDE for slot in range(SLOTS))
"""Where each slot begins."""

_SENDER_AT, _SENDER_END = 8, 68
SENDERS = tuple(slice(at + _SENDER_AT, at + _SENDER_END) for at in OFFSETS)
"""Where each slot has what `Sender` reads: equal for all that one sends to one place, whatever its
port."""

_ID_BYTES = 2
_PARTS = 2
_PKTINFO_BYTES = 20  # struct in6_pktinfo: an address and an interface index.
_HEADER = struct.pack(
    "@Nii", socket.CMSG_LEN(_PKTINFO_BYTES), socket.IPPROTO_IPV6, socket.IPV6_PKTINFO
)
_ADDRESS = slice(0, 16)
_SCOPE = slice(16, 20)
_CMSG = slice(24, 40)
_DESTINATION = slice(40, 56)


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _MsgHdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("parts", ctypes.c_void_p),
        ("part_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _MMsgHdr(ctypes.Structure):
    _fields_ = (("header", _MsgHdr), ("length", ctypes.c_uint32))


# Both calls return at once, and nothing else runs in a process that makes them.
_libc = ctypes.PyDLL(None, use_errno=True)
_recvmmsg, _sendmmsg = _libc.recvmmsg, _libc.sendmmsg
_recvmmsg.argtypes = (
    *(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int),
    ctypes.c_void_p,
)
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


class Sender(NamedTuple):
    """Whence a datagram came and whither, 16 octets each; without a zone."""

    source: bytes
    destination: bytes

    @classmethod
    def read(cls, octets: bytes) -> "Sender | None":
        """Read what lies at one of SENDERS.

        None for a source with a zone, which is in no network, and where no destination was told.
        """
        if any(octets[_SCOPE]) or octets[_CMSG] != _HEADER:
            return None
        return cls(octets[_ADDRESS], octets[_DESTINATION])


class Batch:
    """The slots of one datagram socket, which tells destinations (IPV6_RECVPKTINFO)."""

    def __init__(self, datagrams: socket.socket) -> None:
        """Take from and send by `datagrams`, which must not block."""
        self._fd = datagrams.fileno()
        self._slots = ctypes.create_string_buffer(SLOTS * _STRIDE)
        self._rest = ctypes.create_string_buffer(SLOTS * _MOST_BYTES)
        self._taken = (_MMsgHdr * SLOTS)()
        self._sent = (_MMsgHdr * SLOTS)()
        self._taken_parts = (_IoVec * (_PARTS * SLOTS))()
        self._sent_parts = (_IoVec * (_PARTS * SLOTS))()
        for slot in range(SLOTS):
            self._lay_out(slot)
        self._slots_at, self._taken_at = addressof(self._slots), addressof(self._taken)
        words = memoryview(self._taken).cast("B").cast("I")
        self._lengths = words[_MMsgHdr.length.offset // 4 :: ctypes.sizeof(_MMsgHdr) // 4]
        pointers = memoryview(self._sent_parts).cast("B").cast("L")
        self._reply_at, self._reply_length = pointers[2::4], pointers[3::4]

    def _lay_out(self, slot: int) -> None:
        at = addressof(self._slots) + slot * _STRIDE
        message, rest = at + MESSAGE_AT, addressof(self._rest) + slot * _MOST_BYTES
        first = _PARTS * slot
        self._taken_parts[first] = _IoVec(message, ROOM_BYTES)
        self._taken_parts[first + 1] = _IoVec(rest, _MOST_BYTES)
        self._sent_parts[first] = _IoVec(message, _ID_BYTES)
        for headers, parts in (
            (self._taken, self._taken_parts),
            (self._sent, self._sent_parts),
        ):
            parts_at = addressof(parts) + first * ctypes.sizeof(_IoVec)
            headers[slot].header = _MsgHdr(
                *(at, _NAME_BYTES, parts_at, _PARTS, at + _CONTROL_AT, _CONTROL_BYTES, 0)
            )

    def take(self) -> tuple[bytes, list[int]]:
        """Take what has come: the slots, and how long each message is; nothing if nothing has."""
        # What an earlier datagram left must not pass for the address of one that has none.
        ctypes.memset(self._slots_at, 0, SLOTS * _STRIDE)
        count = _recvmmsg(self._fd, self._taken_at, SLOTS, socket.MSG_DONTWAIT, None)
        if count <= 0:
            return b"", []
        return ctypes.string_at(self._slots_at, count * _STRIDE), self._lengths[:count].tolist()

    def rest(self, slot: int, length: int) -> bytes:
        """Return what does not lie in the slot of a message of `length` octets."""
        return ctypes.string_at(
            addressof(self._rest) + slot * _MOST_BYTES, min(length - ROOM_BYTES, _MOST_BYTES)
        )

    def reply(self, replies: list[bytes]) -> None:
        """Send each of the first slots its reply, all but the message's first two octets.

        An empty one is not sent. What the kernel does not take is lost, as datagrams are.
        """
        octets, lengths = b"".join(replies), list(map(len, replies))
        at = ctypes.cast(ctypes.c_char_p(octets), ctypes.c_void_p).value or 0
        ends = accumulate(lengths, initial=at)
        self._reply_at[: len(lengths)] = array("L", list(ends)[:-1])
        self._reply_length[: len(lengths)] = array("L", lengths)
        for first, end in _runs(lengths):
            self._send(first, end)

    def _send(self, first: int, end: int) -> None:
        size, at = ctypes.sizeof(_MMsgHdr), addressof(self._sent)
        while first < end:
            sent = _sendmmsg(self._fd, at + first * size, end - first, socket.MSG_DONTWAIT)
            if sent < 0 and ctypes.get_errno() == errno.EAGAIN:
                return
            first += max(sent, 1)


def send(datagrams: socket.socket, envelope: bytes, message: bytes) -> None:
    """Send `message` to where the datagram came from whose slot began with `envelope`."""
    address = socket.inet_ntop(socket.AF_INET6, envelope[8:24])
    (port,) = struct.unpack("!H", envelope[2:4])
    pktinfo = envelope[48 : 48 + _PKTINFO_BYTES]
    control = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, pktinfo)]
    datagrams.sendmsg([message], control, 0, (address, port))


def _runs(lengths: list[int]) -> Iterator[tuple[int, int]]:
    """Yield from where to where no length is 0."""
    first = 0
    for _ in range(lengths.count(0)):
        end = lengths.index(0, first)
        if end > first:
            yield first, end
        first = end + 1
    if first < len(lengths):
        yield first, len(lengths)
