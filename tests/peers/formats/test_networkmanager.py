import configparser
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peers.errors import InvalidName
from peers.formats.networkmanager import render
from peers.formats.tunnel import Dns, Tunnel
from peers.keys import PrivateKey
from tests.patience import HANG_S
from tests.peers.formats.samples import GATEWAY, PRIVATE, TUNNEL, ZONE, interfaces, tunnels

SPLIT = f"""\
[connection]
id=alice
uuid=abfc04d8-d0de-5021-9d96-70b709dfdf7b
type=wireguard
interface-name=alice

[wireguard]
mtu=1420
private-key={PRIVATE.text()}

[wireguard-peer.{GATEWAY}]
endpoint=vpn.example.org:51820
persistent-keepalive=15
allowed-ips=fdaa:1234:5678::/48;

[ipv4]
method=disabled

[ipv6]
addr-gen-mode=default
address1=fdaa:1234:5678:10::2/128
dns=fdaa:1234:5678::3;
dns-search=~internal;~flycast;~{ZONE};
method=manual
never-default=true

[proxy]
"""


def read(text: str) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(
        delimiters=("=",), comment_prefixes=("#",), interpolation=None
    )
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


def through_nmcli(text: str, name: str) -> str:
    """Let NetworkManager read the connection and write it again: it drops what it does not know."""
    return subprocess.run(
        ["nmcli", "--offline", "connection", "modify", "connection.id", name],
        input=text,
        capture_output=True,
        text=True,
        check=True,
        timeout=HANG_S,
    ).stdout


def test_a_connection_asks_for_the_networks_names_alone_and_makes_no_default_route() -> None:
    assert render(TUNNEL, interface="alice", dns=Dns.SPLIT) == SPLIT


@pytest.mark.parametrize(
    ("dns", "names"),
    [
        (
            Dns.FULL,
            {"dns": "fdaa:1234:5678::3;", "dns-priority": "-50", "dns-search": "~.;"},
        ),
        (Dns.NONE, {}),
    ],
)
def test_names_are_asked_as_was_chosen(dns: Dns, names: dict[str, str]) -> None:
    found = read(render(TUNNEL, interface="alice", dns=dns))["ipv6"]

    assert {key: value for key, value in found.items() if key.startswith("dns")} == names
    assert found["never-default"] == "true"


@given(tunnels(), interfaces, st.sampled_from(Dns))
def test_a_connection_reads_back(tunnel: Tunnel, interface: str, dns: Dns) -> None:
    found = read(render(tunnel, interface=interface, dns=dns))

    peer = found[f"wireguard-peer.{tunnel.gateway_key}"]
    assert len(found) == 6
    assert found["connection"]["interface-name"] == interface
    assert found["wireguard"]["private-key"] == tunnel.private_key.text()
    assert found["wireguard"]["mtu"] == str(tunnel.mtu_bytes)
    assert found["ipv6"]["address1"] == f"{tunnel.address}/128"
    assert peer["endpoint"] == str(tunnel.endpoint)
    assert peer.get("preshared-key") == (tunnel.preshared_key and tunnel.preshared_key.text())
    assert peer["allowed-ips"] == f"{tunnel.prefix};"
    assert peer.get("persistent-keepalive", "0") == str(tunnel.keepalive_s)


@settings(max_examples=25)
@given(tunnels(), interfaces, st.sampled_from(Dns))
def test_networkmanager_writes_the_same_line_by_line(
    tunnel: Tunnel, interface: str, dns: Dns
) -> None:
    text = render(tunnel, interface=interface, dns=dns)

    assert through_nmcli(text, interface).splitlines() == text.splitlines()


def test_networkmanager_would_drop_what_it_does_not_know() -> None:
    """So that the test above can fail."""
    assert "bogus" not in through_nmcli(SPLIT.replace("[proxy]", "bogus=1\n\n[proxy]"), "alice")


def test_a_new_key_is_the_same_connection_and_another_address_is_not() -> None:
    rekeyed = replace(TUNNEL, private_key=PrivateKey.generate())
    moved = replace(TUNNEL, address=TUNNEL.address + 1)
    uuids = [
        read(render(tunnel, interface="alice", dns=Dns.NONE))["connection"]["uuid"]
        for tunnel in (TUNNEL, rekeyed, moved)
    ]

    assert uuids[0] == uuids[1] != uuids[2]


@pytest.mark.parametrize("interface", ["", "x" * 16, "a\nid=b", "a;b", "[ipv4]", "lo"])
def test_what_is_no_interface_is_refused(interface: str) -> None:
    with pytest.raises(InvalidName, match="interface"):
        render(TUNNEL, interface=interface, dns=Dns.NONE)
