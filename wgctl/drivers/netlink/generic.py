"""One request to a generic netlink family, and its whole answer.

Knows sockets, and how a family is found by its name; what its commands mean is the caller's.
Not over pyroute2's socket, which takes a dump that failed half-way for a whole one (it drops the
code in the last message), waits for ever once the kernel has reported a loss (it files that under
another request's number) and needs an event loop.
"""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from wgctl.drivers.netlink import attributes
from wgctl.drivers.netlink.messages import ACK, DUMP, Answer, Message, join

__all__ = ["ask", "dump", "has_family"]

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

_TIMEOUT_S = 5.0
# The kernel puts at most 32 KiB of a dump into a datagram (net/netlink/af_netlink.c, netlink_dump).
_READ_BYTES = 1 << 16
_ATTEMPTS = 5
_TRANSIENT = frozenset({errno.EINTR, errno.ENOBUFS})


def has_family(name: str) -> bool:
    """Whether the kernel has the family, after it tried to load the module that brings it."""
    try:
        with _opened() as opened:
            return _family_id(opened, name) > 0
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
    for _ in range(_ATTEMPTS - 1):
        try:
            return _request(family, _message(command, data), DUMP)
        except OSError as error:
            if error.errno not in _TRANSIENT:
                raise
    return _request(family, _message(command, data), DUMP)


def _request(family: str, message: bytes, flags: int) -> list[bytes]:
    with _opened() as opened:
        kind = _family_id(opened, family)
        return _exchange(opened, Message(kind, flags, 2, message))


@contextmanager
def _opened() -> Iterator[socket.socket]:
    """Open a socket for one request.

    No late answer to another request can reach it, and it asks the network namespace that the
    thread is in by then.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _GENERIC) as opened:
        opened.settimeout(_TIMEOUT_S)
        opened.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        # Else a refusal repeats the whole request, keys and all.
        opened.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        # From here on only the kernel is heard.
        opened.connect((0, 0))
        yield opened


def _family_id(opened: socket.socket, name: str) -> int:
    wanted = attributes.pack(_FAMILY_NAME, name.encode("ascii") + b"\0")
    (found,) = _exchange(opened, Message(_CONTROL, ACK, 1, _message(_GET_FAMILY, wanted)))
    return attributes.to_number(dict(attributes.unpack(found))[_FAMILY_ID])


def _exchange(opened: socket.socket, request: Message) -> list[bytes]:
    answer = Answer(request.sequence)
    opened.send(join(request))
    try:
        while not answer.take(opened.recv(_READ_BYTES)):
            pass
    except ValueError as error:
        raise OSError(errno.EBADMSG, f"the kernel answered in another form: {error}") from error
    return [body[_HEADER_BYTES:] for body in answer.bodies]


def _message(command: int, data: bytes) -> bytes:
    return bytes((command, _VERSION, 0, 0)) + data
