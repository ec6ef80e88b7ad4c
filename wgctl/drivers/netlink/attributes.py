"""Netlink attributes: a type, a length and bytes, each at a multiple of four.

Knows the form (linux/netlink.h, struct nlattr) and no family's meaning of a type.
"""

import struct
import sys
from collections.abc import Iterable, Iterator

__all__ = ["LONGEST_BYTES", "from_number", "head", "nested", "pack", "to_number", "unpack"]

_HEADER = struct.Struct("=HH")
_NESTED = 0x8000
_TYPE_MASK = 0x3FFF

LONGEST_BYTES = 0xFFFF - _HEADER.size
"""What one attribute can hold: its length, header included, has 16 bits."""


def pack(kind: int, value: bytes) -> bytes:
    """Return one attribute, padded; `value` is at most LONGEST_BYTES long."""
    length = _HEADER.size + len(value)
    return _HEADER.pack(length, kind) + value + bytes(-length % 4)


def head(kind: int, size: int) -> bytes:
    """Return what stands before a value of `size` bytes, which needs no padding."""
    return _HEADER.pack(_HEADER.size + size, kind)


def nested(kind: int, members: Iterable[bytes]) -> bytes:
    """Return one attribute that holds the attributes `members`."""
    return pack(kind | _NESTED, b"".join(members))


def from_number(value: int, *, size: int) -> bytes:
    """Return `size` bytes in the byte order of the host."""
    return value.to_bytes(size, sys.byteorder)


def to_number(value: bytes) -> int:
    """Return the number that `value` is in the byte order of the host."""
    return int.from_bytes(value, sys.byteorder)


def unpack(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each attribute in `data`, without the flags of the type.

    Raises ValueError for one that is shorter than its header or longer than `data`.
    """
    at, end, smallest = 0, len(data), _HEADER.size
    while at < end:
        if end - at < smallest:
            raise ValueError(f"{end - at} bytes after the last attribute, expected none")
        length, kind = _HEADER.unpack_from(data, at)
        after = at + length
        if length < smallest or after > end:
            raise ValueError(f"an attribute of {length} bytes where {end - at} are left")
        yield kind & _TYPE_MASK, data[at + smallest : after]
        at = after + (-length & 3)
