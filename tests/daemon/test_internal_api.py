import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

import pytest

from peers.names import Label
from tests.daemon.running import folder_of_a_socket, host, running, stop, until
from tests.drivers.namespaces import Namespace, namespaced
from tests.store.samples import NOW, key
from wgctl.client.api import Client
from wgctl.core.errors import Unavailable
from wgctl.core.feed import Kind, Put
from wgctl.core.model import Network, Org, Peer, Role
from wgctl.core.settings import Settings
from wgctl.store.copy import Copy

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces"),
]

_NETWORK = Network(1, 1, Label("default"), IPv6Network("fdaa:0:1::/48"), NOW)
_PEER = IPv6Address("fdaa:0:1:10::2")
_STRANGER = IPv6Address("fdaa:0:1:10::9")
_ROWS = [
    Put(Kind.ORG, Org(1, Label("acme"), NOW)),
    Put(Kind.NETWORK, _NETWORK),
    Put(
        Kind.PEER,
        Peer(1, 1, 1, 1, Label("laptop"), "operator", key(1), _PEER, NOW, None),
    ),
]


@dataclass(frozen=True)
class _Scene:
    """A host with a device where a tunnel would be, and a peer at its other end."""

    host: Namespace
    peer: Namespace

    def connect(self) -> None:
        """Make the device, with the network's `::3`, and the peer's addresses behind it."""
        name = self.host.interface
        self.host.shell(
            *("ip", "link", "add", name, "type", "veth"),
            *("peer", "name", self.peer.interface, "netns", self.peer.name),
        )
        for place, device, addresses in (
            (self.host, name, [_NETWORK.resolver]),
            (self.peer, self.peer.interface, [_PEER, _STRANGER]),
        ):
            place.shell("ip", "link", "set", device, "up")
            for address in addresses:
                place.shell("ip", "address", "add", f"{address}/48", "dev", device, "nodad")

    def ask(self, source: IPv6Address, *headers: str) -> tuple[int, str]:
        """Ask who one is from `source`; return curl's status, and the answer with its code."""
        done = subprocess.run(
            [
                *("ip", "netns", "exec", self.peer.name, "curl", "-gs", "--max-time", "5"),
                *("--interface", str(source), "-w", " %{http_code}"),
                *(part for header in headers for part in ("-H", header)),
                f"http://[{_NETWORK.resolver}]:4280/v1/self",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout


_HOLDS_THE_PORT = """
import signal, socket
with socket.create_server(("::", 4280), family=socket.AF_INET6):
    print("held", flush=True)
    signal.pause()
"""

_RIGHT = ("Host: _api.internal", "Wgctl-Request: 1")


@pytest.fixture(scope="module")
def scene() -> Iterator[_Scene]:
    """The role runs from its own copy alone: there is no controller."""
    with (
        folder_of_a_socket() as folder,
        namespaced() as host_space,
        namespaced() as peer_space,
    ):
        made = _Scene(host_space, peer_space)
        made.connect()
        settings = host(folder, interface=host_space.interface)
        copy = Copy(settings.role_dir(Role.INTERNAL_API) / "copy.sqlite")
        copy.write(_ROWS, epoch="e", revision=1)
        copy.close()
        prefix = ("ip", "netns", "exec", host_space.name)
        with running(Role.INTERNAL_API, settings, prefix=prefix) as process:
            until(lambda: made.ask(_PEER, *_RIGHT)[0] == 0)
            yield made
            status, said = stop(process)

    assert status == 0, said
    assert "Traceback" not in said


def test_a_peer_is_told_who_it_is_with_no_controller(scene: _Scene) -> None:
    _, said = scene.ask(_PEER, *_RIGHT)
    body, _, code = said.rpartition(" ")

    assert code == "200"
    assert json.loads(body) == {
        "org": "acme",
        "network": "default",
        "peer": "laptop",
        "address": str(_PEER),
    }


@pytest.mark.parametrize(
    ("source", "headers"),
    [
        (_STRANGER, _RIGHT),
        (_PEER, ("Wgctl-Request: 1",)),
        (_PEER, ("Host: _api.internal",)),
        (_PEER, ("Host: evil.example", "Wgctl-Request: 1")),
        (_STRANGER, (*_RIGHT, f"X-Forwarded-For: {_PEER}")),
    ],
)
def test_other_requests_are_denied(
    scene: _Scene, source: IPv6Address, headers: tuple[str, ...]
) -> None:
    """Also one that says it was forwarded: the source address is the only proof."""
    _, said = scene.ask(source, *headers)

    assert said.endswith(" 403")
    assert "laptop" not in said


def test_the_hosts_own_programs_are_nobody(scene: _Scene) -> None:
    """Linux gives a socket that is bound to a device what the host sends to its addresses."""
    asked = scene.host.shell(
        *("curl", "-gs", "--max-time", "5", "-w", " %{http_code}"),
        *("-H", _RIGHT[0], "-H", _RIGHT[1]),
        f"http://[{_NETWORK.resolver}]:4280/v1/self",
    )

    assert asked.endswith(" 403")


def test_a_taken_port_is_told_once_and_taken_when_it_is_free() -> None:
    """In the log, and to the controller."""
    with folder_of_a_socket() as folder, namespaced() as space:
        space.shell("ip", "link", "add", space.interface, "type", "veth", "peer", "name", "other")
        space.shell("ip", "link", "set", space.interface, "up")
        prefix = ("ip", "netns", "exec", space.name)
        settings = host(folder, interface=space.interface)
        with (
            subprocess.Popen(
                [*prefix, sys.executable, "-c", _HOLDS_THE_PORT], stdout=subprocess.PIPE
            ) as holder,
            running(Role.CONTROLLER, settings),
        ):
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            with running(Role.INTERNAL_API, settings, prefix=prefix) as process:
                until(lambda: "Address already in use" in (_problem(settings) or ""))
                holder.kill()
                until(lambda: _problem(settings) is None)
                _, said = stop(process)

    assert said.count("not listening") == 1
    assert "Address already in use" in said


def test_it_serves_again_on_a_device_that_came_back(scene: _Scene) -> None:
    scene.host.shell("ip", "link", "delete", scene.host.interface)
    scene.connect()
    until(lambda: scene.ask(_PEER, *_RIGHT)[0] == 0)

    assert scene.ask(_PEER, *_RIGHT)[1].endswith(" 200")


def _problem(settings: Settings) -> str | None:
    """Return what the role reports to keep it from its work; `waiting` before its first report."""
    try:
        roles = Client(settings.api_socket).status().roles
    except Unavailable:
        return "waiting"
    return next((role.problem for role in roles if role.role is Role.INTERNAL_API), "waiting")
