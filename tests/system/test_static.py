"""Fail static: names and tunnels need the feed to change, and nothing to go on."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.patience import HANG_S
from tests.system.hosts import WGCTL, Host, Lab, Started, eventually

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]

TTL_S = 20
LIVES = "import signal; signal.pause()"
ENDS_WITH_3 = (
    "import signal, socket, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(3));"
    "served = socket.create_server(('::', 8080), family=socket.AF_INET6); signal.pause()"
)

ROLES = ("controller", "gateway", "resolver", "internal-api")


@dataclass
class Scene:
    """One org with an app on one peer, and another peer that asks for it."""

    lab: Lab
    host: Host
    server_host: Host
    server: Any
    tunnel: Any
    roles: dict[str, Started]

    def resolves(self, name: str = "web.internal") -> str:
        return self.host.dig(name, "AAAA", at=self.tunnel["resolver"])

    def stop(self, *roles: str) -> None:
        for role in roles:
            self.roles[role].terminate()
        for role in roles:
            self.roles.pop(role).wait(HANG_S)

    def start(self, *roles: str) -> None:
        for role in roles:
            self.roles[role] = self.lab.gateway.run_role(role)

    def announce(self, *options: str, script: str) -> subprocess.Popen[bytes]:
        """Announce a Python program as the app `shop`, from a host that has no config of wgctl."""
        command = (WGCTL, "machine", "announce", "shop", "--ttl", f"{TTL_S}s", *options)
        program = (sys.executable, "-c", self.tagged(script))
        log = self.lab.folder / "announce.log"
        return self.server_host.start(*command, "--", *program, log=log)

    def tagged(self, script: str) -> str:
        """Return `script` so that no other run's process has the same arguments."""
        return f"{script}  # {self.lab.tag}"

    def works(self) -> bool:
        return self.resolves() == self.server["address"] and self.host.pings(self.server["address"])


@pytest.fixture(scope="module")
def scene(lab: Lab) -> Iterator[Scene]:
    gateway = lab.gateway
    gateway.write_config()
    gateway.init()
    roles = {role: gateway.run_role(role) for role in ROLES}
    gateway.wait_ready(*ROLES[1:])
    gateway.wgctl("org", "add", "acme")
    alice, server = lab.client(), lab.client()
    configs = [lab.config_path("alice"), lab.config_path("server")]
    tunnel, behind = (
        gateway.add_peer("acme", name, config=config, more=["--dns", "none"])["tunnel"]
        for name, config in zip(("alice", "server"), configs, strict=True)
    )
    alice.tunnel_up(configs[0])
    server.tunnel_up(configs[1])
    gateway.wgctl("app", "add", "web", "--org", "acme")
    gateway.wgctl("machine", "add", "web", "--peer", "server", "--org", "acme")
    made = Scene(lab, alice, server, behind, tunnel, roles)
    eventually(made.works, what="the first answer")
    yield made
    gateway.wgctl("down", check=False)


def test_names_and_tunnels_work_without_the_controller(scene: Scene) -> None:
    """A clean stop of everything, then resolver and gateway alone."""
    scene.stop(*ROLES)
    assert scene.resolves() == ""
    scene.start("resolver", "gateway")

    eventually(scene.works, what="names and tunnels without the controller")

    assert scene.lab.gateway.wgctl("status", check=False).returncode == 7
    scene.start("controller", "internal-api")
    scene.lab.gateway.wait_ready(*ROLES[1:])


def test_a_tunnel_outlives_the_gateway_role(scene: Scene) -> None:
    os.kill(role_pid(scene, "gateway"), signal.SIGKILL)
    scene.roles.pop("gateway").wait(HANG_S)

    assert scene.host.pings(scene.server["address"])

    scene.start("gateway")
    scene.lab.gateway.wait_ready("gateway")
    assert scene.works()


def test_a_userspace_device_that_dies_comes_back_programmed(scene: Scene) -> None:
    gateway = scene.lab.gateway
    device = f"wireguard-go -f {gateway.interface}"
    before = pids_of(gateway.host, device)
    assert len(before) == 1

    os.kill(before[0], signal.SIGKILL)

    after = eventually(
        lambda: [pid for pid in pids_of(gateway.host, device) if pid not in before],
        what="another wireguard-go",
    )
    assert len(after) == 1
    eventually(scene.works, what="names and tunnels on the new device")


