"""A programme over a kernel in memory, and what is told to it."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from ipaddress import IPv6Network
from pathlib import Path

import pysqlite3

from peers.keys import PresharedKey, PrivateKey
from peers.names import Label
from peers.seal import seal
from wgctl.core.errors import Unavailable
from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.model import Network, Peer, Seal
from wgctl.core.roster import Roster
from wgctl.core.tunnel import DeviceStep, Host
from wgctl.daemon.follow import Changes
from wgctl.daemon.programme import Programme
from wgctl.drivers.memory import Kernel, MemoryFirewall, MemoryLinks, MemoryWireGuard
from wgctl.services.reconcile import Parts
from wgctl.store.copy import Copy

__all__ = ["HOST", "KEYS", "NETWORK", "Scene", "commit", "peer", "sealed_key"]

HOST = Host(
    interface="wgctl0",
    pool=IPv6Network("fdaa::/16"),
    private_key=PrivateKey.generate(),
    listen_port=51820,
    mtu_bytes=1420,
    own_uids=frozenset({0}),
)
NETWORK = Network(1, 1, Label("default"), IPv6Network("fdaa:0:1::/48"), 0)
KEYS = [PrivateKey.generate().public() for _ in range(3)]


def peer(id_: int, *, expires_at: int | None = None) -> Peer:
    address = NETWORK.prefix[(16 << 64) + 2 + id_]
    name = Label(f"p{id_}")
    return Peer(id_, 1, 1, 1, name, "operator", KEYS[id_], address, 0, expires_at)


class Faulty(MemoryWireGuard):
    """A device that refuses everything while it is told to."""

    refuses = False

    def apply(self, steps: Sequence[DeviceStep]) -> None:
        if self.refuses:
            raise Unavailable("the device refuses")
        super().apply(steps)


class Deaf(MemoryLinks):
    """A link that cannot be looked at while it is told so."""

    refuses = False

    def index(self) -> int | None:
        if self.refuses:
            raise Unavailable("no buffer space")
        return super().index()


@dataclass
class Scene:
    """A programme over a kernel in memory, with a clock that stands still."""

    copy: Copy
    folder: Path
    kernel: Kernel = field(default_factory=Kernel)
    now: int = 1000
    forwards: bool = False
    ended: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        self.wireguard = Faulty(self.kernel)
        self.links = Deaf(self.kernel)
        self.parts = Parts(self.links, self.wireguard, MemoryFirewall(self.kernel))
        self.roster = Roster(HOST)
        self.programme = Programme(
            *(self.parts, self.roster, self.copy),
            now=lambda: self.now,
            forward=self.forward,
            ended=lambda machines: self.ended & {machine.id for machine in machines},
        )

    def forward(self) -> tuple[str, ...]:
        switched = () if self.forwards else ("all.forwarding=1",)
        self.forwards = True
        return switched

    def fill(self, *rows: Peer, revision: int = 1) -> None:
        with self.copy.replacing() as replacement:
            replacement.add(Put(Kind.NETWORK, NETWORK))
            for row in rows:
                replacement.add(Put(Kind.PEER, row))
            replacement.commit(epoch="e", revision=revision)

    def damage(self, kind: Kind, id_: int) -> None:
        with closing(pysqlite3.connect(str(self.folder / "copy.sqlite"))) as file, file:
            body = "UPDATE rows SET body = '{' WHERE kind = ? AND id = ?"
            assert file.execute(body, (kind, id_)).rowcount == 1

    def started(self, *rows: Peer) -> Programme:
        self.fill(*rows)
        self.programme.load()
        self.programme.verify()
        return self.programme

    def peers(self) -> set[bytes]:
        device = self.parts.wireguard.read()
        return set() if device is None else set(device.peers)


def commit(*events: Put | Delete, revision: int = 2) -> Changes:
    return Changes(replaced=False, events=events, revision=revision)


def sealed_key(id_: int, psk: PresharedKey, *, to: PrivateKey = HOST.private_key) -> Put:
    sealed = seal(psk, gateway=to.public(), peer=KEYS[id_], ephemeral=PrivateKey.generate())
    return Put(Kind.SEAL, Seal(9, 1, 1, id_, sealed))
