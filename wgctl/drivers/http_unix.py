"""HTTP connections over a Unix socket that know the user of the process at their other end.

The kernel says who that is (SO_PEERCRED, unix(7)), and nobody can say it for themselves. What the
user may ask is the application's.
"""

import asyncio
import socket
import struct
from typing import Any, cast

from wgctl.drivers.http_whole import Whole

__all__ = ["credited"]

_UCRED = struct.Struct("3i")
"""pid, uid and gid: `struct ucred` of linux/socket.h."""


def credited() -> type[asyncio.Protocol]:
    """Return what the `uvicorn.Config` of a Unix socket takes as `http`.

    The state of each request has the user's number as `uid`: the one that made the connection.
    """
    return cast("type[asyncio.Protocol]", _Credited)  # typed as uvicorn types its own


class _Credited(Whole):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        super().connection_made(transport)
        self.app_state: dict[str, Any] = {**self.app_state, "uid": _uid(transport)}


def _uid(transport: asyncio.Transport) -> int:
    connection = transport.get_extra_info("socket")
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    uid: int = _UCRED.unpack(told)[1]
    return uid
