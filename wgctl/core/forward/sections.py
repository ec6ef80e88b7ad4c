"""Records as they come in a message, and as they are passed on.

Knows names, compression and the layout of the data that holds names (RFC 1035, section 4.1.4;
RFC 3597, section 4); which records are to be believed is `wgctl.core.forward.answer`.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from wgctl.core.wire import Labels, Qtype

__all__ = ["Malformed", "Reader", "Record", "Section", "Writer", "endings", "labels"]

_TAIL = struct.Struct("!HHIH")
_HEADER_BYTES = 12
_QUESTION_TAIL_BYTES = 4
_POINTER = 0xC0
_MAX_LABEL, _MAX_NAME = 63, 255
_MAX_OFFSET = 0x3FFF
# The most that is read of a message, all sections together, which may hold 6,000: 300 with an owner
# of 125 labels take 2 to 5 ms to judge and pack, 64 KB of such names in full 25 to 40 ms.
_MAX_RECORDS = 300
# Labels and pointers of one name: 127 labels, and between them no more pointers.
_MAX_STEPS = 255

# For each type: the octets before the names in its data, and how many names there are.
_LAYOUT = {
    2: (0, 1),  # NS
    5: (0, 1),  # CNAME
    6: (0, 2),  # SOA
    12: (0, 1),  # PTR
    15: (2, 1),  # MX
    17: (0, 2),  # RP
    18: (2, 1),  # AFSDB
    21: (2, 1),  # RT
    33: (6, 1),  # SRV
    36: (2, 1),  # KX
    39: (0, 1),  # DNAME
}
# RFC 3597, section 4: only the data of types of RFC 1035 may be compressed.
_COMPRESSED = frozenset({2, 5, 6, 12, 15})
_SOA_NUMBERS_BYTES = 20
_REST = {6: _SOA_NUMBERS_BYTES}
_SIZES = {1: 4, 28: 16}


class Malformed(Exception):
    """The octets are not what RFC 1035 allows, or more than is read."""


class Record(NamedTuple):
    """A record with its names in full; its data is `fixed`, then `names`, then `rest`."""

    owner: bytes
    type: int
    class_: int
    ttl_s: int
    fixed: bytes
    names: tuple[bytes, ...] = ()
    rest: bytes = b""


class Section(NamedTuple):
    """Packed records: how many, their octets, and where in these each TTL is and what it says."""

    total: int
    octets: bytes
    ttls: tuple[tuple[int, int], ...]


class Reader:
    """Reads the records of a message, one section after the other.

    However names lead into one another, no octet of them is looked at twice.
    """

    def __init__(self, message: bytes, start: int) -> None:
        """Begin at `start`, behind the question."""
        self._message = message
        self._left = _MAX_RECORDS
        self._names: dict[int, tuple[bytes, int]] = {}
        self.end = start

    def section(self, total: int) -> list[Record]:
        """Return the `total` records that are next; raises Malformed, also above 300 in all."""
        self._left -= total
        if self._left < 0:
            raise Malformed
        try:
            return [self._record() for _ in range(total)]
        except (IndexError, struct.error):
            raise Malformed from None

    def _record(self) -> Record:
        message = self._message
        owner, offset = self._name(self.end)
        type_, class_, ttl_s, length = _TAIL.unpack_from(message, offset)
        offset += _TAIL.size
        self.end = end = offset + length
        if end > len(message) or length != _SIZES.get(type_, length):
            raise Malformed
        if ttl_s >> 31 and type_ != Qtype.OPT:
            ttl_s = 0  # RFC 2181, section 8
        if type_ not in _LAYOUT:
            return Record(owner, type_, class_, ttl_s, message[offset:end])
        before, count = _LAYOUT[type_]
        fixed, offset = message[offset : offset + before], offset + before
        names = []
        for _ in range(count):
            name, offset = self._name(offset)
            names.append(name)
        if end - offset != _REST.get(type_, 0):
            raise Malformed
        return Record(owner, type_, class_, ttl_s, fixed, tuple(names), message[offset:end])

    def _name(self, start: int) -> tuple[bytes, int]:
        """Return the name at `start` in full, and where what stands there ends.

        A pointer leads back beyond all that was read of its name, so that none is endless.
        """
        steps, at, least = [], start, start
        while (found := self._names.get(at)) is None:
            length = self._message[at]
            if not length:
                found = b"\0", at + 1
                break
            label = b"" if length >= _POINTER else self._message[at : at + 1 + length]
            steps.append((at, label))
            at += len(label)
            if not label:
                at = (length & ~_POINTER) << 8 | self._message[at + 1]
                if at >= least:
                    raise Malformed
                least = at
            if len(label) > 1 + _MAX_LABEL or len(steps) > _MAX_STEPS:
                raise Malformed
        name, end = found
        for step, label in reversed(steps):
            name, end = (label + name, end) if label else (name, step + 2)
            if len(name) > _MAX_NAME:
                raise Malformed
            self._names[step] = name, end
        return name, end


class Writer:
    """Packs records behind a question, with names as short as pointers make them."""

    def __init__(self, question: bytes) -> None:
        """Begin behind `question`: name, type and class."""
        self._end = _HEADER_BYTES
        self._known: dict[bytes, int] = {}
        self._name(question[:-_QUESTION_TAIL_BYTES])
        self._end = _HEADER_BYTES + len(question)

    def section(self, records: Iterable[Record], *, most_ttl_s: int) -> Section:
        """Return `records` packed, with no TTL above `most_ttl_s`."""
        start, total = self._end, 0
        octets, ttls = [], []
        for record in records:
            owner = self._take(self._name(record.owner))
            ttl_s = min(record.ttl_s, most_ttl_s)
            ttls.append((self._end - start + 4, ttl_s))
            self._end += _TAIL.size
            data = self._data(record)
            tail = _TAIL.pack(record.type, record.class_, ttl_s, len(data))
            octets += [owner, tail, data]
            total += 1
        return Section(total, b"".join(octets), tuple(ttls))

    def _data(self, record: Record) -> bytes:
        data = self._take(record.fixed)
        for name in record.names:
            data += self._take(self._name(name) if record.type in _COMPRESSED else name)
        return data + self._take(record.rest)

    def _take(self, octets: bytes) -> bytes:
        self._end += len(octets)
        return octets

    def _name(self, name: bytes) -> bytes:
        """Return `name`, which will stand where the octets end, with a pointer if it can have one.

        Each of its endings is known from then on.
        """
        lowered = name.lower()
        for at in _labels(name):
            known = self._known.get(lowered[at:])
            if known is not None:
                return name[:at] + struct.pack("!H", _POINTER << 8 | known)
            if self._end + at <= _MAX_OFFSET:
                self._known[lowered[at:]] = self._end + at
        return name


def labels(name: bytes) -> Labels:
    """Return the labels of `name`."""
    return tuple(name[at + 1 : at + 1 + name[at]] for at in _labels(name))


def endings(name: bytes) -> set[bytes]:
    """Return `name` and all that it is below, the root among them."""
    return {name[at:] for at in _labels(name)} | {b"\0"}


def _labels(name: bytes) -> Iterator[int]:
    """Yield where each label of `name` begins, the root's excepted."""
    at = 0
    while name[at]:
        yield at
        at += 1 + name[at]
