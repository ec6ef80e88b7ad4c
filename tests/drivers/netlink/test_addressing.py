import errno
from ipaddress import IPv6Interface, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgctl.core.tunnel import AddAddress, AddRoute, RemoveAddress, RemoveRoute, Route
from wgctl.drivers.netlink import addressing
from wgctl.drivers.netlink.addressing import AddressingStep, Listed
from wgctl.drivers.netlink.messages import Message

METRIC = 7
ADDRESS = IPv6Interface("fdaa:0:1::3/128")
NETWORK = IPv6Network("fdaa:0:1::/48")
INSIDE = Route(NETWORK, NETWORK, METRIC)
NOWHERE = Route(IPv6Network("fdaa::/16"), None, METRIC, unreachable=True)
STEPS: list[AddressingStep] = [
    AddAddress(ADDRESS),
    RemoveAddress(ADDRESS),
    AddRoute(INSIDE),
    RemoveRoute(INSIDE),
    AddRoute(NOWHERE),
    RemoveRoute(NOWHERE),
]

prefixes = st.builds(
    lambda address, length: IPv6Network((address, length), strict=False),
    *(st.integers(0, 2**128 - 1), st.integers(1, 128)),
)
routes = st.builds(Route, prefixes, st.none() | prefixes, st.just(METRIC), st.booleans())
indexes = st.integers(1, 2**31 - 1)


def body(step: AddressingStep, *, index: int = 5) -> bytes:
    return addressing.request(step, index=index, sequence=1).body


@given(st.ip_addresses(v=6).map(IPv6Interface), indexes)
def test_an_address_that_is_set_is_one_that_is_listed(address: IPv6Interface, index: int) -> None:
    made = body(AddAddress(address), index=index)

    assert addressing.parse_address(made, index=index) == address
    assert addressing.parse_address(made, index=index + 1) is None


@given(routes, indexes)
def test_a_route_that_is_set_is_one_that_is_listed(route: Route, index: int) -> None:
    made = body(AddRoute(route), index=index)

    assert addressing.parse_route(made, index=index, metric=METRIC) == route
    elsewhere = addressing.parse_route(made, index=index + 1, metric=METRIC + 1)
    assert elsewhere is None


def test_the_way_to_nowhere_is_ours_by_its_metric_whatever_the_link() -> None:
    made = body(AddRoute(NOWHERE))

    assert addressing.parse_route(made, index=None, metric=METRIC) == NOWHERE
    assert addressing.parse_route(made, index=None, metric=METRIC + 1) is None


def test_an_address_that_is_no_ones_but_the_links_is_left_out() -> None:
    link_local = bytearray(body(AddAddress(IPv6Interface("fe80::1/64"))))
    link_local[3] = 253  # RT_SCOPE_LINK

    assert addressing.parse_address(bytes(link_local), index=5) is None


@pytest.mark.parametrize("offset", [4, 5], ids=["table", "protocol"])
def test_a_route_of_another_table_or_by_another_program_is_left_out(offset: int) -> None:
    other = bytearray(body(AddRoute(INSIDE)))
    other[offset] += 1

    assert addressing.parse_route(bytes(other), index=5, metric=METRIC) is None


@pytest.mark.parametrize("step", STEPS)
def test_what_is_taken_back_is_removed_as_it_was_added(step: AddressingStep) -> None:
    opposites: dict[AddressingStep, AddressingStep] = {
        AddAddress(ADDRESS): RemoveAddress(ADDRESS),
        AddRoute(INSIDE): RemoveRoute(INSIDE),
        AddRoute(NOWHERE): RemoveRoute(NOWHERE),
    }
    asked = addressing.request(step, index=5, sequence=9)
    opposite = addressing.request(opposites.get(step, step), index=5, sequence=9)

    assert addressing.undoing(asked) == Message(opposite.kind, 0, 9, opposite.body)


def test_only_a_way_to_nowhere_needs_no_link() -> None:
    assert [addressing.needs_link(step) for step in STEPS] == [True] * 4 + [False] * 2


@pytest.mark.parametrize(
    ("step", "code", "tolerated"),
    [
        (AddAddress(ADDRESS), errno.EEXIST, True),
        (AddAddress(ADDRESS), errno.ENODEV, False),
        (AddRoute(INSIDE), errno.EEXIST, False),
        (RemoveAddress(ADDRESS), errno.EADDRNOTAVAIL, True),
        (RemoveRoute(INSIDE), errno.ESRCH, True),
        (RemoveRoute(INSIDE), errno.EPERM, False),
    ],
)
def test_a_step_that_was_taken_before_is_no_fault(
    step: AddressingStep, code: int, *, tolerated: bool
) -> None:
    assert (code in addressing.tolerated(step)) is tolerated


@given(routes, indexes)
def test_a_route_that_was_asked_for_is_the_same_object(route: Route, index: int) -> None:
    made, asked = body(AddRoute(route), index=index), {addressing.key(route): route}

    assert addressing.parse_route(made, index=index, metric=METRIC, asked=asked) is route


@given(routes, routes, indexes)
def test_another_route_was_not_asked_for(route: Route, other: Route, index: int) -> None:
    made, asked = body(AddRoute(route), index=index), {addressing.key(other): other}

    assert addressing.parse_route(made, index=index, metric=METRIC, asked=asked) == route


@given(prefixes, prefixes, indexes)
def test_an_address_that_was_asked_for_is_the_same_object_and_no_other_is(
    one: IPv6Network, other: IPv6Network, index: int
) -> None:
    address, another = IPv6Interface(one), IPv6Interface(other)
    made = body(AddAddress(address), index=index)

    asked = {addressing.key(address): address}
    assert addressing.parse_address(made, index=index, asked=asked) is address
    asked = {addressing.key(another): another}
    assert addressing.parse_address(made, index=index, asked=asked) == address


@pytest.mark.parametrize("size", [0, 7, 20])
def test_a_message_of_another_form_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        addressing.parse_address(body(AddAddress(ADDRESS))[:size], index=5)
    with pytest.raises(ValueError, match="bytes"):
        addressing.parse_route(body(AddRoute(INSIDE))[:size], index=5, metric=METRIC)


def test_what_is_listed_again_is_read_once() -> None:
    read: list[bytes] = []

    def parse(told: bytes) -> bytes | None:
        read.append(told)
        return told if told != b"none" else None

    listed = Listed[bytes]()

    assert listed.values([b"one", b"none"], parse, of=1) == {b"one"}
    assert listed.values([b"none", b"one"], parse, of=1) == {b"one"}
    assert read == [b"one", b"none"]
    assert listed.values([b"two", b"one"], parse, of=1) == {b"one", b"two"}
    assert read == [b"one", b"none", b"two"]
    assert listed.values([b"two"], parse, of=2) == {b"two"}
    assert read == [b"one", b"none", b"two", b"two"]
    assert listed.values([], parse, of=2) == frozenset()
