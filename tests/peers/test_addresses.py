import re
from ipaddress import IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.addresses import (
    DEFAULT_POOL,
    FIRST_GATEWAY,
    FIRST_PEER,
    LAST_GATEWAY,
    gateway_address,
    gateway_prefix,
    network_id_bits,
    network_prefix,
    parse_pool,
    peer_address,
    prefix_of,
    resolver_address,
    reverse_name,
    reverse_zone,
    service_address,
)
from peers.errors import InvalidAddress

ACME = IPv6Network("fdaa:1234:5678::/48")

pools = st.builds(
    lambda bits, length: IPv6Network((0xFD << 120 | bits << 96, length), strict=False),
    st.integers(0, 2**24 - 1),
    st.integers(16, 32),
)
gateways = st.integers(FIRST_GATEWAY, LAST_GATEWAY)
peer_numbers = st.integers(FIRST_PEER, 2**64 - 1)


@st.composite
def prefixes(draw: st.DrawFn) -> IPv6Network:
    pool = draw(pools)
    return network_prefix(pool, draw(st.integers(0, 2 ** network_id_bits(pool) - 1)))


@pytest.mark.parametrize("text", ["fdaa::/16", "fd00::/16", "fd12:3456::/32", "fd12:3400::/24"])
def test_a_unique_local_prefix_of_16_to_32_bits_is_a_pool(text: str) -> None:
    assert str(parse_pool(text)) == text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "no IPv6 prefix"),
        ("fdaa::1/16", "no IPv6 prefix"),
        ("fdaa:1::/16", "no IPv6 prefix"),
        ("10.0.0.0/16", "no IPv6 prefix"),
        ("fdaa::/16\n", "no IPv6 prefix"),
        ("fdaa::/129", "no IPv6 prefix"),
        ("fdaa::%eth0/16", "zone"),
        ("fdaa::", "length 128, expected 16 to 32"),
        ("fd00::/8", "length 8, expected 16 to 32"),
        ("fd00::/15", "length 15, expected 16 to 32"),
        ("fdaa::/33", "length 33, expected 16 to 32"),
        ("fdaa::/48", "length 48, expected 16 to 32"),
        ("fc00::/16", "not in fd00::/8"),
        ("2001:db8::/32", "not in fd00::/8"),
        ("::/0", "not in fd00::/8"),
        ("ff00::/16", "not in fd00::/8"),
    ],
)
def test_what_is_no_pool_is_refused_by_the_rule_it_breaks(text: str, rule: str) -> None:
    with pytest.raises(InvalidAddress, match=rule):
        parse_pool(text)


@pytest.mark.parametrize(
    ("pool", "network_id", "prefix"),
    [
        ("fdaa::/16", 0, "fdaa::/48"),
        ("fdaa::/16", 0x12345678, "fdaa:1234:5678::/48"),
        ("fdaa::/16", 2**32 - 1, "fdaa:ffff:ffff::/48"),
        ("fd12:3400::/24", 0x567890, "fd12:3456:7890::/48"),
        ("fd12:3456::/32", 0x789A, "fd12:3456:789a::/48"),
    ],
)
def test_the_network_id_fills_the_bits_up_to_48(pool: str, network_id: int, prefix: str) -> None:
    assert str(network_prefix(IPv6Network(pool), network_id)) == prefix


def test_addresses_have_the_layout_of_the_drawing() -> None:
    assert str(resolver_address(ACME)) == "fdaa:1234:5678::3"
    assert str(service_address(ACME, 2)) == "fdaa:1234:5678:1::2"
    assert str(service_address(ACME, 2**64 - 1)) == "fdaa:1234:5678:1:ffff:ffff:ffff:ffff"
    assert str(gateway_prefix(ACME, 0xABCD)) == "fdaa:1234:5678:abcd::/64"
    assert str(gateway_address(ACME, 16)) == "fdaa:1234:5678:10::1"
    assert peer_address(ACME, 16, 2).exploded == "fdaa:1234:5678:0010:0000:0000:0000:0002"
    assert str(peer_address(ACME, 65535, 2**64 - 1)) == "fdaa:1234:5678:ffff:ffff:ffff:ffff:ffff"


