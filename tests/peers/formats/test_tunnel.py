from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest

from peers.errors import InvalidAddress, InvalidConfig
from peers.formats.tunnel import Dns
from tests.peers.formats.samples import TUNNEL, ZONE


def test_an_address_of_another_network_makes_no_tunnel() -> None:
    with pytest.raises(InvalidAddress, match="expected one in fdaa:1234:5678::/48"):
        replace(TUNNEL, address=IPv6Address("fdaa:9::2"))


@pytest.mark.parametrize("mtu_bytes", [0, 1279, 65536])
def test_an_mtu_that_no_ipv6_link_has_makes_no_tunnel(mtu_bytes: int) -> None:
    with pytest.raises(InvalidConfig, match=f"MTU {mtu_bytes}, expected 1280 to 65535"):
        replace(TUNNEL, mtu_bytes=mtu_bytes)


@pytest.mark.parametrize("keepalive_s", [-1, 65536])
def test_a_keepalive_that_wireguard_cannot_hold_makes_no_tunnel(keepalive_s: int) -> None:
    with pytest.raises(InvalidConfig, match=f"keepalive {keepalive_s}, expected 0 to 65535"):
        replace(TUNNEL, keepalive_s=keepalive_s)


@pytest.mark.parametrize(
    ("dns", "domains"),
    [(Dns.SPLIT, ("internal", "flycast", ZONE)), (Dns.FULL, (".",)), (Dns.NONE, ())],
)
def test_the_reverse_zone_is_asked_where_the_names_are(dns: Dns, domains: tuple[str]) -> None:
    assert TUNNEL.domains(dns) == domains


def test_a_network_is_a_48() -> None:
    with pytest.raises(InvalidAddress, match="expected a /48"):
        _ = replace(TUNNEL, prefix=IPv6Network("fdaa::/16")).resolver
