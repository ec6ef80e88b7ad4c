import os
import subprocess
from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.addresses import FIRST_GATEWAY, LAST_GATEWAY, network_prefix, peer_address
from peers.config import Config, Interface, PeerSection, parse
from peers.endpoint import Endpoint
from peers.errors import InvalidAddress, InvalidConfig
from peers.formats.wg_quick import Dns, Tunnel, render, tunnel_config
from peers.keys import PrivateKey, PublicKey

PRIVATE = PrivateKey.parse("yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=")
GATEWAY = PublicKey.parse("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")
PREFIX = IPv6Network("fdaa:1234:5678::/48")
ADDRESS = IPv6Address("fdaa:1234:5678:10::2")
ENDPOINT = Endpoint("vpn.example.org", 51820)

TUNNEL = Tunnel(PRIVATE, ADDRESS, PREFIX, GATEWAY, ENDPOINT, mtu_bytes=1420)
WITHOUT_DNS = (
    "[Interface]\n"
    f"PrivateKey = {PRIVATE.text()}\n"
    "Address = fdaa:1234:5678:10::2/128\n"
    "{dns}"
    "MTU = 1420\n"
    "{hook}"
    "\n"
    "[Peer]\n"
    f"PublicKey = {GATEWAY}\n"
    "AllowedIPs = fdaa:1234:5678::/48\n"
    "Endpoint = vpn.example.org:51820\n"
    "PersistentKeepalive = 15\n"
)

# wg-quick itself up to where it looks at its arguments, with its `set -e`; then its reader of
# configs and its runner of hooks, with nothing on the PATH but what the test puts there.
WG_QUICK_HOOKS = """
source <(sed '/^# ~~ function override insertion point ~~/,$d' "$(type -p wg-quick)")
parse_options "$1"
PATH="$2"
execute_hooks "${POST_UP[@]}"
echo up
"""


@st.composite
def tunnels(draw: st.DrawFn) -> Tunnel:
    prefix = network_prefix(IPv6Network("fdaa::/16"), draw(st.integers(0, 2**32 - 1)))
    gateway = draw(st.integers(FIRST_GATEWAY, LAST_GATEWAY))
    return Tunnel(
        private_key=PrivateKey(draw(st.binary(min_size=32, max_size=32).filter(any))),
        address=peer_address(prefix, gateway, draw(st.integers(2, 2**64 - 1))),
        prefix=prefix,
        gateway_key=GATEWAY,
        endpoint=ENDPOINT,
        mtu_bytes=draw(st.integers(1280, 9000)),
        keepalive_s=draw(st.integers(0, 65535)),
    )


def hook() -> str:
    (line,) = tunnel_config(TUNNEL, dns=Dns.SPLIT).interface.post_up
    return line


