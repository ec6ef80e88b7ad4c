"""Peers on demand, with the clients that people have: who comes is let in, who does not is not."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.patience import HANG_S
from tests.system.hosts import ENDPOINT, PORT, Gateway, Host, Lab, eventually, made_lab
from tests.system.knocking import SOURCES
from tests.system.pinging import pinging

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]

FLOOD_PER_S, FLOOD_S = 500, 8


ROLE = ["run", "gateway"]


@dataclass
class Client:
    """A peer on a host of its own, with its config."""

    host: Host
    config: Path
    tunnel: Any
    key: str

    def comes(self) -> None:
        """Bring the tunnel up, and see a packet answered."""
        self.host.tunnel_up(self.config)
        eventually(lambda: self.host.pings(self.tunnel["resolver"]))

    def goes(self) -> None:
        self.host.tunnel_down(self.config)


@dataclass
class Scene:
    """A gateway on demand, and those who were told how to reach it."""

    lab: Lab
    clients: dict[str, Client] = field(default_factory=dict)

    @property
    def gateway(self) -> Gateway:
        return self.lab.gateway

    def enrol(self, name: str) -> Client:
        config = self.lab.config_path(name)
        made = self.gateway.add_peer("acme", name, config=config)
        key = made["peer"]["public_key"]
        self.clients[name] = Client(self.lab.client(), config, made["tunnel"], key)
        return self.clients[name]

    def in_device(self, client: Client) -> bool:
        return client.key in self.gateway.device()

    def counts(self) -> Any:
        roles = self.gateway.json("status")["roles"]
        return next(role["on_demand"] for role in roles if role["role"] == "gateway")

    def gateway_pid(self) -> int:
        """Return the process of the role, 0 while there is none."""
        listed = self.gateway.host.run("ip", "netns", "pids", self.gateway.host.name).stdout
        ours = (int(pid) for pid in listed.split() if arguments(int(pid))[-2:] == ROLE)
        return min(ours, default=0)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """The gateway is found by what it was started with."""
    with made_lab() as made:
        yield made


@pytest.fixture(scope="module")
def scene(lab: Lab) -> Iterator[Scene]:
    gateway = lab.gateway
    gateway.write_config(peers="on-demand")
    gateway.init()
    gateway.serve()
    gateway.wgctl("org", "add", "acme")
    made = Scene(lab)
    for name in ("alice", "bob", "carol", "dave"):
        made.enrol(name)
    gateway.wait_ready("gateway")
    yield made
    gateway.wgctl("down", check=False)


def test_a_peer_is_not_there_before_it_comes(scene: Scene) -> None:
    assert "peer:" not in scene.gateway.device()
    assert scene.counts()["in_use"] == 0


def test_its_first_packet_lets_it_in_and_is_answered(scene: Scene) -> None:
    alice = scene.clients["alice"]

    alice.comes()

    assert scene.in_device(alice)
    assert "persistent keepalive" not in scene.gateway.device()
    assert eventually(lambda: scene.counts()["admitted"] == 1)


def test_peers_that_came_reach_each_other(scene: Scene) -> None:
    alice, bob = scene.clients["alice"], scene.clients["bob"]

    bob.comes()

    assert alice.host.pings(bob.tunnel["address"])
    assert not scene.in_device(scene.clients["carol"])


def test_list_says_of_a_peer_what_it_would_of_any(scene: Scene) -> None:
    def alice() -> Any:
        listed = scene.gateway.json("peer", "list", "--org", "acme")
        (found,) = (peer for peer in listed if peer["name"] == "alice")
        return found if found["online"] else None

    found = eventually(alice)

    assert found["received_bytes"] > 0
    assert found["endpoint"].startswith("198.18.1.2:")


def test_a_restart_of_the_role_ends_no_session(scene: Scene) -> None:
    alice = scene.clients["alice"].host
    with pinging(alice, scene.clients["bob"].tunnel["address"], interval_s=0.2) as pings:
        before = scene.gateway_pid()
        scene.gateway.host.run("kill", "-9", str(before))
        eventually(lambda: scene.gateway_pid() not in {0, before})
        lost = pings.lost(25)

    assert lost == []
    eventually(lambda: scene.counts()["in_use"] == 2)
    assert scene.in_device(scene.clients["alice"])


def test_a_peer_that_is_removed_leaves_at_once_and_is_not_let_in_again(scene: Scene) -> None:
    bob = scene.clients["bob"]

    scene.gateway.wgctl("peer", "remove", "bob", "--org", "acme", "--yes")
    eventually(lambda: not scene.in_device(bob))
    bob.goes()
    bob.host.tunnel_up(bob.config)

    assert bob.host.is_cut_off(bob.tunnel["resolver"])
    assert not scene.in_device(bob)
    assert eventually(lambda: scene.counts()["unknown"] >= 1)


def test_a_peer_that_carries_a_machine_is_there_before_it_comes(scene: Scene) -> None:
    scene.gateway.wgctl("app", "add", "web", "--org", "acme")
    scene.gateway.wgctl("machine", "add", "web", "--peer", "dave", "--org", "acme")

    eventually(lambda: scene.in_device(scene.clients["dave"]))


def test_a_flood_of_strangers_costs_no_pings_and_no_peer_its_entrance(scene: Scene) -> None:
    """Each from a source of its own, so that no allowance of a source ends it."""
    alice, carol = scene.clients["alice"], scene.clients["carol"]
    sender = scene.lab.client()
    sender.run("ip", "route", "add", "local", SOURCES, "dev", "lo")
    scene.gateway.host.run("ip", "route", "add", SOURCES, "via", "198.18.5.2")
    pid = scene.gateway_pid()
    key = re.search(r"public key: (\S+)", scene.gateway.device())
    assert key is not None
    flood = sender.argv(
        *(sys.executable, "-m", "tests.system.knocking", key[1]),
        *(ENDPOINT, str(PORT), str(FLOOD_PER_S), str(FLOOD_S)),
    )
    held = resident_kb(pid)

    with (
        subprocess.Popen(flood, stdout=subprocess.PIPE, text=True) as flooding,
        pinging(alice.host, alice.tunnel["resolver"], interval_s=0.02) as pings,
    ):
        eventually(lambda: scene.counts()["unknown"] > FLOOD_PER_S, every_s=0.2)
        carol.comes()
        lost = pings.lost(400)
        flooding.communicate(timeout=HANG_S)

    assert scene.in_device(carol)
    assert len(lost) < 4
    assert resident_kb(pid) - held < 20_000


def arguments(pid: int) -> list[str]:
    """Return what a process was started with, nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def resident_kb(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])
