"""One question to one upstream in one datagram.

Knows ports, and how many wrong replies are no accident (RFC 5452); which reply is the right one is
for whoever asks.
"""

import asyncio
import socket
from collections.abc import Callable

from peers.endpoint import Endpoint

__all__ = ["MAX_STRAYS", "exchange"]

MAX_STRAYS = 8
"""More than a few wrong replies on one port are somebody's guesses."""

_MAX_DATAGRAM_BYTES = 65535


async def exchange(
    endpoint: Endpoint, message: bytes, *, is_reply: Callable[[bytes], bool]
) -> bytes | None:
    """Send `message` from a port of its own, and return the first datagram that `is_reply`.

    The kernel draws the port at random and takes datagrams from `endpoint` alone. None after 8
    wrong ones; waits for ever. Raises OSError.
    """
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as connection:
        connection.connect((endpoint.host, endpoint.port))
        connection.send(message)
        for _ in range(MAX_STRAYS):
            received = await loop.sock_recv(connection, _MAX_DATAGRAM_BYTES)
            if is_reply(received):
                return received
    return None
