"""One request over netlink, and its whole answer.

Knows sockets; what is asked, and what the answer means, is `generic`'s and `links`'s. Not with
pyroute2, which takes a dump that failed half-way for a whole one (it drops the code in the last
message), waits for ever once the kernel has reported a loss (it files that under another request's
number), needs an event loop, and takes a gateway a fifth of its start to load.
"""

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from wgctl.drivers.netlink.messages import Answer, Message, join

__all__ = ["exchange", "opened", "patiently"]

# From linux/netlink.h.
_SOL_NETLINK = 270
_CAP_ACK = 10
_EXT_ACK = 11
_STRICT = 12

_TIMEOUT_S = 5.0
# The kernel puts at most 32 KiB of a dump into a datagram (net/netlink/af_netlink.c, netlink_dump).
_READ_BYTES = 1 << 16
_ATTEMPTS = 5
_TRANSIENT = frozenset({errno.EINTR, errno.ENOBUFS})

_Told = TypeVar("_Told")


@contextmanager
def opened(protocol: int) -> Iterator[socket.socket]:
    """Open a socket for one request, of a protocol of linux/netlink.h.

    No late answer to another request can reach it, and it asks the network namespace that the
    thread is in by then.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as made:
        made.settimeout(_TIMEOUT_S)
        made.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        # Else a refusal repeats the whole request, keys and all.
        made.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        # Else a dump has everything, whatever was asked for; Linux 4.20 has brought it.
        with suppress(OSError):
            made.setsockopt(_SOL_NETLINK, _STRICT, 1)
        # From here on only the kernel is heard.
        made.connect((0, 0))
        yield made


def exchange(talking: socket.socket, request: Message) -> list[bytes]:
    """Return the bodies of the messages that answer `request`, in order.

    Raises OSError with the kernel's code when it refuses.
    """
    answer = Answer(request.sequence)
    talking.send(join(request))
    try:
        while not answer.take(talking.recv(_READ_BYTES)):
            pass
    except ValueError as error:
        raise OSError(errno.EBADMSG, f"the kernel answered in another form: {error}") from error
    return answer.bodies


def patiently(ask: Callable[[], _Told]) -> _Told:
    """Ask again, four times at most, when what is listed changed meanwhile or a part was lost."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return ask()
        except OSError as error:
            if error.errno not in _TRANSIENT:
                raise
    return ask()
