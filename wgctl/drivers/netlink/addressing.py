"""Addresses and routes as the bytes of rtnetlink's messages.

Takes steps and gives requests, takes what is listed and gives values; who sends and receives is
`wgctl.drivers.netlink.links`. Nothing here is asked for one by one: a gateway has 10,000 networks,
each with an address and a route.
"""

import errno
import socket
import struct
from collections.abc import Callable, Hashable, Iterable, Mapping
from ipaddress import IPv6Interface, IPv6Network
from types import MappingProxyType
from typing import Any, Generic, TypeAlias, TypeVar, assert_never

from wgctl.core.tunnel import (
    ROUTE_PROTOCOL,
    AddAddress,
    AddRoute,
    RemoveAddress,
    RemoveRoute,
    Route,
)
from wgctl.drivers.netlink.attributes import from_number, pack, to_number, unpack
from wgctl.drivers.netlink.messages import CREATE, DUMP, EXCLUSIVE, REPLACE, Message

__all__ = [
    "GONE",
    "AddressingStep",
    "Listed",
    "key",
    "list_addresses",
    "list_routes",
    "needs_link",
    "parse_address",
    "parse_route",
    "request",
    "tolerated",
    "undoing",
]

AddressingStep = AddAddress | RemoveAddress | AddRoute | RemoveRoute

_Value = TypeVar("_Value")
_Prefix: TypeAlias = tuple[bytes, int]

_NOTHING: Mapping[Any, Any] = MappingProxyType({})

# From linux/rtnetlink.h and linux/if_addr.h, as all that follows.
_NEW_ADDRESS, _DELETE_ADDRESS, _GET_ADDRESS = 20, 21, 22
_NEW_ROUTE, _DELETE_ROUTE, _GET_ROUTE = 24, 25, 26

# struct ifaddrmsg: family, length of the prefix, flags, scope, index of the link.
_ADDRESS_HEAD = struct.Struct("=BBBBI")
_ADDRESS, _ADDRESS_FLAGS = 1, 8
# No duplicate is looked for, and the kernel makes no route of its own.
_NO_DAD, _NO_PREFIX_ROUTE = 0x02, 0x200
_SCOPE_UNIVERSE = 0

# struct rtmsg: family, lengths of destination and source, TOS, table, protocol, scope, type, flags.
_ROUTE_HEAD = struct.Struct("=8BI")
_DESTINATION, _SOURCE, _LINK, _METRIC = 1, 2, 4, 6
_MAIN_TABLE = 254
_UNICAST, _UNREACHABLE = 1, 7

GONE = frozenset({errno.ENODEV, errno.ENOENT, errno.ESRCH, errno.EADDRNOTAVAIL})
"""How the kernel says that what is to be removed is not there."""


def needs_link(step: AddressingStep) -> bool:
    """Whether a step concerns the link, which then must be there."""
    match step:
        case AddRoute(route) | RemoveRoute(route):
            return not route.unreachable
        case _:
            return True


def tolerated(step: AddressingStep) -> frozenset[int]:
    """Return the codes with which the kernel says that a step was taken before."""
    match step:
        case AddAddress():
            return frozenset({errno.EEXIST})
        case AddRoute():
            return frozenset()
        case RemoveAddress() | RemoveRoute():
            return GONE
    assert_never(step)


def request(step: AddressingStep, *, index: int, sequence: int) -> Message:
    """Return the request that takes `step` on the link `index`; 0 for a step that needs none."""
    match step:
        case AddAddress(address):
            return Message(_NEW_ADDRESS, CREATE | EXCLUSIVE, sequence, _address(address, index))
        case RemoveAddress(address):
            return Message(_DELETE_ADDRESS, 0, sequence, _address(address, index))
        case AddRoute(route):
            return Message(_NEW_ROUTE, CREATE | REPLACE, sequence, _route(route, index))
        case RemoveRoute(route):
            return Message(_DELETE_ROUTE, 0, sequence, _route(route, index))
    assert_never(step)


def undoing(asked: Message) -> Message:
    """Return the request that takes back what `asked` added; one that removed is asked again."""
    opposite = {_NEW_ADDRESS: _DELETE_ADDRESS, _NEW_ROUTE: _DELETE_ROUTE}
    kind = opposite.get(asked.kind, asked.kind)
    return Message(kind, 0, asked.sequence, asked.body)


def list_addresses(index: int) -> Message:
    """Return the request for all IPv6 addresses of a link."""
    return Message(_GET_ADDRESS, DUMP, 1, _ADDRESS_HEAD.pack(socket.AF_INET6, 0, 0, 0, index))


def list_routes() -> Message:
    """Return the request for all routes of ours."""
    head = (socket.AF_INET6, 0, 0, 0, _MAIN_TABLE, ROUTE_PROTOCOL, 0, 0, 0)
    return Message(_GET_ROUTE, DUMP, 1, _ROUTE_HEAD.pack(*head))


