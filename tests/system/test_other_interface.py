"""Nothing that comes in by another interface than the tunnel is answered, with no firewall at all.

An intruder on a link of the gateway's host sends to a network's `::3`, which Linux takes on every
interface (the weak host model), as itself, as a member, and as an address of the network that the
host routes back to the intruder, so that an answer would arrive and TCP connect. A plain server on
the same host, bound to no device, hears all of that: only the binding is between.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.patience import HANG_S
from tests.system.hosts import Host, Lab, Started, eventually

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]

ROLES = ("controller", "gateway", "resolver", "internal-api")
HERE, THERE = "fd99::1", "fd99::2"
DNS_PORT, API_PORT, PLAIN_PORT = 53, 4280, 5399
UNHEARD = {"TimeoutError", "ConnectionRefusedError"}

PLAIN = f"""
import socket, threading
stream = socket.create_server(("::", {PLAIN_PORT}), family=socket.AF_INET6)
datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
datagrams.bind(("::", {PLAIN_PORT}))
def echo():
    while True:
        octets, control, _, source = datagrams.recvmsg(512, 100)
        datagrams.sendmsg([octets], control, 0, source)
threading.Thread(target=echo, daemon=True).start()
while True:
    with stream.accept()[0] as taken:
        taken.recv(512)  # One that closes on what it has not read resets the connection.
"""

# Prints `reply` when a server sends anything back, or takes the connection and ends it.
KNOCK = """
import socket, sys
kind, source, at, port, message = sys.argv[1:]
kind = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
opened = socket.socket(socket.AF_INET6, kind)
opened.settimeout(3)
opened.bind((source, 0))
try:
    opened.connect((at, int(port)))
    opened.send(bytes.fromhex(message))
    opened.recv(512)
    print("reply")
except OSError as error:
    print(type(error).__name__)
"""

QUERY = "123401000001000000000000" + b"\4_api\x08internal\0\0\x1c\0\1".hex()


@dataclass
class Scene:
    """The hosts; `sources` are the addresses that the intruder sends from."""

    lab: Lab
    alice: Host
    intruder: Host
    resolver: str
    sources: dict[str, str]
    roles: dict[str, Started] = field(default_factory=dict)

    def start(self, *roles: str) -> None:
        for role in roles:
            self.roles[role] = self.lab.gateway.run_role(role)

    def stop(self, *roles: str) -> None:
        for role in roles:
            process = self.roles.pop(role)
            process.terminate()
            process.wait(HANG_S)

    def answers_alice(self) -> bool:
        return bool(self.alice.dig("_api.internal", "AAAA", at=self.resolver))

    def heard(self) -> int:
        """Return how many datagrams from the resolver have reached alice."""
        listed = self.alice.run("nft", "list", "chain", "ip6", "heard", "input").stdout
        return int(listed.split("packets ")[1].split()[0])

    def knock(self, *ports: int) -> dict[tuple[str, str, int], str]:
        """Return what comes of each try, by transport, source and port; all at once."""
        tries = {
            (kind, who, port): subprocess.Popen(
                self.intruder.argv(
                    *(sys.executable, "-c", KNOCK),
                    *(kind, source, self.resolver, str(port), QUERY),
                ),
                stdout=subprocess.PIPE,
                text=True,
            )
            for kind in ("udp", "tcp")
            for who, source in self.sources.items()
            for port in ports
            if (kind, port) != ("udp", API_PORT)
        }
        return {
            what: process.communicate(timeout=HANG_S)[0].strip() for what, process in tries.items()
        }


@pytest.fixture(scope="module")
def scene(lab: Lab) -> Iterator[Scene]:
    gateway = lab.gateway
    gateway.write_config()
    gateway.init()
    alice, intruder, config = lab.client(), lab.client(), lab.config_path("alice")
    made = Scene(lab, alice, intruder, "", {})
    made.start(*ROLES)
    gateway.wait_ready(*ROLES[1:])
    gateway.wgctl("org", "add", "acme")
    tunnel = gateway.add_peer("acme", "alice", config=config)["tunnel"]
    made.resolver = tunnel["resolver"]
    nobody = tunnel["address"].removesuffix("::2") + "::77"
    made.sources = {"itself": THERE, "alice": tunnel["address"], "nobody": nobody}
    _link(lab, made)
    alice.tunnel_up(config)
    _count(alice, config)
    eventually(made.answers_alice, what="the resolver answers alice")
    yield made
    gateway.wgctl("down", check=False)


def _link(lab: Lab, scene: Scene) -> None:
    """Join the intruder and the gateway's host, each with a route to what the other says it is."""
    here, there = f"c{lab.tag}2", f"u{lab.tag}2"
    lab.gateway.host.run("ip", "addr", "add", f"{HERE}/64", "dev", here, "nodad")
    scene.intruder.run("ip", "addr", "add", f"{THERE}/64", "dev", there, "nodad")
    scene.intruder.run("ip", "route", "add", f"{scene.resolver}/128", "via", HERE)
    for who in ("alice", "nobody"):
        scene.intruder.run("ip", "addr", "add", f"{scene.sources[who]}/128", "dev", "lo")
    lab.gateway.host.run("ip", "route", "add", f"{scene.sources['nobody']}/128", "via", THERE)


def _count(alice: Host, config: Path) -> None:
    """Let alice's host count what the resolver sends: a reply to whoever says it is alice."""
    chain = "{ type filter hook input priority 0 ; }"
    rule = f"iifname {config.stem} udp sport {DNS_PORT} counter"
    script = f"add table ip6 heard\nadd chain ip6 heard input {chain}\n"
    alice.run("nft", "-f", "-", stdin=f"{script}add rule ip6 heard input {rule}\n")


def test_the_firewall_lets_nothing_of_it_through(scene: Scene) -> None:
    """The first wall; the others look behind it."""
    found = scene.knock(DNS_PORT, API_PORT)

    assert set(found.values()) <= UNHEARD, found


@pytest.mark.parametrize("bound", ["before the flush", "without a firewall"])
def test_without_a_firewall_neither_role_hears_another_interface(scene: Scene, bound: str) -> None:
    gateway = scene.lab.gateway
    if "gateway" in scene.roles:
        scene.stop("gateway")  # It would mend what follows.
    gateway.host.run("nft", "flush", "ruleset")
    if bound == "without a firewall":
        scene.stop("resolver", "internal-api")
        scene.start("resolver", "internal-api")
    eventually(scene.answers_alice, what="the resolver answers alice")
    before = scene.heard()

    found = scene.knock(DNS_PORT, API_PORT)

    assert set(found.values()) <= UNHEARD, found
    assert scene.heard() == before
    assert scene.answers_alice()
    assert scene.heard() > before
    assert gateway.host.run("nft", "list", "ruleset").stdout == ""


def test_a_server_that_is_bound_to_no_device_hears_all_of_that(scene: Scene) -> None:
    """Else the tests before this one would prove nothing."""
    log = scene.lab.folder / "plain.log"
    scene.lab.gateway.host.start(sys.executable, "-c", PLAIN, log=log)
    replied = {("udp", "itself"), ("udp", "nobody"), ("tcp", "itself"), ("tcp", "nobody")}

    def hears() -> bool:
        found = scene.knock(PLAIN_PORT)
        return {(kind, who) for (kind, who, _), what in found.items() if what == "reply"} == replied

    eventually(hears, what="the plain server replies to all but alice, who is elsewhere")
