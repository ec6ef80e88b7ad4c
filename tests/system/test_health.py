"""A machine that fails leaves the answers, and returns when it recovers: dig over a real tunnel.

The app has a machine on the server, which is probed, and one on alice, which is not.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from tests.patience import HANG_S
from tests.system.hosts import Host, Lab, Started, eventually
from wgctl.client.api import Client
from wgctl.core.check import Target
from wgctl.core.health_shape import Check
from wgctl.core.model import MachineState
from wgctl.core.schema import NewApp, NewMachine, NewOrg

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]

ROLES = ("controller", "gateway", "resolver")

SERVER = """
import http.server, socket, sys
class Server(http.server.HTTPServer):
    address_family = socket.AF_INET6
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = (self.path, self.headers["host"]) == ("/health", "web.internal:8080")
        own = self.client_address[0] == sys.argv[2]
        self.send_response(204 if known and own else 404)
        self.end_headers()
Server((sys.argv[1], 8080), Health).serve_forever()
"""


@dataclass
class Scene:
    """The hosts, and what runs on them."""

    lab: Lab
    alice: Host
    server: Host
    addresses: dict[str, str]
    roles: dict[str, Started]
    client: Client

    def serve(self) -> Started:
        """Start the server's program, which answers its network's own address alone."""
        words = (self.addresses["server"], self.addresses["resolver"])
        return self.server.start(
            sys.executable, "-c", SERVER, *words, log=self.lab.folder / "server.log"
        )

    def answered(self, name: str = "web.internal") -> set[str]:
        printed = self.alice.dig(name, "AAAA", at=self.addresses["resolver"]).split()
        return {peer for peer, address in self.addresses.items() if address in printed}

    def stop(self, role: str) -> None:
        process = self.roles.pop(role)
        process.terminate()
        process.wait(HANG_S)

    def start(self, role: str) -> None:
        self.roles[role] = self.lab.gateway.run_role(role)

    def health(self) -> str | None:
        return self.client.machine("acme", "default", "web-1").health

    def moves(self) -> list[tuple[str, str]]:
        events = self.client.machine("acme", "default", "web-1").events
        return [(one.after, one.reason) for one in events]


@pytest.fixture(scope="module")
def scene(lab: Lab) -> Iterator[Scene]:
    gateway = lab.gateway
    gateway.write_config()
    gateway.init()
    roles = {role: gateway.run_role(role) for role in ROLES}
    gateway.wait_ready(*ROLES[1:])
    client = Client(gateway.folder / "run" / "api.sock")
    client.add_org(NewOrg(slug="acme"))
    client.add_app("acme", NewApp(name="web"))
    hosts: list[Host] = []
    addresses: dict[str, str] = {}
    for number, peer in enumerate(("server", "alice"), start=1):
        host, config = lab.client(), lab.config_path(peer)
        added = gateway.add_peer("acme", peer, config=config, more=["--dns", "none"])
        addresses |= {peer: added["tunnel"]["address"], "resolver": added["tunnel"]["resolver"]}
        client.add_machine("acme", NewMachine(name=f"web-{number}", app="web", peer=peer))
        host.tunnel_up(config)
        hosts.append(host)
    made = Scene(lab, hosts[1], hosts[0], addresses, roles, client)
    eventually(lambda: made.answered() == {"server", "alice"}, what="the first answer")
    yield made
    gateway.wgctl("down", check=False)


def test_a_machine_leaves_and_returns_with_the_controller_and_without(scene: Scene) -> None:
    gateway, server = scene.lab.gateway, scene.serve()
    # Twice in a row later than that, and a server that lives would fail too.
    times = ("--interval", "3s", "--timeout", "3s", "--grace", "0s", "--rise", "1", "--fall", "2")
    url = "http://web.internal:8080/health"
    gateway.wgctl("machine", "check", "web-1", "--http", url, *times, "--org", "acme")
    eventually(lambda: scene.health() == "healthy", what="the first pass is shown")
    assert scene.answered() == {"server", "alice"}

    server.terminate()
    server.wait(HANG_S)
    eventually(lambda: scene.answered() == {"alice"}, what="a failing machine leaves")
    assert scene.answered("web-1.vm.web.internal") == {"server"}
    eventually(lambda: scene.health() == "unhealthy", what="the failure is shown")
    listed = gateway.wgctl("machine", "list", "--org", "acme").stdout.splitlines()
    assert ["unhealthy" in line.split() for line in listed] == [False, True, False]

    scene.stop("controller")
    scene.stop("resolver")
    scene.start("resolver")
    eventually(scene.answered, what="an answer after a restart")
    assert scene.answered() == {"alice"}
    scene.serve()
    eventually(lambda: scene.answered() == {"server", "alice"}, what="a machine returns")

    scene.start("controller")
    gateway.wait_ready("resolver")
    told = [
        ("healthy", "http 8080: 204"),
        ("unhealthy", "http 8080: connection refused"),
        ("healthy", "http 8080: 204"),
    ]
    eventually(lambda: scene.moves()[-3:] == told, what="all of it is told afterwards")
    shown = gateway.wgctl("machine", "show", "web-1", "--org", "acme").stdout
    assert "unhealthy  http 8080: connection refused" in shown


def test_another_check_applies_at_once_and_none_leaves_nobody_out(scene: Scene) -> None:
    """Port 9 is served by nobody: the machine leaves by the second failure, in two seconds."""
    check = Check(target=Target(9), interval_s=1, timeout_s=1, grace_s=0, fall=2)
    scene.client.set_machine_check("acme", "default", "web-1", check)
    eventually(lambda: scene.answered() == {"alice"}, what="the new check fails")
    state = partial(scene.client.set_machine_state, "acme", "default", "web-2")
    state(state=MachineState.STOPPED)
    eventually(lambda: scene.answered() == {"server"}, what="all fail: all are given")

    state(state=MachineState.STARTED)
    scene.client.set_machine_check("acme", "default", "web-1", None)
    eventually(lambda: scene.answered() == {"server", "alice"}, what="nobody is left out")
    assert scene.health() is None
