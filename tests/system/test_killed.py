"""A gateway that is killed between any two writes: the next pass converges, and touches no more.

A child takes a pass and is killed at its first write, the next one at its second, and so on until
one lives to its end. A set of a userspace device is cut in its middle.
"""

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Network
from pathlib import Path
from types import FrameType

import pytest

from peers.keys import PresharedKey, PrivateKey
from peers.names import Label
from tests.drivers.namespaces import Namespace, namespaced
from wgctl.core.model import Network, Peer
from wgctl.core.plan import desired
from wgctl.core.ports import WireGuard
from wgctl.core.tunnel import Host, Tunnel, route_metric
from wgctl.drivers.netlink.links import Netlink
from wgctl.drivers.netlink.messages import DUMP, Message
from wgctl.drivers.netlink.wireguard import KernelWireGuard
from wgctl.drivers.nft import Nft
from wgctl.drivers.wireguard_go import WireguardGo
from wgctl.services.reconcile import Parts, read, reconcile

pytestmark = [pytest.mark.network, pytest.mark.timeout(400)]

KEYS = [PrivateKey.generate().public() for _ in range(5)]
SECRET = PrivateKey.generate()
PSK = PresharedKey.generate()
LASTING, ENDPOINT = KEYS[0], "[2001:db8::1]:9"
MOST_WRITES = 60
# The family that is asked for the number of another.
CONTROL = 16


def network(id_: int) -> Network:
    return Network(id_, 1, Label(f"n{id_}"), IPv6Network((0xFDAA << 112 | id_ << 80, 48)), 0)


def peer(number: int, *, at: int | None = None) -> Peer:
    address = network(1).prefix[(16 << 64) + 2 + (number if at is None else at)]
    name = Label(f"p{number}")
    return Peer(number, 1, 1, 1, name, "operator", KEYS[number], address, 0, None)


@dataclass
class Scene:
    """A tunnel that is to become another, on a host that has other things too."""

    namespace: Namespace
    parts: Parts
    links: Netlink
    host: Host

    def before(self) -> Tunnel:
        rows = [peer(0), peer(1), peer(2), peer(3)]
        return desired([network(1), network(2)], rows, host=self.host, now=0)

    def after(self) -> Tunnel:
        """One of each step: two peers swap, one goes, one comes, one gets a preshared key."""
        rows = [peer(0), peer(1, at=2), peer(2, at=1), peer(4)]
        networks = [network(1), network(3)]
        return desired(networks, rows, host=self.host, now=0, preshared_keys={1: PSK})

    def run(self, tunnel: Tunnel) -> None:
        self.namespace.run(reconcile, self.parts, tunnel)

    def others(self) -> list[str]:
        """What is not ours, and what of the lasting peer nobody is to touch."""
        shell, name = self.namespace.shell, self.namespace.interface
        endpoints = shell("wg", "show", name, "endpoints").splitlines()
        return [
            shell("nft", "list", "table", "inet", "others"),
            shell("ip", "-6", "route", "show", "dev", "other0"),
            # Without -o it tells the link's state too, which follows its cable a moment later.
            shell("ip", "-o", "-6", "addr", "show", "dev", "other0"),
            next(line for line in endpoints if line.startswith(str(LASTING))),
        ]


@pytest.fixture(params=["userspace", pytest.param("kernel", marks=pytest.mark.kernel)])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    with namespaced() as namespace:
        name, shell = namespace.interface, namespace.shell
        links = Netlink(name, metric=route_metric(name))
        device: WireGuard = WireguardGo(name, log=tmp_path / "log")
        if request.param == "kernel":
            device = KernelWireGuard(name, links)
        host = Host(name, IPv6Network("fdaa::/16"), SECRET, 51820, 1420, frozenset({0}))
        made = Scene(namespace, Parts(links, device, Nft(name)), links, host)
        made.run(made.before())
        shell("wg", "set", name, "peer", str(LASTING), "endpoint", ENDPOINT)
        shell("ip", "link", "add", "other0", "type", "veth")
        shell("ip", "link", "set", "other0", "up")
        shell("ip", "-6", "addr", "add", "fdab::1/64", "dev", "other0", "nodad")
        shell("ip", "-6", "route", "add", "fdaa:0:9::/48", "dev", "other0", "proto", "static")
        shell("nft", "add table inet others; add set inet others ours { type ipv6_addr; }")
        yield made
        namespace.run(links.close)


def writes(frame: FrameType, called: object) -> bool:
    """Whether a call of C is a message that may write, a run of nft, or a set of a device."""
    name, known = getattr(called, "__name__", ""), frame.f_locals
    if name == "sendall":
        return str(known.get("request", "")).startswith("set=1")
    if name == "send" and isinstance(asked := known.get("request"), Message):
        return not asked.flags & DUMP and asked.kind != CONTROL
    return name in {"send", "sendto", "fork_exec"}


def die_at(number: int) -> None:
    """Kill this process instead of its write `number`, the first is 0; in the middle of a set."""
    left = number

    def note(frame: FrameType, event: str, called: object) -> None:
        nonlocal left
        if event != "c_call" or not writes(frame, called):
            return
        if left == 0:
            if getattr(called, "__name__", "") == "sendall":
                known = frame.f_locals
                half = str(known["request"]).encode("ascii")
                known["connection"].send(half[: len(half) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    sys.setprofile(note)


def test_the_next_pass_converges_wherever_the_last_one_was_killed(scene: Scene) -> None:
    others = scene.others()

    def killed_at(number: int) -> bool:
        """Fork in the namespace's thread, take a pass there, and say whether it was killed."""
        # What a fork shares is how the socket waits, and the child's end would be the parent's.
        scene.links.close()
        child = os.fork()
        if child == 0:
            try:
                die_at(number)
                reconcile(scene.parts, scene.after())
            finally:
                os._exit(0)
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])

    for number in range(MOST_WRITES):
        killed = scene.namespace.run(killed_at, number)

        scene.run(scene.after())
        assert scene.namespace.run(read, scene.parts) == scene.after(), f"killed at {number}"
        assert scene.others() == others, f"killed at {number}"
        if not killed:
            break
        scene.run(scene.before())

    assert 6 < number < MOST_WRITES - 1
