"""Netlink messages, and the answer that several of them make.

Knows the form (linux/netlink.h, struct nlmsghdr) and what ends an answer; sockets are
`wgctl.drivers.netlink.generic`.
"""

import errno
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from wgctl.drivers.netlink import attributes

__all__ = [
    "ACK",
    "CREATE",
    "DUMP",
    "EXCLUSIVE",
    "REPLACE",
    "Answer",
    "Message",
    "failures",
    "join",
    "padded",
    "split",
]

DUMP = 0x300
"""Ask for everything: the answer is any number of messages, and a last one."""

ACK = 0x4
"""Ask for a last message that says how it went."""

REPLACE = 0x100
"""Put it in the place of one that is there."""

EXCLUSIVE = 0x200
"""Refuse where there is one already."""

CREATE = 0x400
"""Make it where there is none."""

_REQUEST = 0x1
_DUMP_INTERRUPTED = 0x10
_ACK_TEXTS = 0x200
_ERROR = 2
_DONE = 3

_HEADER = struct.Struct("=IHHII")
_CODE = struct.Struct("=i")
_TEXT = 1


class Message(NamedTuple):
    """One message; `body` is what follows its header."""

    kind: int
    flags: int
    sequence: int
    body: bytes


class Answer:
    """The answer to one request, put together from datagrams as they come."""

    def __init__(self, sequence: int) -> None:
        """Take what answers the request `sequence`, and nothing else."""
        self.bodies: list[bytes] = []
        self._sequence = sequence
        self._interrupted = False

    def take(self, datagram: bytes) -> bool:
        """Take a datagram; whether the answer is whole.

        Raises OSError with the kernel's code when it refused, InterruptedError when what was
        dumped changed meanwhile: ask again. Raises ValueError for another form.
        """
        for message in split(datagram):
            if message.sequence != self._sequence:
                continue
            self._interrupted |= bool(message.flags & _DUMP_INTERRUPTED)
            if message.kind in {_ERROR, _DONE}:
                self._end(message)
                return True
            self.bodies.append(message.body)
        return False

    def _end(self, message: Message) -> None:
        # A dump that fails half-way says so in its last message: what came before is not all.
        code = -_CODE.unpack_from(message.body)[0] if len(message.body) >= _CODE.size else 0
        if code:
            raise OSError(code, _reason(message) or os.strerror(code))
        if self._interrupted:
            raise InterruptedError(errno.EINTR, "what was dumped changed meanwhile")


def join(message: Message) -> bytes:
    """Return a request as it is sent."""
    length = _HEADER.size + len(message.body)
    flags = message.flags | _REQUEST
    return _HEADER.pack(length, message.kind, flags, message.sequence, 0) + message.body


def padded(message: bytes) -> bytes:
    """Return a message as another may follow it."""
    return message + bytes(-len(message) % 4)


def failures(datagram: bytes) -> Iterator[tuple[int, int]]:
    """Yield the sequence number of each request that a datagram answers, and the code, 0: taken.

    Raises ValueError for a datagram of another form.
    """
    for message in split(datagram):
        if message.kind == _ERROR:
            if len(message.body) < _CODE.size:
                raise ValueError(f"an answer of {len(message.body)} bytes")
            yield message.sequence, -_CODE.unpack_from(message.body)[0]


def split(datagram: bytes) -> Iterator[Message]:
    """Yield the messages of a datagram. Raises ValueError for one of a wrong length."""
    at, end, smallest = 0, len(datagram), _HEADER.size
    while at < end:
        left = end - at
        if left < smallest:
            raise ValueError(f"{left} bytes after the last message, expected none")
        length, kind, flags, sequence, _ = _HEADER.unpack_from(datagram, at)
        if length < smallest or length > left:
            raise ValueError(f"a message of {length} bytes where {left} are left")
        yield Message(kind, flags, sequence, datagram[at + smallest : at + length])
        at += length + (-length & 3)


def _reason(message: Message) -> str | None:
    """Return the kernel's own words for a refusal, None where it has none (NETLINK_EXT_ACK)."""
    if not message.flags & _ACK_TEXTS:
        return None
    # An error repeats the header of the request after its code, and no more (NETLINK_CAP_ACK).
    texts = message.body[_CODE.size + (_HEADER.size if message.kind == _ERROR else 0) :]
    found = dict(attributes.unpack(texts)).get(_TEXT)
    return None if found is None else ascii(found.rstrip(b"\0").decode("utf-8", "replace"))
