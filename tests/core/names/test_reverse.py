"""Addresses as names; the slow way of writing every name down is the second opinion."""

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.addresses import reverse_name, reverse_zone
from tests.core.names.samples import NETWORK, labels
from wgctl.core.names.reverse import Reverse
from wgctl.core.wire import Labels, Qtype, encode_name

ZONE = reverse_zone(NETWORK.prefix)
ADDRESSES = st.sets(st.integers(0, 2**80 - 1) | st.integers(2, 40), max_size=12)


def named(number: int) -> tuple[IPv6Address, Labels]:
    return NETWORK.prefix[number], labels(f"p{number}._peer.internal")


def zone(numbers: set[int]) -> Reverse:
    return Reverse.of(NETWORK.prefix, lambda: map(named, numbers), serial=7)


@given(ADDRESSES)
def test_each_address_has_one_pointer_and_each_name_above_it_exists_and_holds_nothing(
    numbers: set[int],
) -> None:
    reverse = zone(numbers)

    for address, target in map(named, numbers):
        name = labels(reverse_name(address))
        node = reverse.find(name)
        assert node is not None
        [pointer] = node.records[Qtype.PTR].pick(0)
        assert pointer.record[12:] == encode_name(target)
        assert list(node.records) == [Qtype.PTR]
        for start in range(1, 20):
            above = reverse.find(name[start:])
            assert above is not None
            assert above.records == {}


@given(ADDRESSES, st.integers(0, 2**80 - 1), st.integers(0, 20))
def test_a_name_exists_just_when_an_address_is_at_or_below_it(
    numbers: set[int], number: int, start: int
) -> None:
    name = labels(reverse_name(NETWORK.prefix[number]))[start:]
    written = {labels(reverse_name(address))[start:] for address, _ in map(named, numbers)}

    assert (zone(numbers).find(name) is not None) == (name in written or start == 20)


def test_the_apex_exists_without_any_address() -> None:
    reverse = zone(set())
    apex = reverse.find(labels(ZONE))

    assert apex is not None
    assert set(apex.records) == {Qtype.SOA, Qtype.NS}
    assert reverse.find(labels(f"0.{ZONE}")) is None


@pytest.mark.parametrize(
    "name",
    [
        *("internal", "ip6.arpa", "arpa", "8.1.0.0.0.0.0.0.a.a.d.f.in-addr.arpa"),
        *(f"x.{ZONE}", f"00.{ZONE}", f"-.{ZONE}", f"\u0663.{ZONE}"),
        f"0.{reverse_name(NETWORK.prefix[0x22])}",  # longer than an address
        ZONE.removeprefix("8."),
        ZONE.replace("8.", "9.", 1),
    ],
)
def test_what_is_no_address_of_the_network_is_no_name_here(name: str) -> None:
    assert zone({0x22}).find(labels(name)) is None
    assert zone({0x22}).find(()) is None
