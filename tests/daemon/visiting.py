"""A gateway on demand over a kernel in memory, with a clock that stands still, for its tests."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Network
from pathlib import Path

from peers.keys import PresharedKey, PrivateKey
from peers.names import Label
from peers.seal import seal
from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.model import Machine, MachineState, Network, Peer, Seal
from wgctl.core.ports import Seen
from wgctl.core.presence import Fate
from wgctl.core.roster import Roster
from wgctl.core.tunnel import Host, Source
from wgctl.daemon.demand import Demand
from wgctl.daemon.follow import Changes
from wgctl.daemon.programme import Programme
from wgctl.drivers.memory import Kernel, MemoryFirewall, MemoryLinks, MemoryWireGuard
from wgctl.services.reconcile import Parts
from wgctl.store.copy import Copy
from wgctl.store.visits import VisitFile

__all__ = [
    "HOST",
    "IDLE_S",
    "KEYS",
    "NETWORK",
    "SECRETS",
    "SOURCE",
    "Scene",
    "machine",
    "peer",
    "scene",
    "seal_of",
    "stamp",
]

IDLE_S = 600
HOST = Host(
    interface="wgctl0",
    pool=IPv6Network("fdaa::/16"),
    private_key=PrivateKey.generate(),
    listen_port=51820,
    mtu_bytes=1420,
    own_uids=frozenset({0}),
    log_group=2000,
)
NETWORK = Network(1, 1, Label("default"), IPv6Network("fdaa:0:1::/48"), 0)
SECRETS = [PrivateKey.generate() for _ in range(4)]
KEYS = [secret.public() for secret in SECRETS]
SOURCE = Source(IPv4Address("192.0.2.1"), 9)


def peer(id_: int, *, key: int | None = None, expires_at: int | None = None) -> Peer:
    """Return peer `id_`, with the key of that number, or of `key`."""
    address = NETWORK.prefix[(16 << 64) + 2 + id_]
    public = KEYS[id_ if key is None else key]
    return Peer(id_, 1, 1, 1, Label(f"p{id_}"), "operator", public, address, 0, expires_at)


def machine(id_: int, peer_id: int) -> Machine:
    """Return machine `id_`, on a peer."""
    return Machine(
        *(id_, 1, 1, 1, peer_id, Label(f"web-{id_}"), Label("ams"), Label("app")),
        *((), {}, MachineState.STARTED, 0),
    )


def seal_of(peer_id: int, key: PresharedKey, *, to: PrivateKey = HOST.private_key) -> Seal:
    """Return the seal of a peer's preshared key; its id is 100 more than the peer's.

    `to` is who can open it.
    """
    sealed = seal(
        key,
        gateway=to.public(),
        peer=KEYS[peer_id],
        ephemeral=PrivateKey.generate(),
    )
    return Seal(100 + peer_id, 1, 1, peer_id, sealed)


def stamp(number: int) -> bytes:
    """Return a timestamp that is the greater the greater `number` is."""
    return number.to_bytes(12)


@dataclass
class Scene:
    """The programme, what it stands on, and the time."""

    copy: Copy
    visits: VisitFile
    kernel: Kernel = field(default_factory=Kernel)
    wireguard: MemoryWireGuard | None = None
    now: int = 1000
    revision: int = 1

    def __post_init__(self) -> None:
        self.wireguard = self.wireguard or MemoryWireGuard(self.kernel)
        self.firewall = MemoryFirewall(self.kernel)
        self.demand = Demand(self.copy, self.visits, idle_s=IDLE_S)
        self.programme = Programme(
            Parts(MemoryLinks(self.kernel), self.wireguard, self.firewall),
            Roster(HOST),
            self.copy,
            now=lambda: self.now,
            forward=tuple,
            ended=lambda _machines: frozenset(),
            demand=self.demand,
        )

    def fill(self, *rows: Peer | Seal | Machine) -> None:
        """Let the copy have these and the network, and nothing else."""
        kinds = {Peer: Kind.PEER, Seal: Kind.SEAL, Machine: Kind.MACHINE}
        with self.copy.replacing() as replacement:
            replacement.add(Put(Kind.NETWORK, NETWORK))
            for row in rows:
                replacement.add(Put(kinds[type(row)], row))
            replacement.commit(epoch="e", revision=self.revision)

    def start(self) -> None:
        """Take what the copy has, and program it."""
        self.programme.load()
        self.programme.verify()

    def commit(self, *events: Put | Delete) -> None:
        """Let the feed bring `events`."""
        self.revision += 1
        self.copy.write(events, epoch="e", revision=self.revision)
        self.programme.take(Changes(replaced=False, events=events, revision=self.revision))

    def knocks(self, key: int, *, at: int = 1) -> Fate:
        """Let whoever has the key of that number prove to be there."""
        return self.programme.admit(KEYS[key], timestamp=stamp(at))

    def sees(self, key: int, *, handshake: int | None, received: int = 0, sent: int = 0) -> None:
        """Let the device have seen this of a peer that it has."""
        self.kernel.seen[KEYS[key].raw] = Seen(str(SOURCE), handshake, received, sent)

    def passes(self, seconds: int) -> None:
        """Let time go by, and what is due be done."""
        self.now += seconds
        self.programme.tick()

    def there(self) -> set[int]:
        """Return the numbers of the keys that the device has."""
        device = self.kernel.device
        assert device is not None
        return {number for number, key in enumerate(KEYS) if key.raw in device.peers}


@contextmanager
def scene(folder: Path, kernel: Kernel | None = None) -> Iterator[Scene]:
    """Make one in `folder`, which may be that of one before, with the kernel that it left."""
    with (
        closing(Copy(folder / "copy.sqlite")) as copy,
        closing(VisitFile(folder / "visits.sqlite")) as visits,
    ):
        yield Scene(copy, visits, kernel or Kernel())
