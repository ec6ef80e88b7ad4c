"""Whether a program of this host answers at one of its addresses.

Looks once; how often, and what follows, is the caller's.
"""

import http.client
import socket
from collections.abc import Callable
from ipaddress import IPv6Address

__all__ = ["Check", "answers_http", "answers_tcp"]

Check = Callable[[IPv6Address], bool]

_TIMEOUT_S = 2.0


def answers_tcp(address: IPv6Address, port: int) -> bool:
    """Whether a connection to `port` is taken within 2 s."""
    try:
        socket.create_connection((str(address), port), timeout=_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def answers_http(address: IPv6Address, port: int, path: str) -> bool:
    """Whether GET of `path` is answered with a status of 2xx; each step may take 2 s."""
    connection = http.client.HTTPConnection(str(address), port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status // 100 == 2  # noqa: PLR2004  # the class of a status
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
