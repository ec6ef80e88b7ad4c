"""Peers on demand: what an initiation costs, a start with a million peers, and a first packet.

A gateway role runs from a copy that knows a million peers of 10,000 networks, with no controller;
one real client becomes one peer after another that was never seen. Gateway, client and flood share
this host. QUICK=1 takes a fiftieth of the peers, and a fifth of the clients.
"""

import math
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import blake2s
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pyroute2 import netns

from peers.keys import PrivateKey, PublicKey
from peers.names import Label
from peers.noise import TIMESTAMP_BYTES, Reader
from tests.bench.table import Row, show
from tests.peers.initiating import initiation
from tests.system.hosts import ENDPOINT, PORT, WGCTL, Gateway, Host, Lab, eventually
from tests.system.knocking import SOURCES
from wgctl.core.feed import Kind, Put
from wgctl.core.model import Network, Peer
from wgctl.store.copy import Copy

QUICK = bool(os.environ.get("QUICK"))
PEERS = 20_000 if QUICK else 1_000_000
NETWORKS = 200 if QUICK else 10_000
SAMPLES = 40 if QUICK else 200
FLOODED = 10
FLOOD_PER_S = 1_000
INITIATIONS = 500 if QUICK else 3_000
ROUNDS = 7
START_S, START_MB = 3.0, 300
MEDIAN_MS, WORST_MS, FLOODED_MS = 50, 250, 1_000

GATEWAY_KEY = PrivateKey.generate()
_ECHO, _REPLY = 128, 129  # ICMPv6's types.
_LOCAL = ("table", "local", "type", "local")


def main() -> None:
    """Print the table."""
    show(rows())


def rows() -> Iterator[Row]:
    """Yield every figure."""
    yield from _examined()
    yield from _let_in()


def _examined() -> Iterator[Row]:
    """Yield what one core does, over bytes, beside the cryptography alone."""
    messages = [_any_initiation() for _ in range(INITIATIONS)]
    bad, key = messages[0][:116] + bytes(32), secrets.token_bytes(32)
    private, public = X25519PrivateKey.generate(), X25519PrivateKey.generate().public_key()
    known = Reader(GATEWAY_KEY)

    def read(reader: Reader) -> None:
        for message in messages:
            assert reader.is_ours(message)
            reader.timestamp(reader.initiator(message))

    def exchange(times: int) -> None:
        for _ in range(times * INITIATIONS):
            private.exchange(public)

    def refuse() -> None:
        for _ in messages:
            known.is_ours(bad)

    def digest() -> None:
        for _ in messages:
            blake2s(bad[:116], key=key, digest_size=16).digest()

    read(known)
    for which, goal, work, floor, beside in (
        ("valid", 10_000, lambda: read(Reader(GATEWAY_KEY)), lambda: exchange(2), "two X25519"),
        ("of known peers", 10_000, lambda: read(known), lambda: exchange(1), "one X25519"),
        ("bad mac1", 300_000, refuse, digest, "one keyed BLAKE2s"),
    ):
        ours, others = _rates(work, floor)
        figure, peer = f"initiations read a second, {which}", f"{others:,.0f} ({beside})"
        yield Row(figure, f"{ours:,.0f}", peer, f"{ours / others:.2f} x", f"{goal:,}", ours >= goal)


def _any_initiation() -> bytes:
    """Return an initiation of a peer that sent no other."""
    return initiation(
        PrivateKey.generate(),
        GATEWAY_KEY.public(),
        ephemeral=PrivateKey.generate(),
        timestamp=bytes(TIMESTAMP_BYTES),
    )


