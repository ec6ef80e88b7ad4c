"""Links, addresses and routes: the only importer of pyroute2.

Takes the steps it is told to take; which those are is `wgctl.core.plan`. pyroute2's plain face
runs an event loop of its own: use it in a thread that has none, always the same one.
"""

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Interface, IPv6Network
from typing import Any, assert_never

from pyroute2 import IPRoute, NetlinkError
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_NODAD, IFA_F_NOPREFIXROUTE

from wgctl.core.errors import Unavailable
from wgctl.core.tunnel import (
    ROUTE_PROTOCOL,
    AddAddress,
    AddRoute,
    Link,
    LinkStep,
    RemoveAddress,
    RemoveRoute,
    Route,
    SetLink,
)

__all__ = ["Netlink"]

# From linux/rtnetlink.h and linux/if_link.h.
_UNICAST = 1
_UNREACHABLE = 7
_MAIN_TABLE = 254
_SCOPE_UNIVERSE = 0
_ADDR_GEN_MODE_NONE = 1
_IFF_UP = 1

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
        self._opened: Any = None

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
            link = None if index is None else _read_link(route, index)
            return link, frozenset(_read_routes(route, index, self._metric))

    def apply(self, step: LinkStep) -> None:
        """Take one step; taking it again changes nothing."""
        with self._asking(str(step)) as route:
            match step:
                case SetLink(mtu_bytes):
                    _set_link(route, self._required(), mtu_bytes)
                case AddAddress(address):
                    _add_address(route, self._required(), address)
                case RemoveAddress(address):
                    _unless_gone(
                        lambda: route.addr(
                            "delete",
                            index=self._required(),
                            address=str(address.ip),
                            prefixlen=address.network.prefixlen,
                        )
                    )
                case AddRoute(wanted):
                    route.route("replace", **self._message(wanted))
                case RemoveRoute(unwanted):
                    _unless_gone(lambda: route.route("del", **self._message(unwanted)))
                case _:
                    assert_never(step)

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

    def _message(self, route: Route) -> dict[str, Any]:
        message: dict[str, Any] = {
            "family": socket.AF_INET6,
            "dst": str(route.destination),
            "priority": route.metric,
            "proto": ROUTE_PROTOCOL,
            "table": _MAIN_TABLE,
        }
        if route.source is not None:
            message["src"] = str(route.source)
        if route.unreachable:
            return {**message, "type": "unreachable"}
        return {**message, "oif": self._required()}

    @contextmanager
    def _asking(self, what: str) -> Iterator[Any]:
        try:
            if self._opened is None:
                self._opened = IPRoute()
            yield self._opened
        except NetlinkError as error:
            cure = _CURES.get(error.code, "the next pass reads back and tries again")
            raise Unavailable(
                f"interface {self._interface}: {what}: {os.strerror(error.code)}; {cure}"
            ) from error
        except OSError as error:
            self.close()
            raise Unavailable(f"interface {self._interface}: {what}: {error}") from error


def _read_link(route: Any, index: int) -> Link | None:
    try:
        message = route.link("get", index=index)[0]
        addresses = [
            IPv6Interface((one.get("address"), one["prefixlen"]))
            for one in route.addr("dump", index=index, family=socket.AF_INET6)
            if one["index"] == index and one["scope"] == _SCOPE_UNIVERSE
        ]
    except NetlinkError as error:
        if error.code in _GONE:
            return None
        raise
    return Link(message.get("mtu"), bool(message["flags"] & _IFF_UP), frozenset(addresses))


def _read_kind(route: Any, index: int) -> str | None:
    try:
        message = route.link("get", index=index)[0]
    except NetlinkError as error:
        if error.code in _GONE:
            return None
        raise
    return message.get(("linkinfo", "kind")) or "physical"


def _read_routes(route: Any, index: int | None, metric: int) -> Iterator[Route]:
    found = route.route("dump", family=socket.AF_INET6, proto=ROUTE_PROTOCOL, table=_MAIN_TABLE)
    for one in found:
        unreachable = one["type"] == _UNREACHABLE
        here = one["type"] == _UNICAST and index is not None and one.get("oif") == index
        if here or (unreachable and one.get("priority") == metric):
            yield Route(
                IPv6Network((one.get("dst") or "::", one["dst_len"])),
                IPv6Network((one.get("src"), one["src_len"])) if one["src_len"] else None,
                one.get("priority"),
                unreachable=unreachable,
            )


def _set_link(route: Any, index: int, mtu_bytes: int) -> None:
    # A tun device gets a random link-local address of its own, from which the kernel talks to
    # all routers and multicast listeners: nothing that a peer may hear.
    no_link_local = {"attrs": [["IFLA_INET6_ADDR_GEN_MODE", _ADDR_GEN_MODE_NONE]]}
    route.link("set", index=index, IFLA_AF_SPEC={"attrs": [["AF_INET6", no_link_local]]})
    route.link("set", index=index, mtu=mtu_bytes, state="up")


def _add_address(route: Any, index: int, address: IPv6Interface) -> None:
    try:
        route.addr(
            "add",
            index=index,
            address=str(address.ip),
            prefixlen=address.network.prefixlen,
            flags=IFA_F_NODAD | IFA_F_NOPREFIXROUTE,
        )
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            raise


def _unless_gone(ask: Callable[[], Any]) -> None:
    try:
        ask()
    except NetlinkError as error:
        if error.code not in _GONE:
            raise