def test_a_removed_peer_is_gone_and_stays_gone(scene: Scene) -> None:
    """In the device and in DNS, after a restart of every role in any order, without controller."""
    gateway = scene.lab.gateway
    added = gateway.add_peer("acme", "guest", config=scene.lab.config_path("guest"))
    key = added["peer"]["public_key"]
    name = "guest._peer.internal"
    eventually(lambda: key in gateway.device(), what="the peer is in the device")
    eventually(lambda: scene.resolves(name), what="the peer is in DNS")

    gateway.wgctl("peer", "remove", "guest", "--org", "acme", "--yes")

    eventually(lambda: key not in gateway.device(), what="gone from the device")
    eventually(lambda: not scene.resolves(name), what="gone from DNS")
    scene.stop(*ROLES)
    for order in itertools.permutations(("gateway", "resolver", "internal-api")):
        scene.start(*order)
        eventually(scene.works, what=f"works after {order}")
        assert key not in gateway.device()
        assert scene.resolves(name) == ""
        scene.stop(*order)
    scene.start(*ROLES)
    gateway.wait_ready(*ROLES[1:])


def test_an_expired_peer_leaves_by_itself_without_the_controller(scene: Scene) -> None:
    gateway = scene.lab.gateway
    config = scene.lab.config_path("brief")
    added = gateway.add_peer("acme", "brief", config=config, more=["--expires", "30s"])
    key = added["peer"]["public_key"]
    eventually(lambda: key in gateway.device(), what="the peer is in the device")
    scene.stop("controller")

    eventually(lambda: key not in gateway.device(), what="gone from the device")
    eventually(lambda: not scene.resolves("brief._peer.internal"), what="gone from DNS")

    scene.start("controller")
    gateway.wait_ready(*ROLES[1:])


def test_a_program_has_a_name_while_it_runs_and_its_status_is_ours(scene: Scene) -> None:
    gateway = scene.lab.gateway
    gateway.wgctl("app", "add", "shop", "--org", "acme")
    options = ("--name", "shop-1", "--check-tcp", "8080", "--ttl", "5m")
    process = scene.announce(*options, script=ENDS_WITH_3)
    eventually(lambda: scene.resolves("shop.internal") == scene.server["address"], what="is there")
    show = ("machine", "show", "shop-1", "--org", "acme")
    eventually(
        lambda: gateway.json(*show)["lease"]["healthy"],
        what="the controller hears that it is healthy",
        every_s=0.5,
    )

    process.terminate()
    assert process.wait(HANG_S) == 3
    # Withdrawn: its lease would last for longer.
    eventually(lambda: not scene.resolves("shop.internal"), what="gone")


def test_a_lease_goes_on_and_ends_without_the_controller(scene: Scene) -> None:
    """The killed announcer's program ends too, and a controller that is back hears of it all."""
    gateway = scene.lab.gateway
    process = scene.announce("--name", "shop-2", script=LIVES)
    eventually(lambda: scene.resolves("shop.internal") == scene.server["address"], what="is there")
    scene.stop("controller")
    until = time.monotonic() + TTL_S + 1
    while time.monotonic() < until:
        assert scene.resolves("shop.internal") == scene.server["address"]
        time.sleep(1)

    process.kill()
    process.wait(HANG_S)
    program = f"{sys.executable} -c {scene.tagged(LIVES)}"
    eventually(lambda: not pids_of(scene.server_host, program), what="the program has ended")
    eventually(lambda: not scene.resolves("shop.internal"), what="gone", every_s=0.5)

    scene.start("controller")
    gateway.wait_ready(*ROLES[1:])
    eventually(
        lambda: not gateway.json("machine", "list", "shop", "--org", "acme"),
        what="the controller has removed the machine",
        every_s=0.5,
    )


def role_pid(scene: Scene, role: str) -> int:
    """Return the process of the role itself: `ip netns exec` becomes what it runs."""
    return scene.roles[role].pid


def pids_of(host: Host, command: str) -> list[int]:
    listed = host.run("ps", "-eo", "pid=,args=").stdout.splitlines()
    return [int(line.split()[0]) for line in listed if line.split(None, 1)[1] == command]