def test_the_default_pool_is_one_that_could_be_chosen() -> None:
    assert parse_pool(str(DEFAULT_POOL)) == DEFAULT_POOL


@given(pools)
def test_network_ids_end_where_the_pool_does(pool: IPv6Network) -> None:
    first, last = (network_prefix(pool, n) for n in (0, 2 ** network_id_bits(pool) - 1))

    assert first.network_address == pool.network_address
    assert last.broadcast_address == pool.broadcast_address
    for beyond in (-1, 2 ** network_id_bits(pool)):
        with pytest.raises(InvalidAddress, match="network id"):
            network_prefix(pool, beyond)


@given(prefixes(), gateways, peer_numbers)
def test_a_peer_lies_in_its_gateway_and_its_network(
    prefix: IPv6Network, gateway: int, number: int
) -> None:
    address = peer_address(prefix, gateway, number)

    assert address in gateway_prefix(prefix, gateway)
    assert prefix_of(address) == prefix
    assert address not in {resolver_address(prefix), gateway_address(prefix, gateway)}
    assert address != service_address(prefix, number)


@given(*[st.tuples(prefixes(), gateways, peer_numbers)] * 2)
def test_different_numbers_give_different_addresses(
    one: tuple[IPv6Network, int, int], other: tuple[IPv6Network, int, int]
) -> None:
    assert (one == other) == (peer_address(*one) == peer_address(*other))


@pytest.mark.parametrize("number", [-1, 0, 1, 15, 65536])
def test_only_16_to_65535_number_a_gateway(number: int) -> None:
    for function in (gateway_prefix, gateway_address):
        with pytest.raises(InvalidAddress, match=f"gateway number {number}, expected 16 to 65535"):
            function(ACME, number)
    with pytest.raises(InvalidAddress, match="gateway number"):
        peer_address(ACME, number, 2)


@pytest.mark.parametrize("number", [-1, 0, 1, 2**64])
def test_a_peer_is_never_the_gateway_nor_outside_of_it(number: int) -> None:
    with pytest.raises(InvalidAddress, match=f"peer number {number}, expected 2 to"):
        peer_address(ACME, 16, number)
    with pytest.raises(InvalidAddress, match=f"service number {number}, expected 2 to"):
        service_address(ACME, number)


@pytest.mark.parametrize("prefix", ["fdaa::/16", "fdaa:1:2:3::/64", "fdaa::/47"])
def test_only_a_48_is_a_network(prefix: str) -> None:
    network = IPv6Network(prefix)

    for refused in (
        lambda: resolver_address(network),
        lambda: gateway_prefix(network, 16),
        lambda: gateway_address(network, 16),
        lambda: peer_address(network, 16, 2),
        lambda: service_address(network, 2),
    ):
        with pytest.raises(InvalidAddress, match="expected a /48"):
            refused()


@given(st.ip_addresses(v=6))
def test_every_address_has_the_prefix_that_holds_it(address: IPv6Address) -> None:
    prefix = prefix_of(address)

    assert prefix.prefixlen == 48
    assert address in prefix


@given(st.ip_addresses(v=6))
def test_the_reverse_name_is_the_standard_librarys(address: IPv6Address) -> None:
    assert reverse_name(address) == address.reverse_pointer


@given(prefixes(), st.integers(0, 2**80 - 1))
def test_the_reverse_zone_holds_the_reverse_names_of_its_prefix(
    prefix: IPv6Network, offset: int
) -> None:
    zone = reverse_zone(prefix)

    assert re.fullmatch(r"([0-9a-f]\.){12}ip6\.arpa", zone)
    assert reverse_name(prefix.network_address + offset).endswith(f".{zone}")


def test_a_reverse_zone_is_written_backwards() -> None:
    assert reverse_zone(ACME) == "8.7.6.5.4.3.2.1.a.a.d.f.ip6.arpa"
    assert reverse_zone(IPv6Network("fdaa::/16")) == "a.a.d.f.ip6.arpa"


@pytest.mark.parametrize("prefix", ["::/0", "fdaa::/17", "fdaa::/47"])
def test_a_reverse_zone_ends_at_a_nibble(prefix: str) -> None:
    with pytest.raises(InvalidAddress, match="multiple of 4"):
        reverse_zone(IPv6Network(prefix))
