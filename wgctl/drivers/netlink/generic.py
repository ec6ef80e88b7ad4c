"""The commands of a generic netlink family, and what it lists.

Knows how a family is found by its name; what its commands mean is the caller's. Over a
socket of Python's own: what becomes wireguard-go asks here too, and pyroute2 takes 0.2 s to load.
"""

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from wgctl.drivers.netlink import attributes, exchange
from wgctl.drivers.netlink.messages import ACK, DUMP, Message

__all__ = ["ask", "dump", "has_family"]

_Result = TypeVar("_Result")

# From linux/netlink.h.
_GENERIC = 16
_SOL_NETLINK = 270
_CAP_ACK = 10
_EXT_ACK = 11

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
        with _opened() as opened:
            return _family_id(opened, name) > 0
    except OSError:
        return False


def ask(family: str, command: int, requests: Iterable[bytes]) -> None:
    """Have a command done once for the attributes of each of `requests`, in order.

    Raises OSError with the kernel's code when it refuses one, or when the family is not there;
    those before it are done.
    """
    with _opened() as opened:
        kind = _family_id(opened, family)
        for sequence, data in enumerate(requests, start=2):
            for _ in exchange.ask(opened, Message(kind, ACK, sequence, _message(command, data))):
                pass


def dump(
    family: str, command: int, data: bytes, *, read: Callable[[Iterator[bytes]], _Result]
) -> _Result:
    """Return what `read` makes of the attributes of every message that a command lists, in order.

    It gets them as they come, and from the start again after a list that changed meanwhile. Raises
    OSError with the kernel's code when it refuses, or when that happened five times.
    """
    return exchange.all_of(lambda: _list(family, _message(command, data)), read)


def _list(family: str, message: bytes) -> Iterator[bytes]:
    with _opened() as opened:
        kind = _family_id(opened, family)
        for body in exchange.ask(opened, Message(kind, DUMP, 2, message)):
            yield body[_HEADER_BYTES:]


@contextmanager
def _opened() -> Iterator[socket.socket]:
    """Open a socket for one use.

    No late answer to another request can reach it, and it asks the network namespace that the
    thread is in by then.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _GENERIC) as opened:
        opened.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        # Else a refusal repeats the whole request, keys and all.
        opened.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        # From here on only the kernel is heard.
        opened.connect((0, 0))
        yield opened


def _family_id(opened: socket.socket, name: str) -> int:
    wanted = attributes.pack(_FAMILY_NAME, name.encode("ascii") + b"\0")
    request = Message(_CONTROL, ACK, 1, _message(_GET_FAMILY, wanted))
    (found,) = exchange.ask(opened, request)
    return attributes.to_number(dict(attributes.unpack(found[_HEADER_BYTES:]))[_FAMILY_ID])


def _message(command: int, data: bytes) -> bytes:
    return bytes((command, _VERSION, 0, 0)) + data
