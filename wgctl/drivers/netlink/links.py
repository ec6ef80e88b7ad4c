"""Links, addresses and routes: the only importer of pyroute2.

Takes the steps it is told to take; which those are is `wgctl.core.plan`. Addresses and routes go
many to a datagram, as `addressing` packs them, over pyroute2's socket: its own face takes 0.4 ms
for each. That face runs an event loop: use it in a thread that has none, always the same one.
"""

import errno
import os
import socket
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from ipaddress import IPv6Interface
from itertools import groupby
from typing import Any

from pyroute2 import IPRoute, NetlinkError

from wgctl.core.errors import Unavailable
from wgctl.core.tunnel import AddAddress, AddRoute, Link, LinkStep, Route, SetLink
from wgctl.drivers.netlink import addressing, exchange
from wgctl.drivers.netlink.addressing import GONE, Listed
from wgctl.drivers.netlink.messages import Message

__all__ = ["Netlink"]

# From linux/netlink.h and linux/if_link.h.
_SOL_NETLINK, _CAP_ACK = 270, 10
_ADDR_GEN_MODE_NONE = 1
_IFF_UP = 1

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
        self._opened: Any = None
        self._addresses = Listed[IPv6Interface]()
        self._routes = Listed[Route]()
        # What was asked for since the last list, which is not made into values again.
        self._asked_addresses: dict[Hashable, IPv6Interface] = {}
        self._asked_routes: dict[Hashable, Route] = {}

    def close(self) -> None:
        """Close the socket; the next call opens another."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

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
        with self._asking("asked for its kind") as route:
            index = self.index()
            return None if index is None else _read_kind(route, index)

    def make(self, kind: str) -> None:
        """Make the link, which is down."""
        with self._asking(f"{kind} link made") as route:
            route.link("add", ifname=self._interface, kind=kind)

    def read(self) -> tuple[Link | None, frozenset[Route]]:
        """Return the link, and this interface's routes of ours, to it and to nowhere."""
        with self._asking("read") as route:
            index = self.index()
            link = None if index is None else self._read_link(route, index)
            parse = partial(
                addressing.parse_route, index=index, metric=self._metric, asked=self._asked_routes
            )
            ask = partial(exchange.ask, route, addressing.list_routes())
            routes = exchange.all_of(ask, partial(self._routes.values, parse=parse, of=index))
        self._asked_addresses.clear()
        self._asked_routes.clear()
        return link, routes

    def apply(self, steps: Sequence[LinkStep]) -> None:
        """Take steps in order; taking one again changes nothing.

        A failure keeps those before it, and of those after it perhaps some: read back.
        """
        for at_once, group in groupby(steps, key=lambda step: not isinstance(step, SetLink)):
            size = exchange.MOST_AT_ONCE if at_once else 1
            listed = list(group)
            for start in range(0, len(listed), size):
                self._take(listed[start : start + size])

    def remove(self) -> None:
        """Delete the link; nothing if it is not there."""
        with self._asking("link removed") as route:
            index = self.index()
            if index is not None:
                _unless_gone(lambda: route.link("del", index=index))

    def _required(self) -> int:
        # Asked anew for each step: after a rename or a restart the number may be another's.
        index = self.index()
        if index is None:
            raise NetlinkError(errno.ENODEV, os.strerror(errno.ENODEV))
        return index

    def _take(self, steps: Sequence[LinkStep]) -> None:
        """Take a step that sets the link, or as many others as go into one datagram."""
        with self._asking(str(steps[0])) as route:
            index = self.index()
            requests: list[Message] = []
            for sequence, step in enumerate(steps):
                if isinstance(step, SetLink):
                    _set_link(route, self._required(), step.mtu_bytes)
                elif index or not addressing.needs_link(step):
                    self._expect(step)
                    requests.append(addressing.request(step, index=index or 0, sequence=sequence))
            refused = _have_done(route, requests)
            if index and self.index() != index:
                # Whatever has the number by now is not ours.
                _have_done(route, [addressing.undoing(request) for request in requests])
                raise NetlinkError(errno.ENODEV)
        asked = {request.sequence for request in requests}
        for sequence, step in enumerate(steps):
            if isinstance(step, SetLink):
                continue
            code = refused.get(sequence, 0 if sequence in asked else errno.ENODEV)
            if code and code not in addressing.tolerated(step):
                with self._asking(str(step)):
                    raise NetlinkError(code)

    def _expect(self, step: LinkStep) -> None:
        match step:
            case AddAddress(address):
                self._asked_addresses[addressing.key(address)] = address
            case AddRoute(route):
                self._asked_routes[addressing.key(route)] = route

    def _read_link(self, route: Any, index: int) -> Link | None:
        try:
            message = route.link("get", index=index)[0]
            parse = partial(addressing.parse_address, index=index, asked=self._asked_addresses)
            ask = partial(exchange.ask, route, addressing.list_addresses(index))
            addresses = exchange.all_of(ask, partial(self._addresses.values, parse=parse, of=index))
        except NetlinkError as error:
            if error.code in GONE:
                return None
            raise
        if message.get("ifname") != self._interface:
            return None
        return Link(message.get("mtu"), bool(message["flags"] & _IFF_UP), addresses)

    @contextmanager
    def _asking(self, what: str) -> Iterator[Any]:
        try:
            if self._opened is None:
                self._opened = IPRoute(ext_ack=True, strict_check=True)
            yield self._opened
        except NetlinkError as error:
            cure = _CURES.get(error.code, "the next pass reads back and tries again")
            raise Unavailable(
                f"interface {self._interface}: {what}: {os.strerror(error.code)}; {cure}"
            ) from error
        except OSError as error:
            self.close()
            raise Unavailable(f"interface {self._interface}: {what}: {error}") from error


def _have_done(route: Any, requests: Sequence[Message]) -> dict[int, int]:
    """Return the codes of the requests that are refused, by their sequence number."""
    # Of many, refusals that repeat their request would not find room; pyroute2 reads no others.
    route.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
    try:
        return exchange.take(route, requests)
    finally:
        route.setsockopt(_SOL_NETLINK, _CAP_ACK, 0)


def _read_kind(route: Any, index: int) -> str | None:
    try:
        message = route.link("get", index=index)[0]
    except NetlinkError as error:
        if error.code in GONE:
            return None
        raise
    return message.get(("linkinfo", "kind")) or "physical"


def _set_link(route: Any, index: int, mtu_bytes: int) -> None:
    # A tun device gets a random link-local address of its own, from which the kernel talks to
    # all routers and multicast listeners: nothing that a peer may hear.
    no_link_local = {"attrs": [["IFLA_INET6_ADDR_GEN_MODE", _ADDR_GEN_MODE_NONE]]}
    route.link("set", index=index, IFLA_AF_SPEC={"attrs": [["AF_INET6", no_link_local]]})
    route.link("set", index=index, mtu=mtu_bytes, state="up")


def _unless_gone(ask: Callable[[], Any]) -> None:
    try:
        ask()
    except NetlinkError as error:
        if error.code not in GONE:
            raise
