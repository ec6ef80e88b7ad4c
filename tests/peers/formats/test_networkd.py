import configparser
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.errors import InvalidName
from peers.formats.networkd import Files, render
from peers.formats.tunnel import Dns, Tunnel
from tests.patience import HANG_S
from tests.peers.formats.samples import (
    GATEWAY,
    PRESHARED,
    PRIVATE,
    TUNNEL,
    ZONE,
    interfaces,
    tunnels,
)

NETDEV = f"""\
[NetDev]
Name=alice
Kind=wireguard
MTUBytes=1420

[WireGuard]
PrivateKey={PRIVATE.text()}

[WireGuardPeer]
PublicKey={GATEWAY}
AllowedIPs=fdaa:1234:5678::/48
Endpoint=vpn.example.org:51820
PersistentKeepalive=15
"""
NETWORK = f"""\
[Match]
Name=alice

[Link]
RequiredForOnline=no

[Network]
Address=fdaa:1234:5678:10::2/128
LinkLocalAddressing=no
IPv6AcceptRA=no
DNS=fdaa:1234:5678::3
Domains=~internal ~flycast ~{ZONE}
DNSDefaultRoute=no

[Route]
Destination=fdaa:1234:5678::/48
"""

# systemd-networkd itself, alone in a network namespace and with a /run of its own, as in a
# container: its /sys is read-only, so that it does not wait for udev. It ends when its input does.
RUN = """
set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/network /run/systemd/netif /run/systemd/system
chown systemd-network: /run/systemd/netif
mount -t sysfs -o ro none /sys
cp "$1"/* /run/systemd/network
chgrp systemd-network /run/systemd/network/*
chmod 0640 /run/systemd/network/*
ip link add alice type veth peer name other
ip link set other up
if [ "$2" = device ]; then ip link del alice; fi
SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console /lib/systemd/systemd-networkd >"$1/log" 2>&1 &
trap 'kill $!; wait $!' EXIT
for attempt in $(seq 200); do
    if grep -q "$3" "$1/log"; then break; fi
    sleep 0.05
done
cat "$1/log" 1>&2
ip -6 -o address show
ip -6 route show
cat /run/systemd/netif/links/*
"""


def read(text: str) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(
        delimiters=("=",), comment_prefixes=("#", ";"), interpolation=None
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation says
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


def networkd(*, until: str, device: bool = False, **files: str) -> tuple[str, str]:
    """Run systemd-networkd on `files` until it says `until`; return what is there and its log."""
    with tempfile.TemporaryDirectory() as folder:
        for suffix, text in files.items():
            (Path(folder) / f"alice.{suffix}").write_text(text)
        kind = "device" if device else "link"
        done = subprocess.run(
            ["unshare", "--mount", "--net", "sh", "-c", RUN, "sh", folder, kind, until],
            capture_output=True,
            text=True,
            check=True,
            timeout=HANG_S,
        )
    return done.stdout, done.stderr


def complaints(log: str) -> Iterator[str]:
    for line in log.splitlines():
        if line.startswith("/run/systemd/network/"):
            yield line


def test_the_files_are_a_device_and_a_network_that_asks_for_its_own_names_alone() -> None:
    assert render(TUNNEL, interface="alice", dns=Dns.SPLIT) == Files(NETDEV, NETWORK)


@pytest.mark.parametrize(
    ("dns", "names"),
    [
        (Dns.FULL, {"DNS": "fdaa:1234:5678::3", "Domains": "~.", "DNSDefaultRoute": "yes"}),
        (Dns.NONE, {}),
    ],
)
def test_names_are_asked_as_was_chosen(dns: Dns, names: dict[str, str]) -> None:
    found = read(render(TUNNEL, interface="alice", dns=dns).network)["Network"]

    assert {key: value for key, value in found.items() if key.startswith("D")} == names


@given(tunnels(), interfaces, st.sampled_from(Dns))
def test_the_files_read_back(tunnel: Tunnel, interface: str, dns: Dns) -> None:
    files = render(tunnel, interface=interface, dns=dns)
    netdev, network = read(files.netdev), read(files.network)

    peer = netdev["WireGuardPeer"]
    assert netdev["NetDev"]["Name"] == network["Match"]["Name"] == interface
    assert netdev["NetDev"]["MTUBytes"] == str(tunnel.mtu_bytes)
    assert netdev["WireGuard"] == {"PrivateKey": tunnel.private_key.text()}
    assert peer["Endpoint"] == str(tunnel.endpoint)
    assert peer.get("PresharedKey") == (tunnel.preshared_key and tunnel.preshared_key.text())
    assert peer["AllowedIPs"] == network["Route"]["Destination"] == str(tunnel.prefix)
    assert peer.get("PersistentKeepalive", "0") == str(tunnel.keepalive_s)
    assert network["Network"]["Address"] == f"{tunnel.address}/128"


@given(tunnels(), interfaces, st.sampled_from(Dns))
def test_only_the_device_has_a_key(tunnel: Tunnel, interface: str, dns: Dns) -> None:
    network = render(tunnel, interface=interface, dns=dns).network

    assert tunnel.private_key.text() not in network
    assert PRESHARED.text() not in network


@pytest.mark.parametrize("interface", ["", "x" * 16, "a\nKind=b", "a b", "*", "lo"])
def test_what_is_no_interface_is_refused(interface: str) -> None:
    with pytest.raises(InvalidName, match="interface"):
        render(TUNNEL, interface=interface, dns=Dns.NONE)


@pytest.mark.network
@pytest.mark.parametrize("dns", Dns)
def test_networkd_takes_the_device_without_a_complaint(dns: Dns) -> None:
    tunnel = replace(TUNNEL, preshared_key=PRESHARED)
    netdev = render(tunnel, interface="alice", dns=dns).netdev
    _, log = networkd(device=True, until="Enumeration completed", netdev=netdev)

    assert 'alice: loaded "wireguard"' in log
    assert list(complaints(log)) == []


@pytest.mark.network
def test_networkd_complains_of_what_it_does_not_know() -> None:
    """So that the test above can fail."""
    _, log = networkd(device=True, until="Enumeration completed", netdev=f"{NETDEV}Bogus=1\n")

    (complaint,) = complaints(log)
    assert "Unknown key 'Bogus'" in complaint


@pytest.mark.network
@pytest.mark.parametrize(
    ("dns", "says"),
    [
        (Dns.SPLIT, ["DNS=fdaa:1234:5678::3", f"ROUTE_DOMAINS=internal flycast {ZONE}"]),
        (Dns.FULL, ["DNS=fdaa:1234:5678::3", "ROUTE_DOMAINS=."]),
        (Dns.NONE, ["DNS=", "ROUTE_DOMAINS="]),
    ],
)
def test_networkd_gives_the_interface_its_address_route_and_names(
    dns: Dns, says: list[str]
) -> None:
    """On a veth of the same name: a kernel without WireGuard has no other."""
    network = render(TUNNEL, interface="alice", dns=dns).network
    there, log = networkd(until="State changed: configuring -> configured", network=network)

    assert list(complaints(log)) == []
    assert "alice    inet6 fdaa:1234:5678:10::2/128" in there
    assert "fdaa:1234:5678::/48 dev alice" in there
    assert "default" not in there
    assert [line for line in there.splitlines() if line in says] == says