def execute(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Let wg-quick run a hook, with nothing on its PATH but what is in `folder`."""
    config = folder / "wg-test.conf"
    config.touch(mode=0o600)
    config.write_text(WITHOUT_DNS.format(dns="", hook=f"PostUp = {line}\n"))
    return subprocess.run(
        ["bash", "-c", WG_QUICK_HOOKS, "bash", str(config), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )


def fake_resolvectl(folder: Path, *, ending: str) -> Path:
    """Put a resolvectl into `folder` that writes down what it is asked, and return where."""
    asked = folder / "asked"
    program = folder / "resolvectl"
    program.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n{ending}\n')
    program.chmod(0o700)
    return asked


def test_a_tunnel_has_its_address_prefix_endpoint_keepalive_and_mtu() -> None:
    assert render(TUNNEL, dns=Dns.NONE) == WITHOUT_DNS.format(dns="", hook="")
    assert tunnel_config(TUNNEL, dns=Dns.NONE) == Config(
        Interface(PRIVATE, (IPv6Interface("fdaa:1234:5678:10::2/128"),), mtu_bytes=1420),
        (PeerSection(GATEWAY, (PREFIX,), ENDPOINT, persistent_keepalive_s=15),),
    )


def test_full_dns_is_the_networks_resolver_with_or_without_hooks() -> None:
    expected = WITHOUT_DNS.format(dns="DNS = fdaa:1234:5678::3\n", hook="")

    assert render(TUNNEL, dns=Dns.FULL) == expected
    assert render(TUNNEL, dns=Dns.FULL, hooks=False) == expected


def test_split_dns_is_a_hook_and_nothing_where_hooks_are_refused() -> None:
    assert render(TUNNEL, dns=Dns.SPLIT) == WITHOUT_DNS.format(dns="", hook=f"PostUp = {hook()}\n")
    assert render(TUNNEL, dns=Dns.SPLIT, hooks=False) == render(TUNNEL, dns=Dns.NONE)


@given(tunnels(), st.sampled_from(Dns), st.booleans())
def test_a_rendered_tunnel_reads_back(tunnel: Tunnel, dns: Dns, hooks: bool) -> None:  # noqa: FBT001  # Hypothesis gives it by position
    assert parse(render(tunnel, dns=dns, hooks=hooks)) == tunnel_config(
        tunnel, dns=dns, hooks=hooks
    )


def test_an_address_of_another_network_makes_no_tunnel() -> None:
    with pytest.raises(InvalidAddress, match="expected one in fdaa:1234:5678::/48"):
        Tunnel(PRIVATE, IPv6Address("fdaa:9::2"), PREFIX, GATEWAY, ENDPOINT, mtu_bytes=1420)


def test_only_a_48_has_a_resolver() -> None:
    wide = Tunnel(PRIVATE, ADDRESS, IPv6Network("fdaa::/16"), GATEWAY, ENDPOINT, mtu_bytes=1420)

    with pytest.raises(InvalidAddress, match="expected a /48"):
        tunnel_config(wide, dns=Dns.NONE)


@pytest.mark.parametrize("mtu_bytes", [0, 1279, 65536])
def test_an_mtu_that_no_ipv6_link_has_makes_no_tunnel(mtu_bytes: int) -> None:
    with pytest.raises(InvalidConfig, match=f"MTU {mtu_bytes}, expected 1280 to 65535"):
        Tunnel(PRIVATE, ADDRESS, PREFIX, GATEWAY, ENDPOINT, mtu_bytes=mtu_bytes)


def test_a_keepalive_that_wireguard_cannot_hold_is_not_written() -> None:
    often = Tunnel(PRIVATE, ADDRESS, PREFIX, GATEWAY, ENDPOINT, mtu_bytes=1420, keepalive_s=-1)

    with pytest.raises(InvalidConfig, match="PersistentKeepalive"):
        render(often, dns=Dns.NONE)


def test_the_hook_routes_the_networks_names_before_it_names_the_server(tmp_path: Path) -> None:
    asked = fake_resolvectl(tmp_path, ending="exit 0")

    assert execute(hook(), tmp_path).stdout == "up\n"
    assert asked.read_text().splitlines() == [
        "domain wg-test ~internal ~8.7.6.5.4.3.2.1.a.a.d.f.ip6.arpa",
        "dns wg-test fdaa:1234:5678::3",
    ]


def test_without_domains_the_server_is_not_set(tmp_path: Path) -> None:
    """A link with a server and no domains would be asked for every name."""
    asked = fake_resolvectl(tmp_path, ending="exit 1")

    assert execute(hook(), tmp_path).stdout == "up\n"
    assert len(asked.read_text().splitlines()) == 1


def test_the_hook_cannot_fail_without_resolvectl(tmp_path: Path) -> None:
    done = execute(hook(), tmp_path)

    assert (done.returncode, done.stdout) == (0, "up\n")
    assert "resolvectl" in done.stderr


@pytest.mark.parametrize("ending", ["exit 1", "exit 255", "kill -9 $$", "kill -15 $$"])
def test_the_hook_cannot_fail_with_a_resolvectl_that_does(tmp_path: Path, ending: str) -> None:
    fake_resolvectl(tmp_path, ending=ending)
    done = execute(hook(), tmp_path)

    assert (done.returncode, done.stdout) == (0, "up\n")


def test_the_hook_cannot_fail_when_it_may_not_run_resolvectl(tmp_path: Path) -> None:
    (tmp_path / "resolvectl").mkdir()
    done = execute(hook(), tmp_path)

    assert (done.returncode, done.stdout) == (0, "up\n")


def test_a_hook_without_the_guard_would_take_the_tunnel_down(tmp_path: Path) -> None:
    """So that the tests above can fail."""
    done = execute(hook().removesuffix(" || true"), tmp_path)

    assert (done.returncode, done.stdout) == (127, "")


def test_the_hook_has_nothing_that_readers_of_configs_split_or_cut() -> None:
    assert not set(hook()) & set(',#\n"\\`$')


@pytest.mark.parametrize("dns", Dns)
def test_wg_quick_reads_the_config(dns: Dns, tmp_path: Path) -> None:
    path = tmp_path / "wg-test.conf"
    path.touch(mode=0o600)
    path.write_text(render(TUNNEL, dns=dns))
    done = subprocess.run(
        ["wg-quick", "strip", str(path)],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )

    assert done.stderr == ""
    assert [line for line in done.stdout.splitlines() if line] == [
        "[Interface]",
        f"PrivateKey = {PRIVATE.text()}",
        "[Peer]",
        f"PublicKey = {GATEWAY}",
        "AllowedIPs = fdaa:1234:5678::/48",
        "Endpoint = vpn.example.org:51820",
        "PersistentKeepalive = 15",
    ]
