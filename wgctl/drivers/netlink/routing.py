"""The requests of rtnetlink about links, addresses and routes, and what their answers say.

Knows the numbers and forms of linux/rtnetlink.h, if_link.h and if_addr.h; who asks is
`wgctl.drivers.netlink.links`.
"""

import socket
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from wgctl.core.tunnel import ROUTE_PROTOCOL, Route
from wgctl.drivers.netlink.attributes import from_number, nested, pack, to_number, unpack
from wgctl.drivers.netlink.messages import ACK, DUMP, Message

__all__ = [
    "add_address",
    "addresses",
    "kind",
    "list_addresses",
    "list_routes",
    "make_link",
    "remove_address",
    "remove_link",
    "remove_route",
    "replace_route",
    "routes",
    "set_up",
    "show_link",
    "state",
    "without_link_local",
]

# Messages, and their flags beside those of `messages`.
_NEW_LINK, _DELETE_LINK, _SHOW_LINK = 16, 17, 18
_NEW_ADDRESS, _DELETE_ADDRESS, _LIST_ADDRESSES = 20, 21, 22
_NEW_ROUTE, _DELETE_ROUTE, _LIST_ROUTES = 24, 25, 26
_REPLACE, _EXCLUSIVE, _CREATE = 0x100, 0x200, 0x400

# struct ifinfomsg: family, type, index, flags, and which flags are meant.
_LINK = struct.Struct("=BxHiII")
_IFF_UP = 1
_LINK_NAME, _LINK_MTU, _LINK_INFO, _LINK_FAMILIES = 3, 4, 18, 26
_INFO_KIND = 1
_INET6_ADDRESS_MODE, _MODE_NONE = 8, 1

# struct ifaddrmsg: family, length of the prefix, flags, scope, index.
_ADDRESS = struct.Struct("=BBBBI")
_SCOPE_UNIVERSE = 0
_ADDRESS_ITSELF, _ADDRESS_FLAGS = 1, 8
_NO_DAD, _NO_PREFIX_ROUTE = 0x02, 0x200

# struct rtmsg: family, lengths of destination and source, TOS, table, protocol, scope, type, flags.
_ROUTE = struct.Struct("=BBBBBBBBI")
_UNICAST, _UNREACHABLE = 1, 7
_MAIN_TABLE = 254
_DESTINATION, _SOURCE, _OUT, _METRIC = 1, 2, 4, 6


def show_link(index: int) -> Message:
    """Ask for the description that `kind` and `state` read."""
    return _message(_SHOW_LINK, 0, _LINK.pack(0, 0, index, 0, 0))


def kind(told: bytes) -> str:
    """Return what made a link, such as `wireguard` or `tun`; `physical` where nothing did."""
    info = dict(unpack(told[_LINK.size :])).get(_LINK_INFO, b"")
    return _text(dict(unpack(info)).get(_INFO_KIND, b"")) or "physical"


def state(told: bytes) -> tuple[int, bool]:
    """Return the MTU of a link in bytes, and whether it is up."""
    flags = _LINK.unpack_from(told)[3]
    return to_number(dict(unpack(told[_LINK.size :]))[_LINK_MTU]), bool(flags & _IFF_UP)


def make_link(name: str, kind: str) -> Message:
    """Make a link, which is down."""
    info = nested(_LINK_INFO, [pack(_INFO_KIND, kind.encode("ascii"))])
    named = pack(_LINK_NAME, name.encode("ascii") + b"\0")
    return _message(_NEW_LINK, _CREATE | _EXCLUSIVE, _LINK.pack(0, 0, 0, 0, 0) + named + info)


def without_link_local(index: int) -> Message:
    """Have no link-local address given to a link."""
    mode = pack(_INET6_ADDRESS_MODE, from_number(_MODE_NONE, size=1))
    families = nested(_LINK_FAMILIES, [nested(socket.AF_INET6, [mode])])
    return _message(_NEW_LINK, 0, _LINK.pack(0, 0, index, 0, 0) + families)


def set_up(index: int, mtu_bytes: int) -> Message:
    """Set a link up, with an MTU."""
    mtu = pack(_LINK_MTU, from_number(mtu_bytes, size=4))
    return _message(_NEW_LINK, 0, _LINK.pack(0, 0, index, _IFF_UP, _IFF_UP) + mtu)