def parse_address(
    body: bytes, *, index: int, asked: Mapping[Hashable, IPv6Interface] = _NOTHING
) -> IPv6Interface | None:
    """Return an address of global scope of the link `index`, None for another one.

    One that was `asked` for, by its `key`, is returned as it was. Raises ValueError for another
    form.
    """
    _, length, _, scope, link = _unpacked(_ADDRESS_HEAD, body)
    if link != index or scope != _SCOPE_UNIVERSE:
        return None
    told = dict(unpack(body[_ADDRESS_HEAD.size :])).get(_ADDRESS, b""), length
    return asked.get(told) or IPv6Interface(told)


def parse_route(
    body: bytes, *, index: int | None, metric: int, asked: Mapping[Hashable, Route] = _NOTHING
) -> Route | None:
    """Return a route of ours to the link `index`, or to nowhere with our metric; None for others.

    One that was `asked` for, by its `key`, is returned as it was. Raises ValueError for another
    form.
    """
    _, to_bits, from_bits, _, table, protocol, _, kind, _ = _unpacked(_ROUTE_HEAD, body)
    if (table, protocol) != (_MAIN_TABLE, ROUTE_PROTOCOL):
        return None
    facts = dict(unpack(body[_ROUTE_HEAD.size :]))
    its_metric = to_number(facts.get(_METRIC, b""))
    unreachable = kind == _UNREACHABLE
    here = kind == _UNICAST and index is not None and to_number(facts.get(_LINK, b"")) == index
    if not (here or (unreachable and its_metric == metric)):
        return None
    to = facts.get(_DESTINATION, bytes(16)), to_bits
    from_ = (facts.get(_SOURCE, b""), from_bits) if from_bits else None
    return asked.get((to, from_, its_metric, unreachable)) or _route_of(
        to, from_, its_metric, unreachable=unreachable
    )


def key(value: IPv6Interface | Route) -> Hashable:
    """Return what an address or a route is known by as soon as it is told."""
    if isinstance(value, IPv6Interface):
        return value.packed, value.network.prefixlen
    to, from_ = map(_bytes_and_bits, (value.destination, value.source))
    return to, from_, value.metric, value.unreachable


def _bytes_and_bits(network: IPv6Network | None) -> _Prefix | None:
    return None if network is None else (network.network_address.packed, network.prefixlen)


def _route_of(to: _Prefix, from_: _Prefix | None, metric: int, *, unreachable: bool) -> Route:
    destination = IPv6Network(to)
    # Nearly all are from a network to itself, and a network takes longer to make than all else.
    if from_ is None:
        return Route(destination, None, metric, unreachable=unreachable)
    source = destination if from_ == to else IPv6Network(from_)
    return Route(destination, source, metric, unreachable=unreachable)


class Listed(Generic[_Value]):
    """What was last listed: what is listed again as it was is not made into values again.

    Nothing is believed of it but that the same bytes mean the same.
    """

    def __init__(self) -> None:
        """Begin with nothing listed."""
        self._of: object = None
        self._values: dict[bytes, _Value | None] = {}
        self._all = frozenset[_Value]()

    def values(
        self, bodies: Iterable[bytes], parse: Callable[[bytes], _Value | None], *, of: object
    ) -> frozenset[_Value]:
        """Return the values of these messages, those that have one; `parse` depends on `of`."""
        known, found = self._values if of == self._of else {}, dict[bytes, _Value | None]()
        for body in bodies:
            found[body] = known[body] if body in known else parse(body)
        if of != self._of or found.keys() != known.keys():
            self._of, self._values = of, found
            self._all = frozenset(value for value in found.values() if value is not None)
        return self._all


def _address(address: IPv6Interface, index: int) -> bytes:
    flags = from_number(_NO_DAD | _NO_PREFIX_ROUTE, size=4)
    return (
        _ADDRESS_HEAD.pack(socket.AF_INET6, address.network.prefixlen, 0, _SCOPE_UNIVERSE, index)
        + pack(_ADDRESS, address.packed)
        + pack(_ADDRESS_FLAGS, flags)
    )


def _route(route: Route, index: int) -> bytes:
    source = route.source
    lengths = route.destination.prefixlen, source.prefixlen if source else 0
    kind = _UNREACHABLE if route.unreachable else _UNICAST
    parts = [
        _ROUTE_HEAD.pack(
            *(socket.AF_INET6, *lengths, 0, _MAIN_TABLE, ROUTE_PROTOCOL),
            *(_SCOPE_UNIVERSE, kind, 0),
        ),
        pack(_DESTINATION, route.destination.network_address.packed),
        pack(_SOURCE, source.network_address.packed) if source else b"",
        b"" if route.unreachable else pack(_LINK, from_number(index, size=4)),
        pack(_METRIC, from_number(route.metric, size=4)),
    ]
    return b"".join(parts)


def _unpacked(form: struct.Struct, body: bytes) -> tuple[int, ...]:
    if len(body) < form.size:
        raise ValueError(f"a message of {len(body)} bytes, expected {form.size} and more")
    return form.unpack_from(body)
