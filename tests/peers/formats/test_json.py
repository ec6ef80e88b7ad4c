import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.formats.json import render
from peers.formats.tunnel import Dns, Tunnel
from tests.peers.formats.samples import GATEWAY, PRIVATE, TUNNEL, ZONE, interfaces, tunnels


def test_a_document_says_all_that_a_program_needs() -> None:
    assert json.loads(render(TUNNEL, interface="wg0", dns=Dns.SPLIT)) == {
        "interface": "wg0",
        "private_key": PRIVATE.text(),
        "public_key": PRIVATE.public().text(),
        "preshared_key": None,
        "address": "fdaa:1234:5678:10::2",
        "prefix": "fdaa:1234:5678::/48",
        "resolver": "fdaa:1234:5678::3",
        "gateway_key": GATEWAY.text(),
        "endpoint": "vpn.example.org:51820",
        "mtu_bytes": 1420,
        "keepalive_s": 15,
        "dns": {"servers": ["fdaa:1234:5678::3"], "domains": ["internal", "flycast", ZONE]},
    }


@pytest.mark.parametrize(
    ("dns", "servers", "domains"),
    [(Dns.FULL, ["fdaa:1234:5678::3"], ["."]), (Dns.NONE, [], [])],
)
def test_names_are_asked_as_was_chosen(dns: Dns, servers: list[str], domains: list[str]) -> None:
    found = json.loads(render(TUNNEL, interface="wg0", dns=dns))["dns"]

    assert found == {"servers": servers, "domains": domains}


@given(tunnels(), interfaces, st.sampled_from(Dns))
def test_a_document_reads_back(tunnel: Tunnel, interface: str, dns: Dns) -> None:
    found = json.loads(render(tunnel, interface=interface, dns=dns))

    assert found["interface"] == interface
    assert found["private_key"] == tunnel.private_key.text()
    assert found["preshared_key"] == (tunnel.preshared_key and tunnel.preshared_key.text())
    assert (found["address"], found["prefix"]) == (str(tunnel.address), str(tunnel.prefix))
    assert found["endpoint"] == str(tunnel.endpoint)
    assert (found["mtu_bytes"], found["keepalive_s"]) == (tunnel.mtu_bytes, tunnel.keepalive_s)
