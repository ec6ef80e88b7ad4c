"""What is read of the kernel's answers; that it understands the requests is `test_links`."""

import struct
from ipaddress import IPv6Interface, IPv6Network

import pytest

from wgctl.core.tunnel import Route
from wgctl.drivers.netlink import routing
from wgctl.drivers.netlink.attributes import from_number, nested, pack

OURS = 119
UNICAST, BLACKHOLE, UNREACHABLE = 1, 6, 7
PREFIX = IPv6Network("fdaa:0:1::/48")
METRIC = 7


def link(*attributes: bytes, flags: int = 0) -> bytes:
    return struct.pack("=BxHiII", 0, 0, 5, flags, 0) + b"".join(attributes)


def route(  # a route has so many facts
    kind: int,
    *,
    out: int = 5,
    metric: int = METRIC,
    protocol: int = OURS,
    table: int = 254,
    source: int = 48,
) -> bytes:
    found = pack(1, PREFIX[0].packed) + pack(6, from_number(metric, size=4))
    found += pack(4, from_number(out, size=4))
    found += pack(2, PREFIX[0].packed) if source else b""
    return struct.pack("=BBBBBBBBI", 10, 48, source, 0, table, protocol, 0, kind, 0) + found


def test_a_links_facts_are_found_among_those_that_nobody_asked_for() -> None:
    told = link(
        pack(99, b"news"),
        nested(18, [pack(2, b"data"), pack(1, b"wireguard\0")]),
        pack(4, from_number(1420, size=4)),
        flags=0x1043,
    )

    assert routing.kind(told) == "wireguard"
    assert routing.state(told) == (1420, True)
    assert routing.kind(link()) == "physical"


@pytest.mark.parametrize(("scope", "index", "ours"), [(0, 5, True), (253, 5, False), (0, 6, False)])
def test_only_addresses_of_the_link_that_mean_the_same_everywhere(
    scope: int, index: int, *, ours: bool
) -> None:
    address = IPv6Interface("fdaa:0:1::3/128")
    told = struct.pack("=BBBBI", 10, 128, 0, scope, index) + pack(1, address.ip.packed)

    assert routing.addresses([told], 5) == (frozenset({address}) if ours else frozenset())


@pytest.mark.parametrize(
    ("told", "ours"),
    [
        (route(UNICAST), Route(PREFIX, PREFIX, METRIC)),
        (route(UNICAST, source=0), Route(PREFIX, None, METRIC)),
        (route(UNICAST, metric=8), Route(PREFIX, PREFIX, 8)),
        (route(UNREACHABLE, out=1, source=0), Route(PREFIX, None, METRIC, unreachable=True)),
        (route(UNREACHABLE, metric=8), None),
        (route(UNICAST, out=6), None),
        (route(UNICAST, protocol=3), None),
        (route(UNICAST, table=255), None),
        (route(BLACKHOLE), None),
    ],
)
def test_only_our_routes_through_the_link_and_to_nowhere(told: bytes, ours: Route | None) -> None:
    assert list(routing.routes([told], 5, METRIC)) == ([] if ours is None else [ours])
    through_none = [ours] if ours and ours.unreachable else []
    assert list(routing.routes([told], None, METRIC)) == through_none


def test_the_whole_of_ipv6_is_a_destination_too() -> None:
    header = struct.pack("=BBBBBBBBI", 10, 0, 0, 0, 254, OURS, 0, UNREACHABLE, 0)
    told = header + pack(6, from_number(METRIC, size=4))

    (found,) = routing.routes([told], None, METRIC)
    assert found.destination == IPv6Network("::/0")
