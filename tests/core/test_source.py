from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgctl.core.source import source_of
from wgctl.drivers.crowd import NETWORK_BYTES


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("fe80::1%eth0", "fe80::1", True),
    ],
)
def test_one_source_is_what_one_host_can_be(one: str, other: str, *, same: bool) -> None:
    assert (source_of(one) == source_of(other)) is same


@given(st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_two_ipv4_addresses_share_no_network(one: IPv4Address, other: IPv4Address) -> None:
    """All of them would else have the room of one /48."""
    networks = [source_of(str(address))[:NETWORK_BYTES] for address in (one, other)]

    assert (networks[0] == networks[1]) == (one == other)


@given(st.ip_addresses(v=6))
def test_a_source_keeps_its_network(address: IPv6Address) -> None:
    if address.ipv4_mapped is None:
        assert source_of(str(address))[:NETWORK_BYTES] == address.packed[:NETWORK_BYTES]
    assert len(source_of(str(address))) == 16
