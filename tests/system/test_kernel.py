"""A gateway whose device is the kernel's own: real tunnels, and roles that die under them.

Short, since it runs in an emulated machine: gateway and resolver serve what their copies hold, and
there is no controller.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Network
from pathlib import Path

import pytest

from peers.endpoint import Endpoint
from peers.formats.tunnel import Dns, Tunnel
from peers.formats.wg_quick import render
from peers.keys import PrivateKey
from peers.names import Label
from tests.patience import HANG_S
from tests.system.hosts import ENDPOINT, PORT, Gateway, Host, Lab, Started, eventually
from tests.system.pinging import pinging
from wgctl.core.feed import Kind, Put
from wgctl.core.model import Network, Peer
from wgctl.store.copy import Copy

pytestmark = [pytest.mark.network, pytest.mark.kernel, pytest.mark.timeout(400)]

# A hang's, in an emulated machine.
SLOW_S = 120.0

GATEWAY_KEY = PrivateKey.generate()
ACME, GLOBEX = (Network(n, n, Label("default"), IPv6Network(f"fdaa:0:{n}::/48"), 0) for n in (1, 2))


@dataclass
class Client:
    """A peer on a host of its own, with its tunnel up."""

    host: Host
    peer: Peer


@dataclass
class Scene:
    """A gateway, two peers of one network, and one of another."""

    gateway: Gateway
    role: Started
    alice: Client
    bob: Client
    stranger: Client


def enrol(lab: Lab, number: int, network: Network, *, name: str) -> tuple[Client, Path]:
    """Make a host for a peer, and write the config that the peer would be handed."""
    key = PrivateKey.generate()
    address = network.prefix[(16 << 64) + number]
    peer = Peer(
        *(number, network.org_id, network.id, 1, Label(name), "operator", key.public()),
        *(address, 0, None),
    )
    endpoint = Endpoint.parse(f"{ENDPOINT}:{PORT}")
    tunnel = Tunnel(key, address, network.prefix, GATEWAY_KEY.public(), endpoint, mtu_bytes=1420)
    config = lab.config_path(name)
    config.write_text(render(tunnel, dns=Dns.NONE))
    config.chmod(0o600)
    return Client(lab.client(), peer), config


@pytest.fixture(scope="module")
def scene(lab: Lab) -> Scene:
    gateway = lab.gateway
    gateway.write_config(backend="auto")
    enrolled = [
        enrol(lab, 2, ACME, name="alice"),
        enrol(lab, 3, ACME, name="bob"),
        enrol(lab, 4, GLOBEX, name="carol"),
    ]
    for name in ("gateway", "resolver"):
        folder = gateway.folder / "state" / name
        folder.mkdir(parents=True)
        copy = Copy(folder / "copy.sqlite")
        rows = [Put(Kind.NETWORK, network) for network in (ACME, GLOBEX)]
        rows += [Put(Kind.PEER, client.peer) for client, _ in enrolled]
        copy.write(rows, epoch="e", revision=1)
        copy.close()
    secret = gateway.folder / "state/gateway.key"
    secret.write_text(GATEWAY_KEY.text() + "\n")
    (gateway.folder / "state/gateway/pool").write_text("fdaa::/16\n")
    role, _ = gateway.run_role("gateway"), gateway.run_role("resolver")
    for client, config in enrolled:
        client.host.tunnel_up(config)
    alice, bob, stranger = (client for client, _ in enrolled)
    try:
        eventually(lambda: alice.host.pings(str(ACME.resolver)), within_s=SLOW_S)
    except AssertionError as error:
        raise AssertionError(gateway.log.read_text()[-4000:]) from error
    return Scene(gateway, role, alice, bob, stranger)


def test_auto_is_the_kernels_device_where_the_kernel_has_one(scene: Scene) -> None:
    gateway = scene.gateway

    assert "wireguard" in gateway.host.run("ip", "-d", "link", "show", gateway.interface).stdout
    assert f"listening port: {PORT}" in gateway.device()
    assert "backend=kernel" in re.sub(r"\x1b\[[0-9;]*m", "", gateway.log.read_text())


def test_peers_of_a_network_reach_and_find_each_other(scene: Scene) -> None:
    alice, at = scene.alice.host, str(ACME.resolver)
    address = str(scene.bob.peer.address)

    # The gateway knows where bob is from when he comes.
    eventually(lambda: alice.pings(address), within_s=SLOW_S)
    eventually(lambda: alice.dig("bob._peer.internal", "AAAA", at=at) == address, within_s=SLOW_S)
    assert alice.dig("-x", address, at=at) == "bob._peer.internal."


def test_a_stranger_reaches_and_finds_nobody(scene: Scene) -> None:
    stranger = scene.stranger.host
    stranger.run("ip", "-6", "route", "add", str(ACME.prefix), "dev", stranger.tunnels[0].stem)
    eventually(lambda: stranger.pings(str(GLOBEX.resolver)), within_s=SLOW_S)

    assert stranger.is_cut_off(str(scene.alice.peer.address))
    assert stranger.dig("bob._peer.internal", "AAAA", at=str(GLOBEX.resolver)) == ""


def test_a_gateway_that_is_killed_drops_no_ping(scene: Scene) -> None:
    """The device is the kernel's: it does not need the role."""
    with pinging(scene.alice.host, str(scene.bob.peer.address), interval_s=0.2) as pings:
        scene.role.kill()
        scene.role.wait(HANG_S)
        lost = pings.lost(15)

    assert lost == []


def test_down_takes_the_device_away(scene: Scene) -> None:
    """It ends what the tests before it stand on."""
    host, interface = scene.gateway.host, scene.gateway.interface
    assert interface in host.run("ip", "link").stdout

    scene.gateway.wgctl("down")

    assert interface not in host.run("ip", "link").stdout
    assert interface not in host.run("nft", "list", "tables").stdout
    assert "fdaa" not in host.run("ip", "-6", "route").stdout


def test_on_demand_the_kernels_device_holds_who_has_come(scene: Scene) -> None:
    """After the device that held all is gone: who comes makes a new tunnel."""
    gateway, alice = scene.gateway, scene.alice
    config = alice.host.tunnels[0]
    # Who had a session and hears nothing comes again within seconds, for a minute and a half.
    for client in (alice, scene.bob, scene.stranger):
        client.host.tunnel_down(client.host.tunnels[0])
    gateway.write_config(backend="auto", peers="on-demand")
    gateway.run_role("gateway")
    eventually(lambda: "initiations" in tables(gateway), within_s=SLOW_S)
    assert "peer:" not in gateway.device()

    alice.host.tunnel_up(config)

    eventually(lambda: alice.host.pings(str(ACME.resolver)), within_s=SLOW_S)
    assert str(alice.peer.public_key) in gateway.device()
    assert str(scene.bob.peer.public_key) not in gateway.device()


def tables(gateway: Gateway) -> str:
    return gateway.host.run("nft", "list", "ruleset").stdout