def _rates(work: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Return the initiations a second of processor time, of each: the best of rounds in turn."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for into, one in zip(taken, (work, other), strict=True):
            began = time.process_time()
            one()
            into.append(time.process_time() - began)
    return INITIATIONS / min(taken[0]), INITIATIONS / min(taken[1])


@dataclass(frozen=True, slots=True)
class Member:
    """A peer whose private key is here, so that it can come."""

    key: PrivateKey
    network: Network
    address: IPv6Address


def _let_in() -> Iterator[Row]:
    """Yield how a role starts that knows a million peers, and how long one waits at its door."""
    lab = Lab(Path(tempfile.mkdtemp(prefix="wgctl-bench-")))
    try:
        members = _register(lab.gateway)
        for what in ("first start", "start again"):
            with _role(lab.gateway) as started:
                yield _start_row(what, started)
        with _role(lab.gateway), _client(lab.client()) as client:
            waited = [client.comes(member) for member in members[:SAMPLES]]
            yield _waited_row("first packet to working tunnel, median", waited, MEDIAN_MS, 0.5)
            yield _waited_row("first packet to working tunnel, p99", waited, WORST_MS, 0.99)
            with _flood(lab):
                waited = [client.comes(member) for member in members[SAMPLES:]]
            figure = f"the same in a flood of {FLOOD_PER_S} a second, worst"
            yield _waited_row(figure, waited, FLOODED_MS, 1.0)
    finally:
        lab.close()


def _register(gateway: Gateway) -> list[Member]:
    """Write what `wgctl init` and a feed of a million peers would leave; some have a key here."""
    gateway.write_config(peers="on-demand")
    folder = gateway.folder / "state" / "gateway"
    folder.mkdir(parents=True)
    (gateway.folder / "state" / "gateway.key").write_text(GATEWAY_KEY.text() + "\n")
    (folder / "pool").write_text("fdaa::/16\n")
    networks = [
        Network(n, n, Label("default"), IPv6Network((0xFDAA << 112 | n << 80, 48)), 0)
        for n in range(1, NETWORKS + 1)
    ]
    members: list[Member] = []
    step = PEERS // (SAMPLES + FLOODED)
    with closing(Copy(folder / "copy.sqlite")) as copy, copy.replacing() as replacement:
        for network in networks:
            replacement.add(Put(Kind.NETWORK, network))
        for id_ in range(1, PEERS + 1):
            network = networks[id_ % NETWORKS]
            address = network.prefix[(16 << 64) + 1 + id_ // NETWORKS]
            public = _any_public_key()
            if id_ % step == 0:
                member = Member(PrivateKey.generate(), network, address)
                members.append(member)
                public = member.key.public()
            name = Label(f"p{id_}")
            peer = Peer(id_, network.id, network.id, 1, name, "operator", public, address, 0, None)
            replacement.add(Put(Kind.PEER, peer))
        replacement.commit(epoch="e", revision=1)
    return members


def _any_public_key() -> PublicKey:
    """Return a key that nobody has: making pairs for all takes minutes."""
    return PublicKey(secrets.token_bytes(31) + b"\x40")


@dataclass(frozen=True, slots=True)
class Started:
    """A role that serves, how long it took to, and the most memory that it had."""

    pid: int
    seconds: float
    megabytes: float


@contextmanager
def _role(gateway: Gateway) -> Iterator[Started]:
    """Run the gateway role for the time of a block, from when it tells systemd that it serves."""
    path = gateway.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        path.unlink(missing_ok=True)
        told.bind(str(path))
        told.settimeout(120)
        command = gateway.host.argv(WGCTL, "--config", str(gateway.config), "run", "gateway")
        began = time.monotonic()
        with gateway.log.open("ab") as log:
            role = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "NOTIFY_SOCKET": str(path)}
            )
        try:
            while b"READY=1" not in told.recv(1000).split(b"\n"):
                pass
            seconds = time.monotonic() - began
            status = Path(f"/proc/{role.pid}/status").read_text()
            found = re.search(r"VmHWM:\s+(\d+) kB", status)
            assert found is not None
            yield Started(role.pid, seconds, int(found[1]) / 1024)
        finally:
            role.send_signal(signal.SIGTERM)
            role.wait(30)


def _start_row(what: str, started: Started) -> Row:
    return Row(
        f"{what} to serving, {PEERS:,} registered",
        f"{started.seconds:.1f} s",
        f"{started.megabytes:.0f} MB",
        "",
        f"{START_S:.0f} s, {START_MB} MB",
        started.seconds <= START_S and started.megabytes <= START_MB,
    )


