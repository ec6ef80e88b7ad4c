"""A host's tunnel as a value, and the steps that change one.

Says what there is to say of a tunnel; which steps lead from one to another is
`wgctl.core.plan`, and who takes them is `wgctl.drivers`. A step's text says in a few words, for a
log, what it does, and never a private or preshared key.
"""

import base64
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Interface, IPv6Network

from peers.keys import PresharedKey, PrivateKey
from wgctl.core.allowed_ips import AllowedIPs, in_words
from wgctl.core.firewall import Element, Ruleset

__all__ = [
    "ROUTE_PROTOCOL",
    "AddAddress",
    "AddPeers",
    "AddRoute",
    "ChangeFirewall",
    "Device",
    "DeviceStep",
    "FirewallStep",
    "GivePeer",
    "Greet",
    "Host",
    "Link",
    "LinkStep",
    "MakeLink",
    "RemoveAddress",
    "RemovePeer",
    "RemoveRoute",
    "ReplaceFirewall",
    "Route",
    "SetDevice",
    "SetLink",
    "SetPeer",
    "SingleStep",
    "Source",
    "Step",
    "Tunnel",
    "key_text",
    "log_group",
    "route_metric",
    "singly",
]

ROUTE_PROTOCOL = 119
"""Marks our routes: no routing daemon in iproute2's rt_protos has this number."""


@dataclass(frozen=True, slots=True)
class Host:
    """What this host's settings say of its tunnel.

    `own_uids` are the users whose processes may send into the tunnel. `log_group` is the one of
    netfilter that handshake initiations are copied to, None: they are not.
    """

    interface: str
    pool: IPv6Network
    private_key: PrivateKey
    listen_port: int
    mtu_bytes: int
    own_uids: frozenset[int]
    log_group: int | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface, with its addresses of global scope."""

    mtu_bytes: int
    up: bool
    addresses: frozenset[IPv6Interface]


@dataclass(frozen=True, slots=True)
class Route:
    """A route of ours, to the tunnel or (`unreachable`) to nowhere.

    `source` None: whatever the source; else only packets from there take it.
    """

    destination: IPv6Network
    source: IPv6Network | None
    metric: int
    unreachable: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """A WireGuard device: its peers by the 32 bytes of their public key.

    `private_key` None: it has none yet. Endpoints are no part of this: peers roam.
    `preshared_keys` has those peers that have such a key.
    """

    private_key: PrivateKey | None
    listen_port: int
    peers: Mapping[bytes, AllowedIPs]
    preshared_keys: Mapping[bytes, PresharedKey] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """All that a host holds of one tunnel; None for a part that is not there."""

    firewall: Ruleset | None
    routes: frozenset[Route]
    link: Link | None
    device: Device | None


@dataclass(frozen=True, slots=True)
class ReplaceFirewall:
    """Put this table in the place of whatever is there."""

    ruleset: Ruleset

    def __str__(self) -> str:
        return f"table {self.ruleset.table} written"


@dataclass(frozen=True, slots=True)
class ChangeFirewall:
    """Add and remove elements of the table's sets, at one stroke."""

    added: frozenset[Element]
    removed: frozenset[Element]

    def __str__(self) -> str:
        return f"firewall: {len(self.added)} elements added, {len(self.removed)} removed"


@dataclass(frozen=True, slots=True)
class AddRoute:
    """Add a route."""

    route: Route

    def __str__(self) -> str:
        return f"route to {self.route.destination} added"


@dataclass(frozen=True, slots=True)
class RemoveRoute:
    """Remove a route."""

    route: Route

    def __str__(self) -> str:
        return f"route to {self.route.destination} removed"


@dataclass(frozen=True, slots=True)
class MakeLink:
    """Make the WireGuard device and its link, which is down and empty."""

    def __str__(self) -> str:
        return "device and link made"


@dataclass(frozen=True, slots=True)
class SetLink:
    """Give the link this MTU and set it up."""

    mtu_bytes: int

    def __str__(self) -> str:
        return f"link set up with MTU {self.mtu_bytes}"


@dataclass(frozen=True, slots=True)
class AddAddress:
    """Give the link an address."""

    address: IPv6Interface

    def __str__(self) -> str:
        return f"address {self.address} added"


