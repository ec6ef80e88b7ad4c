"""Requests over a netlink socket, one or many at once, and what comes back.

Knows datagrams and time; where the socket comes from, and what a message means, is the caller's.
"""

import errno
import select
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from wgctl.drivers.netlink.messages import ACK, Answer, Message, failures, join, padded

__all__ = ["MOST_AT_ONCE", "Socket", "all_of", "ask", "take"]

_Result = TypeVar("_Result")

_TIMEOUT_S = 5.0
# The kernel puts at most 32 KiB of a dump into a datagram (net/netlink/af_netlink.c, netlink_dump).
_READ_BYTES = 1 << 16
_ATTEMPTS = 5
_TRANSIENT = frozenset({errno.EINTR, errno.ENOBUFS})

MOST_AT_ONCE = 128
"""So many refusals, which take 1.3 KiB of it each, fit into a receive buffer of the usual 208 KiB.

The kernel goes on with a datagram whether or not its answers find room.
"""


class Socket(Protocol):
    """What is asked of a socket, whether it is Python's own or pyroute2's."""

    def fileno(self) -> int:
        """Return its descriptor."""

    def send(self, data: bytes, /) -> int:
        """Send a datagram."""

    def recv(self, size: int, /) -> bytes:
        """Receive one."""


def all_of(
    ask_once: Callable[[], Iterator[bytes]], read: Callable[[Iterator[bytes]], _Result]
) -> _Result:
    """Return what `read` makes of a whole list, message by message as it comes.

    A list that changed while it was read, or of which something was lost, is asked for again.
    Raises OSError with the kernel's code when it refuses, or when that happened five times.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return read(ask_once())
        except OSError as error:
            if error.errno not in _TRANSIENT:
                raise
    return read(ask_once())


def ask(opened: Socket, request: Message) -> Iterator[bytes]:
    """Yield the bodies of the answer to one request, as they come.

    Raises OSError with the kernel's code, also after a part of them.
    """
    answer = Answer(request.sequence)
    opened.send(join(request))
    whole = False
    while not whole:
        try:
            whole = answer.take(_receive(opened))
        except ValueError as error:
            raise _another_form(error) from error
        yield from answer.bodies
        answer.bodies.clear()


def take(opened: Socket, requests: Sequence[Message]) -> dict[int, int]:
    """Have at most MOST_AT_ONCE requests done, in order; return the codes of those refused.

    They are by sequence number; the kernel goes on after a refusal. Raises OSError when an answer
    was lost: what was done must be read back.
    """
    if not requests:
        return {}
    *others, last = requests
    data = [padded(join(request)) for request in others]
    # A refusal is always told, and the answer to the last comes after all of them.
    data.append(join(Message(last.kind, last.flags | ACK, last.sequence, last.body)))
    opened.send(b"".join(data))
    wanted = {request.sequence for request in requests}
    refused: dict[int, int] = {}
    while last.sequence in wanted:
        try:
            told = list(failures(_receive(opened)))
        except ValueError as error:
            raise _another_form(error) from error
        for sequence, code in told:
            if sequence in wanted:
                wanted.discard(sequence)
                refused[sequence] = code
    return {sequence: code for sequence, code in refused.items() if code}


def _receive(opened: Socket) -> bytes:
    if not select.select([opened], [], [], _TIMEOUT_S)[0]:
        raise TimeoutError(errno.ETIMEDOUT, f"the kernel did not answer within {_TIMEOUT_S:.0f} s")
    return opened.recv(_READ_BYTES)


def _another_form(error: ValueError) -> OSError:
    return OSError(errno.EBADMSG, f"the kernel answered in another form: {error}")
