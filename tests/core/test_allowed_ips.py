import random
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgctl.core.allowed_ips import (
    NO_IPS,
    AllowedIPs,
    all_addresses,
    from_rows,
    in_words,
    pack,
    pack_host,
    pack_hosts,
    rows,
    texts,
    unpack,
)

prefixes = st.one_of(
    st.builds(
        lambda address, length: IPv6Network((address, length), strict=False),
        *(st.integers(0, 2**128 - 1), st.integers(0, 128)),
    ),
    st.builds(
        lambda address, length: IPv4Network((address, length), strict=False),
        *(st.integers(0, 2**32 - 1), st.integers(0, 32)),
    ),
)
lists = st.lists(prefixes, max_size=5)


@given(lists)
def test_what_is_packed_is_unpacked(listed: list[IPv6Network | IPv4Network]) -> None:
    assert unpack(pack(listed)) == frozenset(listed)


@given(lists, st.randoms())
def test_one_set_is_one_value(
    listed: list[IPv6Network | IPv4Network], order: random.Random
) -> None:
    again = [*listed, *listed]
    order.shuffle(again)

    assert pack(again) == pack(listed)
    assert from_rows(rows(pack(listed))) == pack(listed)


@given(lists, lists)
def test_rows_are_compared_one_by_one(
    one: list[IPv6Network | IPv4Network], other: list[IPv6Network | IPv4Network]
) -> None:
    both = from_rows(rows(pack(one)) & rows(pack(other)))

    assert unpack(both) == set(one) & set(other)


def test_an_address_is_a_prefix_of_all_its_bits() -> None:
    one, other = IPv6Address("fdaa::1"), IPv6Address("fdaa::2")

    assert unpack(pack_host(one)) == {IPv6Network("fdaa::1/128")}
    assert list(pack_hosts([one.packed, other.packed])) == [pack_host(one), pack_host(other)]


def test_addresses_are_told_from_prefixes() -> None:
    address = pack_host(IPv6Address("fdaa::1"))
    three = pack(IPv4Network(f"10.0.0.{n}/32") for n in range(3))

    assert all_addresses([])
    assert all_addresses([address, address])
    for other in (NO_IPS, three, pack([IPv6Network("fdaa::/48")]), pack_both(address)):
        assert not all_addresses([address, other])


def pack_both(one: AllowedIPs) -> AllowedIPs:
    return pack([*unpack(one), IPv6Network("fdaa::2/128")])


def test_a_prefix_is_written_as_usual() -> None:
    assert texts(NO_IPS) == []
    assert texts(pack([IPv6Network("fdaa::/48"), IPv4Network("10.0.0.0/8")])) == [
        "10.0.0.0/8",
        "fdaa::/48",
    ]


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "nothing"),
        (1, "10.0.0.0/32"),
        (5, ", ".join(f"10.0.0.{n}/32" for n in range(5))),
        (65_000, ", ".join(f"10.0.0.{n}/32" for n in range(5)) + " and 64995 more"),
    ],
)
def test_of_many_prefixes_a_few_are_named(count: int, words: str) -> None:
    first = int(IPv4Address("10.0.0.0"))

    assert in_words(pack(IPv4Network(first + n) for n in range(count))) == words