@dataclass(frozen=True, slots=True)
class RemoveAddress:
    """Take an address from the link."""

    address: IPv6Interface

    def __str__(self) -> str:
        return f"address {self.address} removed"


@dataclass(frozen=True, slots=True)
class SetDevice:
    """Set the device's key and port; None leaves one as it is."""

    private_key: PrivateKey | None
    listen_port: int | None

    def __str__(self) -> str:
        named = [name for name, value in self._parts() if value is not None]
        return f"{' and '.join(named)} of the device set"

    def _parts(self) -> tuple[tuple[str, object], ...]:
        return ("key", self.private_key), ("port", self.listen_port)


@dataclass(frozen=True, slots=True)
class SetPeer:
    """Let a peer have exactly these allowed IPs, and be made if it is not there.

    `preshared_key` None: it has none, and one that is there is taken away. `anew`: its session, if
    it has one, ends.
    """

    key: bytes
    allowed_ips: AllowedIPs
    preshared_key: PresharedKey | None = None
    anew: bool = False

    def __str__(self) -> str:
        sealed = " with a preshared key" if self.preshared_key else ""
        made = "made anew with" if self.anew else "set to"
        return f"peer {key_text(self.key)} {made} {in_words(self.allowed_ips)}{sealed}"


@dataclass(frozen=True, slots=True)
class AddPeers:
    """Make peers that are not there, by their keys, all at once.

    It does as `SetPeer` for each; with a step each, 10,000 take longer to tell than to take.
    """

    peers: Mapping[bytes, AllowedIPs]
    preshared_keys: Mapping[bytes, PresharedKey] = field(default_factory=dict)

    def each(self) -> Iterator[SetPeer]:
        """Yield the step of each peer."""
        for key, ips in self.peers.items():
            yield SetPeer(key, ips, self.preshared_keys.get(key))

    def __str__(self) -> str:
        if len(self.peers) == 1:
            return str(next(self.each()))
        return f"{len(self.peers)} peers added"


@dataclass(frozen=True, slots=True)
class GivePeer:
    """Let a peer that is there have these allowed IPs besides its own.

    Whoever holds one loses it at the same moment.
    """

    key: bytes
    allowed_ips: AllowedIPs

    def __str__(self) -> str:
        return f"peer {key_text(self.key)} given {in_words(self.allowed_ips)}"


@dataclass(frozen=True, slots=True)
class RemovePeer:
    """Take a peer, with its session, from the device."""

    key: bytes

    def __str__(self) -> str:
        return f"peer {key_text(self.key)} removed"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a datagram came from; a link-local host has the number of its interface as scope."""

    host: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if isinstance(self.host, IPv6Address) else str(self.host)
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Greet:
    """Begin a handshake with a peer that is there, at the place that it wrote from."""

    key: bytes
    source: Source

    def __str__(self) -> str:
        return f"peer {key_text(self.key)} greeted at {self.source}"


FirewallStep = ReplaceFirewall | ChangeFirewall
LinkStep = SetLink | AddAddress | RemoveAddress | AddRoute | RemoveRoute
SingleStep = SetDevice | SetPeer | GivePeer | RemovePeer | Greet
DeviceStep = AddPeers | SingleStep
Step = FirewallStep | MakeLink | LinkStep | DeviceStep


def singly(steps: Iterable[DeviceStep]) -> Iterator[SingleStep]:
    """Yield `steps` with one for each peer."""
    for step in steps:
        if isinstance(step, AddPeers):
            yield from step.each()
        else:
            yield step


def route_metric(interface: str) -> int:
    """Return the metric of an interface's routes, 1 to 1000.

    Two tunnels of a host, whose pools may be the same, each have their own unreachable route.
    It is below 1024, the metric of a route that somebody adds without one.
    """
    return 1 + zlib.crc32(interface.encode()) % 1000


def log_group(interface: str) -> int:
    """Return the netfilter log group of an interface, 1024 to 65535.

    Two gateways of a host each hear their own; the low numbers are those of programs that log.
    """
    return 1024 + zlib.crc32(interface.encode()) % (65536 - 1024)


def key_text(key: bytes) -> str:
    """Return a public key as it is written, 44 characters of base64."""
    return base64.b64encode(key).decode("ascii")
