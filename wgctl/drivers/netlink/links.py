"""Links, addresses and routes of the kernel, over rtnetlink.

Takes the steps it is told to take; which those are is `wgctl.core.plan`. The bytes are made and
read by `wgctl.drivers.netlink.routing`.
"""

import errno
import os
import socket
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import assert_never

from wgctl.core.errors import Unavailable
from wgctl.core.tunnel import (
    AddAddress,
    AddRoute,
    Link,
    LinkStep,
    RemoveAddress,
    RemoveRoute,
    Route,
    SetLink,
)
from wgctl.drivers.netlink import routing
from wgctl.drivers.netlink.messages import Message
from wgctl.drivers.netlink.talk import exchange, opened, patiently

__all__ = ["Netlink"]

_ROUTE = 0
"""NETLINK_ROUTE of linux/netlink.h."""

_GONE = frozenset({errno.ENODEV, errno.ENOENT, errno.ESRCH, errno.EADDRNOTAVAIL})
_CURES = {
    errno.EPERM: "run it as root or with CAP_NET_ADMIN",
    errno.EACCES: "IPv6 is switched off on it: see sysctl net.ipv6.conf.all.disable_ipv6",
    errno.ENODEV: "the interface is gone, the next pass makes it again",
    errno.ENETDOWN: "the interface is down, the next pass sets it up again",
    errno.EOPNOTSUPP: "this kernel has no such links",
}


class Netlink:
    """The link `interface` of the network namespace that the thread is in."""

    def __init__(self, interface: str, *, metric: int) -> None:
        """Bind to an interface that need not be there; `metric` marks its unreachable routes."""
        self._interface = interface
        self._metric = metric

    def index(self) -> int | None:
        """Return the number of the interface, None if there is no such interface."""
        try:
            return socket.if_nametoindex(self._interface)
        except OSError:
            return None

    def kind(self) -> str | None:
        """Return what made the link, such as `wireguard` or `tun`; `physical` where nothing did.

        None if there is no such interface.
        """
        with self._asking("asked for its kind"):
            told = self._described()
            return None if told is None else routing.kind(told)

    def make(self, kind: str) -> None:
        """Make the link, which is down."""
        with self._asking(f"{kind} link made"):
            _ask(routing.make_link(self._interface, kind))

    def read(self) -> tuple[Link | None, frozenset[Route]]:
        """Return the link, and this interface's routes of ours, to it and to nowhere."""
        with self._asking("read"):
            index = self.index()
            told = self._described()
            link = None
            if index is not None and told is not None:
                mtu_bytes, is_up = routing.state(told)
                addresses = routing.addresses(_ask(routing.list_addresses(index)), index)
                link = Link(mtu_bytes, is_up, addresses)
            routes = routing.routes(_ask(routing.list_routes()), index, self._metric)
            return link, frozenset(routes)

    def apply(self, step: LinkStep) -> None:
        """Take one step; taking it again changes nothing."""
        with self._asking(str(step)):
            match step:
                case SetLink(mtu_bytes):
                    # A tun device gets a random link-local address of its own, from which the
                    # kernel talks to all routers and multicast listeners: nothing that a peer may
                    # hear.
                    _ask(routing.without_link_local(self._required()))
                    _ask(routing.set_up(self._required(), mtu_bytes))
                case AddAddress(address):
                    with _fine_with({errno.EEXIST}):
                        _ask(routing.add_address(self._required(), address))
                case RemoveAddress(address):
                    with _fine_with(_GONE):
                        _ask(routing.remove_address(self._required(), address))
                case AddRoute(route):
                    _ask(routing.replace_route(route, self._way_of(route)))
                case RemoveRoute(route):
                    with _fine_with(_GONE):
                        _ask(routing.remove_route(route, self._way_of(route)))
                case _:
                    assert_never(step)

    def remove(self) -> None:
        """Delete the link; nothing if it is not there."""
        with self._asking("link removed"):
            index = self.index()
            if index is not None:
                with _fine_with(_GONE):
                    _ask(routing.remove_link(index))

    def _required(self) -> int:
        # Asked anew for each step: after a rename or a restart the number may be another's.
        index = self.index()
        if index is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return index

    def _way_of(self, route: Route) -> int | None:
        return None if route.unreachable else self._required()

    def _described(self) -> bytes | None:
        """Return what the kernel tells of the link, None if it is not there."""
        index = self.index()
        if index is not None:
            with _fine_with(_GONE):
                return _ask(routing.show_link(index))[0]
        return None

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            code = error.errno or errno.ETIMEDOUT
            cure = _CURES.get(code, "the next pass reads back and tries again")
            raise Unavailable(
                f"interface {self._interface}: {what}: {os.strerror(code)}; {cure}"
            ) from error


def _ask(request: Message) -> list[bytes]:
    def ask() -> list[bytes]:
        with opened(_ROUTE) as talking:
            return exchange(talking, request)

    return patiently(ask)


@contextmanager
def _fine_with(codes: AbstractSet[int]) -> Iterator[None]:
    """Take a refusal with one of these codes of the kernel for a yes."""
    try:
        yield
    except OSError as error:
        if error.errno not in codes:
            raise
