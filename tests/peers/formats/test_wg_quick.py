import os
import subprocess
from dataclasses import replace
from ipaddress import IPv6Interface, IPv6Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.config import Config, Interface, PeerSection, parse
from peers.errors import InvalidAddress
from peers.formats.tunnel import Dns, Tunnel
from peers.formats.wg_quick import render, tunnel_config
from tests.patience import HANG_S
from tests.peers.formats.samples import GATEWAY, PREFIX, PRIVATE, TUNNEL, tunnels

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
        timeout=HANG_S,
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
        (PeerSection(GATEWAY, (PREFIX,), TUNNEL.endpoint, persistent_keepalive_s=15),),
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


def test_only_a_48_has_a_resolver() -> None:
    wide = replace(TUNNEL, prefix=IPv6Network("fdaa::/16"))

    with pytest.raises(InvalidAddress, match="expected a /48"):
        tunnel_config(wide, dns=Dns.NONE)


def test_the_hook_routes_the_networks_names_before_it_names_the_server(tmp_path: Path) -> None:
    asked = fake_resolvectl(tmp_path, ending="exit 0")

    assert execute(hook(), tmp_path).stdout == "up\n"
    assert asked.read_text().splitlines() == [
        "domain wg-test ~internal ~flycast ~8.7.6.5.4.3.2.1.a.a.d.f.ip6.arpa",
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
        timeout=HANG_S,
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
