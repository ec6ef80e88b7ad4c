"""Enrols peers as users do: an unanswered request is made again, until it is acknowledged.

Keeps what was acknowledged; whether it is kept is `tests.system.agreement`.
"""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import TypeVar

from peers.keys import PrivateKey, PublicKey
from tests.system.hosts import Gateway, eventually
from wgctl.client.api import Client
from wgctl.core import schema
from wgctl.core.errors import NotFound, Unavailable

__all__ = [
    "Acknowledged",
    "Ledger",
    "add_by_client",
    "add_by_command",
    "listens",
    "remove_by_client",
]

_PATIENCE_S = 400.0
_PAUSE_S = 0.1

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Acknowledged:
    """A peer as the controller promised it."""

    org: str
    name: str
    key: PublicKey
    address: IPv6Address


@dataclass
class Ledger:
    """What was acknowledged, by name; `given` has removed peers too; and why one asked again."""

    given: list[Acknowledged] = field(default_factory=list)
    standing: dict[str, Acknowledged] = field(default_factory=dict)
    unanswered: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, peer: Acknowledged) -> None:
        with self._lock:
            self.given.append(peer)
            self.standing[peer.name] = peer

    def remove(self, peer: Acknowledged) -> None:
        with self._lock:
            del self.standing[peer.name]

    def note_unanswered(self, reason: str) -> None:
        with self._lock:
            self.unanswered.append(reason)

    def of(self, org: str) -> list[Acknowledged]:
        return [peer for peer in self.standing.values() if peer.org == org]


def add_by_client(ledger: Ledger, client: Client, org: str, name: str) -> None:
    """Add a peer over the API, the same request until it is answered."""
    key = PrivateKey.generate().public()
    new = schema.NewPeer(network="default", name=name, public_key=key)
    enrolment, _ = _answered(ledger, lambda: client.add_peer(org, new))
    ledger.add(Acknowledged(org, name, key, enrolment.peer.address))


def remove_by_client(ledger: Ledger, client: Client, peer: Acknowledged) -> None:
    """Remove a peer; that it is gone already is right only when an answer was lost."""

    def remove() -> bool:
        try:
            client.remove_peer(peer.org, "default", peer.name)
        except NotFound:
            return False
        return True

    found, again = _answered(ledger, remove)
    assert found or again, f"{peer} was lost"
    ledger.remove(peer)


def add_by_command(ledger: Ledger, gateway: Gateway, org: str, name: str) -> None:
    """Add a peer by the installed command, which makes its key; re-key it where it is in doubt."""
    config = gateway.folder / f"{name}.conf"
    verb, deadline = "add", time.monotonic() + _PATIENCE_S
    while True:
        # A try without a controller takes 0.4 s of a core from those who start it.
        eventually(lambda: listens(gateway), within_s=_PATIENCE_S, what="the controller listens")
        done = gateway.wgctl("peer", verb, name, "--org", org, "-o", str(config), check=False)
        if done.returncode == 0:
            break
        assert done.returncode in {5, 7}, f"{done.args}: {done.returncode} {done.stderr}"
        assert not config.exists(), f"{config} was left behind"
        assert time.monotonic() < deadline, done.stderr
        if done.returncode == 5:
            assert verb == "add", done.stderr
            verb = "rekey"
        else:
            ledger.note_unanswered(done.stderr)
    lines = dict(line.split(" = ", 1) for line in config.read_text().splitlines() if " = " in line)
    address = IPv6Address(lines["Address"].removesuffix("/128"))
    ledger.add(Acknowledged(org, name, PrivateKey.parse(lines["PrivateKey"]).public(), address))


def listens(gateway: Gateway) -> bool:
    """Whether the controller takes requests."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(gateway.folder / "run" / "api.sock")) == 0


def _answered(ledger: Ledger, ask: Callable[[], _Result]) -> tuple[_Result, bool]:
    """Return the answer to `ask`, and whether it was asked more than once."""
    deadline, again = time.monotonic() + _PATIENCE_S, False
    while True:
        try:
            return ask(), again
        except Unavailable as error:
            assert time.monotonic() < deadline
            ledger.note_unanswered(str(error))
            again = True
            time.sleep(_PAUSE_S)
