"""One request to a generic netlink family, and its whole answer.

Knows how a family is found by its name; what its commands mean is the caller's.
"""

import socket

from wgctl.drivers.netlink import attributes
from wgctl.drivers.netlink.messages import ACK, DUMP, Message
from wgctl.drivers.netlink.talk import exchange, opened, patiently

__all__ = ["ask", "dump", "has_family"]

# From linux/netlink.h.
_GENERIC = 16

# From linux/genetlink.h: struct genlmsghdr, and the family that knows the others.
_HEADER_BYTES = 4
_VERSION = 1
_CONTROL = 16
_GET_FAMILY = 3
_FAMILY_ID = 1
_FAMILY_NAME = 2


def has_family(name: str) -> bool:
    """Whether the kernel has the family, after it tried to load the module that brings it."""
    try:
        with opened(_GENERIC) as talking:
            return _family_id(talking, name) > 0
    except OSError:
        return False


def ask(family: str, command: int, data: bytes) -> None:
    """Have one command done, with the attributes `data`.

    Raises OSError with the kernel's code when it refuses, or when the family is not there.
    """
    _request(family, _message(command, data), ACK)


def dump(family: str, command: int, data: bytes) -> list[bytes]:
    """Return the attributes of every message that a command lists, in order.

    A list that changed while it was read, or of which something was lost, is asked for again.
    Raises OSError with the kernel's code when it refuses, or when that happened five times.
    """
    return patiently(lambda: _request(family, _message(command, data), DUMP))


def _request(family: str, message: bytes, flags: int) -> list[bytes]:
    with opened(_GENERIC) as talking:
        kind = _family_id(talking, family)
        told = exchange(talking, Message(kind, flags, 2, message))
        return [body[_HEADER_BYTES:] for body in told]


def _family_id(talking: socket.socket, name: str) -> int:
    wanted = attributes.pack(_FAMILY_NAME, name.encode("ascii") + b"\0")
    (found,) = exchange(talking, Message(_CONTROL, ACK, 1, _message(_GET_FAMILY, wanted)))
    return attributes.to_number(dict(attributes.unpack(found[_HEADER_BYTES:]))[_FAMILY_ID])


def _message(command: int, data: bytes) -> bytes:
    return bytes((command, _VERSION, 0, 0)) + data