@dataclass(frozen=True, slots=True)
class Client:
    """A host with one WireGuard device, which is one peer after another."""

    host: Host
    interface: str
    thread: ThreadPoolExecutor
    folder: Path

    def comes(self, member: Member) -> float:
        """Become a peer, and return the seconds from its first packet to the answer."""
        return self.thread.submit(self._comes, member).result(60)

    def _comes(self, member: Member) -> float:
        gateway, secret = GATEWAY_KEY.public().text(), self.folder / "secret"
        secret.write_text(member.key.text())
        self._run("wg", "set", self.interface, "peer", gateway, "remove")
        self._run("ip", "-6", "addr", "flush", "dev", self.interface, "scope", "global")
        self._run("ip", "-6", "addr", "add", f"{member.address}/128", "dev", self.interface)
        # The kernel takes what is for an address a moment after it has it.
        eventually(lambda: str(member.address) in self._run("ip", "-6", "route", "show", *_LOCAL))
        self._run("ip", "-6", "route", "replace", str(member.network.prefix), "dev", self.interface)
        self._run(
            *("wg", "set", self.interface, "private-key", str(secret), "peer", gateway),
            *("endpoint", f"{ENDPOINT}:{PORT}", "allowed-ips", str(member.network.prefix)),
        )
        return _echo(member.address, member.network.resolver)

    def _run(self, *command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextmanager
def _client(host: Host) -> Iterator[Client]:
    interface = f"d{host.name[6:12]}"
    folder = Path(tempfile.mkdtemp(prefix="wgctl-bench-"))
    host.start("wireguard-go", "-f", interface, log=folder / "log")
    eventually(lambda: interface in host.run("ip", "link").stdout)
    host.run("ip", "link", "set", interface, "up")
    with ThreadPoolExecutor(1, initializer=netns.setns, initargs=(host.name,)) as thread:
        yield Client(host, interface, thread, folder)
    for name in ("log", "secret"):
        (folder / name).unlink(missing_ok=True)
    folder.rmdir()


def _echo(source: IPv6Address, target: IPv6Address) -> float:
    """Send one echo request, and return the seconds until its reply."""
    token = secrets.token_bytes(4)
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as opened:
        opened.settimeout(30)
        opened.bind((str(source), 0))
        began = time.perf_counter()
        opened.sendto(bytes((_ECHO, 0, 0, 0)) + token, (str(target), 0))
        while (reply := opened.recv(1000))[0] != _REPLY or reply[4:8] != token:
            pass
        return time.perf_counter() - began


@contextmanager
def _flood(lab: Lab) -> Iterator[None]:
    """Let strangers knock for the time of a block, each at a source of its own."""
    sender = lab.client()
    sender.run("ip", "route", "add", "local", SOURCES, "dev", "lo")
    back = f"198.18.{len(lab.clients)}.2"
    lab.gateway.host.run("ip", "route", "add", SOURCES, "via", back)
    flood = [sys.executable, "-m", "tests.system.knocking", GATEWAY_KEY.public().text()]
    flooding = subprocess.Popen(
        sender.argv(*flood, ENDPOINT, str(PORT), str(FLOOD_PER_S), "60"), stdout=subprocess.DEVNULL
    )
    time.sleep(3)  # It makes its messages first.
    try:
        yield
    finally:
        flooding.terminate()
        flooding.wait(10)


def _waited_row(figure: str, waited_s: Sequence[float], goal_ms: int, share: float) -> Row:
    taken = sorted(waited_s)
    found = taken[math.ceil(len(taken) * share) - 1] * 1000
    beside = f"{taken[0] * 1000:.0f} to {taken[-1] * 1000:.0f} ms, {len(taken)} peers"
    return Row(figure, f"{found:.0f} ms", beside, "", f"{goal_ms} ms", found <= goal_ms)


if __name__ == "__main__":
    main()