def remove_link(index: int) -> Message:
    """Delete a link."""
    return _message(_DELETE_LINK, 0, _LINK.pack(0, 0, index, 0, 0))


def list_addresses(index: int) -> Message:
    """Ask for what `addresses` reads."""
    return _message(_LIST_ADDRESSES, DUMP, _ADDRESS.pack(socket.AF_INET6, 0, 0, 0, index))


def addresses(told: Iterable[bytes], index: int) -> frozenset[IPv6Interface]:
    """Return the addresses of a link that mean the same everywhere."""
    found = set()
    for body in told:
        _, length, _, scope, link = _ADDRESS.unpack_from(body)
        if (scope, link) == (_SCOPE_UNIVERSE, index):
            address = IPv6Address(dict(unpack(body[_ADDRESS.size :]))[_ADDRESS_ITSELF])
            found.add(IPv6Interface((address, length)))
    return frozenset(found)


def add_address(index: int, address: IPv6Interface) -> Message:
    """Give a link an address, at once and without a route to its prefix."""
    flags = pack(_ADDRESS_FLAGS, from_number(_NO_DAD | _NO_PREFIX_ROUTE, size=4))
    return _message(_NEW_ADDRESS, _CREATE | _EXCLUSIVE, _address(index, address) + flags)


def remove_address(index: int, address: IPv6Interface) -> Message:
    """Take an address from a link."""
    return _message(_DELETE_ADDRESS, 0, _address(index, address))


def list_routes() -> Message:
    """Ask for what `routes` reads."""
    header = _ROUTE.pack(socket.AF_INET6, 0, 0, 0, _MAIN_TABLE, ROUTE_PROTOCOL, 0, 0, 0)
    return _message(_LIST_ROUTES, DUMP, header)


def routes(told: Iterable[bytes], index: int | None, metric: int) -> Iterator[Route]:
    """Yield our routes through the link `index`, and those to nowhere that have `metric`."""
    for body in told:
        _, to_bits, from_bits, _, table, protocol, _, kind, _ = _ROUTE.unpack_from(body)
        if (table, protocol) != (_MAIN_TABLE, ROUTE_PROTOCOL):
            continue
        found = dict(unpack(body[_ROUTE.size :]))
        unreachable = kind == _UNREACHABLE
        here = kind == _UNICAST and index is not None and _number(found, _OUT) == index
        if here or (unreachable and _number(found, _METRIC) == metric):
            yield Route(
                IPv6Network((found.get(_DESTINATION, bytes(16)), to_bits)),
                IPv6Network((found[_SOURCE], from_bits)) if from_bits else None,
                _number(found, _METRIC),
                unreachable=unreachable,
            )


def replace_route(route: Route, index: int | None) -> Message:
    """Have a route through the link `index`, or to nowhere, also in the place of another's."""
    return _message(_NEW_ROUTE, _CREATE | _REPLACE, _route(route, index))


def remove_route(route: Route, index: int | None) -> Message:
    """Take a route away."""
    return _message(_DELETE_ROUTE, 0, _route(route, index))


def _message(kind: int, flags: int, body: bytes) -> Message:
    return Message(kind, flags | ACK, 1, body)


def _address(index: int, address: IPv6Interface) -> bytes:
    header = _ADDRESS.pack(socket.AF_INET6, address.network.prefixlen, 0, _SCOPE_UNIVERSE, index)
    return header + pack(_ADDRESS_ITSELF, address.ip.packed)


def _route(route: Route, index: int | None) -> bytes:
    kind = _UNREACHABLE if route.unreachable else _UNICAST
    lengths = route.destination.prefixlen, route.source.prefixlen if route.source else 0
    header = _ROUTE.pack(
        socket.AF_INET6, *lengths, 0, _MAIN_TABLE, ROUTE_PROTOCOL, _SCOPE_UNIVERSE, kind, 0
    )
    found = [
        pack(_DESTINATION, route.destination.network_address.packed),
        pack(_METRIC, from_number(route.metric, size=4)),
    ]
    if route.source is not None:
        found.append(pack(_SOURCE, route.source.network_address.packed))
    if index is not None:
        found.append(pack(_OUT, from_number(index, size=4)))
    return header + b"".join(found)


def _number(found: dict[int, bytes], kind: int) -> int:
    return to_number(found.get(kind, b""))


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("ascii", "replace")
