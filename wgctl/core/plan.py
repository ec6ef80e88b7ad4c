"""What a host's tunnel is to be, what it is, and the steps from one to the other.

Values in, values out: who reads and writes the kernel is `wgctl.drivers`, who does it when is
`wgctl.daemon.gateway`. The order of the steps is part of the decision:

    walls up      firewall, unreachable route
    taken away    peers, routes, addresses
    link          made, sized and up, its key and port
    added         addresses, routes, peers; an allowed IP leaves its old peer before it moves
    last          an unreachable route that is not wanted
"""

import base64
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Interface, IPv6Network
from typing import assert_never

from peers.keys import PrivateKey
from wgctl.core import firewall
from wgctl.core.firewall import Element, Ruleset
from wgctl.core.model import Network, Peer

__all__ = [
    "ROUTE_PROTOCOL",
    "AddAddress",
    "AddRoute",
    "AllowedIPs",
    "ChangeFirewall",
    "Device",
    "DeviceStep",
    "FirewallStep",
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
    "Step",
    "Tunnel",
    "describe",
    "desired",
    "diff",
]

ROUTE_PROTOCOL = 119
"""Marks our routes: no routing daemon in iproute2's rt_protos has this number."""

AllowedIPs = frozenset[IPv6Network | IPv4Network]


@dataclass(frozen=True, slots=True)
class Host:
    """What this host's settings say of its tunnel.

    `own_uids` are the users whose processes may send into the tunnel.
    """

    interface: str
    pool: IPv6Network
    private_key: PrivateKey
    listen_port: int
    mtu_bytes: int
    own_uids: frozenset[int]

    @property
    def metric(self) -> int:
        """The metric of this interface's routes, 1 to 1000.

        Two tunnels of a host, whose pools may be the same, each have their own unreachable route.
        It is below 1024, the metric of a route that somebody adds without one.
        """
        return 1 + zlib.crc32(self.interface.encode()) % 1000


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
    """

    private_key: PrivateKey | None
    listen_port: int
    peers: Mapping[bytes, AllowedIPs]


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


@dataclass(frozen=True, slots=True)
class ChangeFirewall:
    """Add and remove elements of the table's sets, at one stroke."""

    added: frozenset[Element]
    removed: frozenset[Element]


@dataclass(frozen=True, slots=True)
class AddRoute:
    """Add a route."""

    route: Route


@dataclass(frozen=True, slots=True)
class RemoveRoute:
    """Remove a route."""

    route: Route


@dataclass(frozen=True, slots=True)
class MakeLink:
    """Make the WireGuard device and its link, which is down and empty."""


@dataclass(frozen=True, slots=True)
class SetLink:
    """Give the link this MTU and set it up."""

    mtu_bytes: int


@dataclass(frozen=True, slots=True)
class AddAddress:
    """Give the link an address."""

    address: IPv6Interface


@dataclass(frozen=True, slots=True)
class RemoveAddress:
    """Take an address from the link."""

    address: IPv6Interface


@dataclass(frozen=True, slots=True)
class SetDevice:
    """Set the device's key and port; None leaves one as it is."""

    private_key: PrivateKey | None
    listen_port: int | None


@dataclass(frozen=True, slots=True)
class SetPeer:
    """Let a peer have exactly these allowed IPs, and be made if it is not there."""

    key: bytes
    allowed_ips: AllowedIPs


@dataclass(frozen=True, slots=True)
class RemovePeer:
    """Take a peer, with its session, from the device."""

    key: bytes


FirewallStep = ReplaceFirewall | ChangeFirewall
LinkStep = SetLink | AddAddress | RemoveAddress | AddRoute | RemoveRoute
DeviceStep = SetDevice | SetPeer | RemovePeer
Step = FirewallStep | MakeLink | LinkStep | DeviceStep


def desired(networks: Iterable[Network], peers: Iterable[Peer], *, host: Host, now: int) -> Tunnel:
    """Return what the host's tunnel is to be at `now`.

    Left out are expired peers, peers of networks that are not there, peers whose address is
    outside of their network, and a peer with the gateway's own key, which no device would take.
    """
    prefixes = {network.id: network.prefix for network in networks}
    own_key = host.private_key.public()
    return Tunnel(
        firewall.ruleset(prefixes.values(), interface=host.interface, own_uids=host.own_uids),
        frozenset(
            {
                Route(host.pool, None, host.metric, unreachable=True),
                *(Route(prefix, prefix, host.metric) for prefix in prefixes.values()),
            }
        ),
        Link(
            host.mtu_bytes,
            up=True,
            addresses=frozenset(
                IPv6Interface(firewall.resolver_address(prefix)) for prefix in prefixes.values()
            ),
        ),
        Device(
            host.private_key,
            host.listen_port,
            {
                peer.public_key.raw: frozenset({IPv6Network(peer.address)})
                for peer in peers
                if peer.network_id in prefixes
                and peer.address in prefixes[peer.network_id]
                and not peer.expired(now=now)
                and peer.public_key != own_key
            },
        ),
    )


