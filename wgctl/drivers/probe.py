"""One probe of a machine, over TCP or HTTP, from its network's own address through the tunnel.

Sees whether it passes; how often to ask, and what follows, is `wgctl.daemon.health`. Three things
keep a probe within its network, whatever a check says: the socket is bound to the tunnel's device,
its source is the `::3` of the network that the machine's address is in, and the machine's address
is the only one that is ever connected to.
"""

import asyncio
import errno
import os
import re
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import IPv6Address
from types import MappingProxyType

from peers.addresses import prefix_of, resolver_address
from wgctl.core.check import Target
from wgctl.core.errors import Unavailable
from wgctl.core.health import Verdict

__all__ = ["Prober", "final_status"]

# Errors that a machine gives, or nobody at its address. All others are this host's own: no device,
# no address, no route, our firewall (EPERM), too many open files. Those say nothing of the machine.
_THEIRS = MappingProxyType(
    {
        errno.ECONNREFUSED: "connection refused",
        errno.ECONNRESET: "connection reset",
        errno.EPIPE: "connection reset",
        errno.EHOSTUNREACH: "host unreachable",
        # ICMPv6 «administratively prohibited», with which firewalld rejects.
        errno.EACCES: "rejected by a firewall",
    }
)
_MOST_BYTES = 16 * 1024
_PART_BYTES = 4096
# Each part is a turn of the loop, however short the machine makes it: the first line of an answer
# is 17 octets where it comes octet by octet.
_MOST_PARTS = 64
_MOST_INTERIMS = 8
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?\r?")
_GOOD = 2
_INTERIM = 1
_REQUEST = (
    "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: wgctl\r\nAccept: */*\r\nConnection: close\r\n\r\n"
)


class Prober:
    """Probes through one device."""

    def __init__(self, device: str) -> None:
        """Probe through `device`, which need not be there yet."""
        self._device = device

    async def probe(self, address: IPv6Address, target: Target, *, timeout_s: float) -> Verdict:
        """Return whether `target` at the machine's `address` passes, within `timeout_s`.

        A connection passes, over HTTP only one that answers with 2xx; redirects are not followed.
        Raises Unavailable when this host could not ask.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._ask(address, target)
        except TimeoutError:
            return Verdict(passed=False, reason=f"{target.place}: no answer in {timeout_s:g} s")
        except OSError as error:
            reason = _THEIRS.get(error.errno or 0)
            if reason is None:
                raise Unavailable(
                    f"no probe through {self._device}: {os.strerror(error.errno or 0)}"
                ) from error
            return Verdict(passed=False, reason=f"{target.place}: {reason}")

    async def _ask(self, address: IPv6Address, target: Target) -> Verdict:
        device = self._device.encode() + b"\0"
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as opened:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
            opened.bind((str(resolver_address(prefix_of(address))), 0))
            await asyncio.get_running_loop().sock_connect(opened, (str(address), target.port))
            if target.page is None:
                return Verdict(passed=True, reason=f"{target.place}: connected")
            return await _ask_page(opened, target, target.page.path)


async def final_status(receive: Callable[[], Awaitable[bytes]]) -> int | None:
    """Return the status of the HTTP answer that `receive` gives in parts, past those of 1xx.

    None for what is no answer, is too long, or comes in too many parts; `receive` gives an empty
    part at the end. Each octet is looked at once, and others have their turn before each part.
    """
    head, size = _Head(), 0
    for _ in range(_MOST_PARTS):
        # sock_recv gives what waits already without a turn for anybody else, nor for a timeout.
        await asyncio.sleep(0)
        part = await receive()
        size += len(part)
        try:
            status = head.take(part)
        except ValueError:
            return None
        if status is not None or not part or size >= _MOST_BYTES:
            return status
    return None


class _Head:
    """The lines before an answer's final status, as they come."""

    def __init__(self) -> None:
        self._rest = b""
        self._interims = 0
        self._within = False

    def take(self, part: bytes) -> int | None:
        """Return the final status once `part` ends its line; raises ValueError for no answer."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            if self._within:
                self._within = line not in {b"", b"\r"}
                continue
            status = _status(line)
            if status // 100 != _INTERIM:
                return status
            self._within = True
            self._interims += 1
            if self._interims > _MOST_INTERIMS:
                raise ValueError
        return None


def _status(line: bytes) -> int:
    match = _STATUS.fullmatch(line)
    if match is None:
        raise ValueError
    return int(match[1])


async def _ask_page(opened: socket.socket, target: Target, path: str) -> Verdict:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(opened, _REQUEST.format(path, target.authority).encode())
    status = await final_status(partial(loop.sock_recv, opened, _PART_BYTES))
    if status is None:
        return Verdict(passed=False, reason=f"{target.place}: no HTTP answer")
    good = status // 100 == _GOOD
    return Verdict(good, f"{target.place}: {status}{'' if good else ', expected 2xx'}")