def diff(desired: Tunnel, actual: Tunnel) -> tuple[Step, ...]:
    """Return the fewest steps from `actual` to `desired`, in the order to take them.

    A part that `desired` does not have is left alone.
    """
    surplus = actual.routes - desired.routes
    missing = desired.routes - actual.routes
    return (
        *_firewall_steps(desired.firewall, actual.firewall),
        *(AddRoute(route) for route in _in_order(missing) if route.unreachable),
        *_surplus_peers(desired.device, actual.device),
        *(RemoveRoute(route) for route in _in_order(surplus) if not route.unreachable),
        *_surplus_addresses(desired.link, actual.link),
        *_link_steps(desired.link, actual.link),
        *_device_steps(desired.device, actual.device),
        *_missing_addresses(desired.link, actual.link),
        *(AddRoute(route) for route in _in_order(missing) if not route.unreachable),
        *_peer_steps(desired.device, actual.device),
        *(RemoveRoute(route) for route in _in_order(surplus) if route.unreachable),
    )


def describe(step: Step) -> str:  # noqa: PLR0911  # one line a kind of step
    """Say what a step does, in a few words for a log; never a private key."""
    match step:
        case ReplaceFirewall(ruleset):
            return f"table {ruleset.table} written"
        case ChangeFirewall(added, removed):
            return f"firewall: {len(added)} elements added, {len(removed)} removed"
        case AddRoute(route):
            return f"route to {route.destination} added"
        case RemoveRoute(route):
            return f"route to {route.destination} removed"
        case MakeLink():
            return "link and device made"
        case SetLink(mtu_bytes):
            return f"link set up with MTU {mtu_bytes}"
        case AddAddress(address):
            return f"address {address} added"
        case RemoveAddress(address):
            return f"address {address} removed"
        case SetDevice():
            return "key or port of the device set"
        case SetPeer(key, allowed_ips):
            listed = ", ".join(sorted(map(str, allowed_ips))) or "nothing"
            return f"peer {_text(key)} set to {listed}"
        case RemovePeer(key):
            return f"peer {_text(key)} removed"
    assert_never(step)


def _firewall_steps(desired: Ruleset | None, actual: Ruleset | None) -> Iterator[FirewallStep]:
    if desired is None or desired == actual:
        return
    if actual is None or desired.rules != actual.rules:
        yield ReplaceFirewall(desired)
    else:
        yield ChangeFirewall(
            added=desired.elements - actual.elements, removed=actual.elements - desired.elements
        )


def _link_steps(desired: Link | None, actual: Link | None) -> Iterator[Step]:
    if desired is None:
        return
    if actual is None:
        yield MakeLink()
    if actual is None or (desired.mtu_bytes, desired.up) != (actual.mtu_bytes, actual.up):
        yield SetLink(desired.mtu_bytes)


def _surplus_addresses(desired: Link | None, actual: Link | None) -> Iterator[Step]:
    if desired and actual:
        yield from (RemoveAddress(one) for one in sorted(actual.addresses - desired.addresses))


def _missing_addresses(desired: Link | None, actual: Link | None) -> Iterator[Step]:
    if desired:
        there = actual.addresses if actual else frozenset()
        yield from (AddAddress(one) for one in sorted(desired.addresses - there))


def _device_steps(desired: Device | None, actual: Device | None) -> Iterator[Step]:
    if desired is None:
        return
    key = None if actual and _same(desired.private_key, actual.private_key) else desired.private_key
    port = None if actual and desired.listen_port == actual.listen_port else desired.listen_port
    if key is not None or port is not None:
        yield SetDevice(key, port)


def _same(one: PrivateKey | None, other: PrivateKey | None) -> bool:
    """Compare by the public half: a device gives its key back clamped."""
    if one is None or other is None:
        return one is other
    return one == other or one.public() == other.public()


def _surplus_peers(desired: Device | None, actual: Device | None) -> Iterator[Step]:
    if desired and actual:
        yield from (RemovePeer(key) for key in sorted(actual.peers.keys() - desired.peers.keys()))


def _peer_steps(desired: Device | None, actual: Device | None) -> Iterator[Step]:
    """Yield peers that give something up, then those that only gain.

    A peer whose new address another one still holds first gives up its own: two may swap.
    """
    if desired is None:
        return
    there = actual.peers if actual else {}
    changed = [key for key in sorted(desired.peers) if desired.peers[key] != there.get(key)]
    losing = [key for key in changed if there.get(key, frozenset()) - desired.peers[key]]
    held = {
        ip for key, ips in there.items() if key in desired.peers for ip in ips - desired.peers[key]
    }
    waiting = {key for key in losing if desired.peers[key] & held}
    for key in losing:
        wanted = desired.peers[key]
        yield SetPeer(key, wanted & there[key] if key in waiting else wanted)
    for key in changed:
        if key in waiting or key not in losing:
            yield SetPeer(key, desired.peers[key])


def _in_order(routes: Iterable[Route]) -> list[Route]:
    return sorted(routes, key=lambda route: (route.destination, str(route.source), route.metric))


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode("ascii")
