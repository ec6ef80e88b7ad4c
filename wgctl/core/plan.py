"""What a host's tunnel is to be, and the steps that make it so.

Values in, values out: who reads and writes the kernel is `wgctl.drivers`, who does it when is
`wgctl.daemon.gateway`. The order of the steps is part of the decision:

    walls up      firewall, unreachable route
    taken away    peers, routes, addresses
    link          made, sized and up, its key and port
    added         addresses, routes
    peers         those that gain an allowed IP, which takes it from whoever holds it; then those
                  that get another preshared key, and those that lose an IP that nobody gains; then
                  those that are taken away, and held one that moved
    last          unreachable routes that are not wanted

So an allowed IP that moves is at no moment nobody's, and nobody keeps one that is another's.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv6Interface, IPv6Network
from types import MappingProxyType

from peers.addresses import resolver_address
from peers.keys import PresharedKey, PrivateKey
from wgctl.core import firewall
from wgctl.core.allowed_ips import AllowedIPs, from_rows, pack_host, rows
from wgctl.core.firewall import Ruleset
from wgctl.core.model import Network, Peer
from wgctl.core.service import Service
from wgctl.core.tunnel import (
    AddAddress,
    AddPeers,
    AddRoute,
    ChangeFirewall,
    Device,
    FirewallStep,
    GivePeer,
    Host,
    Link,
    MakeLink,
    RemoveAddress,
    RemovePeer,
    RemoveRoute,
    ReplaceFirewall,
    Route,
    SetDevice,
    SetLink,
    SetPeer,
    Step,
    Tunnel,
    route_metric,
)

__all__ = ["desired", "diff", "same_key", "sparing"]

_NO_KEYS: Mapping[int, PresharedKey] = MappingProxyType({})


def desired(
    networks: Iterable[Network],
    peers: Iterable[Peer],
    *,
    host: Host,
    now: int,
    preshared_keys: Mapping[int, PresharedKey] = _NO_KEYS,
    services: Iterable[Service] = (),
) -> Tunnel:
    """Return what the host's tunnel is to be at `now`; preshared keys are by the id of their peer.

    Left out are expired peers, peers of networks that are not there, peers whose address is
    outside of their network, and a peer with the gateway's own key, which no device would take.
    """
    prefixes = {network.id: network.prefix for network in networks}
    own_key = host.private_key.public()
    metric = route_metric(host.interface)
    wanted = [
        peer
        for peer in peers
        if peer.network_id in prefixes
        and peer.address in prefixes[peer.network_id]
        and not peer.expired(now=now)
        and peer.public_key != own_key
    ]
    return Tunnel(
        _firewall(prefixes.values(), services, host),
        frozenset(
            {
                Route(host.pool, None, metric, unreachable=True),
                *(Route(prefix, prefix, metric) for prefix in prefixes.values()),
            }
        ),
        Link(
            host.mtu_bytes,
            up=True,
            addresses=frozenset(map(_resolver, prefixes.values())),
        ),
        _device(wanted, host, preshared_keys),
    )


def _resolver(prefix: IPv6Network) -> IPv6Interface:
    address = resolver_address(prefix)
    # Of a number: the library would write an address out as text, and read that.
    return IPv6Interface((int(address), address.max_prefixlen))


def sparing(
    desired: Tunnel, actual: Tunnel, *, expired: frozenset[bytes], locked: frozenset[bytes]
) -> Tunnel:
    """Return `desired` with all that `actual` has besides: `diff` to it takes nothing away.

    For a host that does not know all that there is to be. Keys of peers that do go nevertheless:
    those in `expired`; those in `locked`, unless the device asks them for a preshared key; and
    those whose addresses are all another's in `desired`. A preshared key is never cleared.
    """
    return Tunnel(
        _spared_firewall(desired.firewall, actual),
        desired.routes | actual.routes,
        _spared_link(desired.link, actual.link),
        _spared_device(desired.device, actual.device, expired=expired, locked=locked),
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


def _spared_firewall(desired: Ruleset | None, actual: Tunnel) -> Ruleset | None:
    if desired is None:
        return None
    # Without a table, the routes say which networks live: closed, it would cut them off.
    held = (
        firewall.elements(route.destination for route in actual.routes if route.source)
        if actual.firewall is None
        else actual.firewall.elements
    )
    # A map has one place for a key: what is to be there goes before what is.
    claimed = {(one.set_name, one.values) for one in desired.elements}
    kept = {one for one in held if (one.set_name, one.values) not in claimed}
    return replace(desired, elements=desired.elements | kept)


def _spared_link(desired: Link | None, actual: Link | None) -> Link | None:
    if desired is None or actual is None:
        return desired
    return replace(desired, addresses=desired.addresses | actual.addresses)


def _spared_device(
    desired: Device | None,
    actual: Device | None,
    *,
    expired: frozenset[bytes],
    locked: frozenset[bytes],
) -> Device | None:
    if desired is None or actual is None:
        return desired
    claimed = _held(desired)
    gone = expired | locked.difference(actual.preshared_keys)
    kept: dict[bytes, AllowedIPs] = {}
    for key, ips in actual.peers.items():
        left = rows(ips) - claimed
        if key not in gone and (left or not ips):
            kept[key] = from_rows(left)
    peers = {**kept, **desired.peers}
    held = {key: psk for key, psk in actual.preshared_keys.items() if key in peers}
    return replace(desired, peers=peers, preshared_keys={**held, **desired.preshared_keys})


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
        yield from (
            RemoveAddress(one) for one in _addresses_in_order(actual.addresses - desired.addresses)
        )


def _missing_addresses(desired: Link | None, actual: Link | None) -> Iterator[Step]:
    if desired:
        there = actual.addresses if actual else frozenset()
        yield from (AddAddress(one) for one in _addresses_in_order(desired.addresses - there))


def _device_steps(desired: Device | None, actual: Device | None) -> Iterator[Step]:
    if desired is None:
        return
    key = (
        None
        if actual and same_key(desired.private_key, actual.private_key)
        else desired.private_key
    )
    port = None if actual and desired.listen_port == actual.listen_port else desired.listen_port
    if key is not None or port is not None:
        yield SetDevice(key, port)


def same_key(one: PrivateKey | None, other: PrivateKey | None) -> bool:
    """Whether both are one key, by their public half: a device gives its key back clamped."""
    if one is None or other is None:
        return one is other
    return one == other or one.public() == other.public()


def _firewall(prefixes: Iterable[IPv6Network], services: Iterable[Service], host: Host) -> Ruleset:
    return firewall.ruleset(
        prefixes,
        services,
        interface=host.interface,
        listen_port=host.listen_port,
        own_uids=host.own_uids,
        log_group=host.log_group,
    )


def _device(
    peers: Sequence[Peer], host: Host, preshared_keys: Mapping[int, PresharedKey]
) -> Device:
    return Device(
        host.private_key,
        host.listen_port,
        {peer.public_key.raw: pack_host(peer.address) for peer in peers},
        {
            peer.public_key.raw: preshared_keys[peer.id]
            for peer in peers
            if peer.id in preshared_keys
        },
    )


def _surplus_peers(desired: Device | None, actual: Device | None) -> Iterator[Step]:
    """Yield the peers that go before all else: none of their allowed IPs moves."""
    if desired and actual and desired.peers != actual.peers:
        moving = _moving(desired, actual)
        surplus = actual.peers.keys() - desired.peers.keys()
        yield from (
            RemovePeer(key) for key in sorted(surplus) if moving.isdisjoint(rows(actual.peers[key]))
        )


def _peer_steps(desired: Device | None, actual: Device | None) -> Iterator[Step]:
    """Yield peers that gain something, those that are made anew or lose something, and the rest.

    A peer that gets another preshared key than it has, or none, or one, is made anew: a session
    outlives its preshared key for up to 180 s (REJECT_AFTER_TIME), and a key is changed so that
    whoever knows the old one is out.
    """
    if desired is None or (actual and _same_peers(desired, actual)):
        return
    actual = actual or Device(None, 0, {})
    moving = _moving(desired, actual)
    changed, renewed = _changed(desired, actual), _renewed(desired, actual)
    if added := _added(desired, actual):
        yield added
    for key in changed:
        if gained := rows(desired.peers[key]) - rows(actual.peers[key]):
            yield GivePeer(key, from_rows(gained))
    for key in renewed:
        yield SetPeer(key, desired.peers[key], desired.preshared_keys.get(key), anew=True)
    for key in changed:
        lost = rows(actual.peers[key]) - rows(desired.peers[key])
        if lost - moving and key not in renewed:
            yield SetPeer(key, desired.peers[key], desired.preshared_keys.get(key))
    for key in sorted(actual.peers.keys() - desired.peers.keys()):
        if not moving.isdisjoint(rows(actual.peers[key])):
            yield RemovePeer(key)


def _same_peers(one: Device, other: Device) -> bool:
    return one.peers == other.peers and one.preshared_keys == other.preshared_keys


def _added(desired: Device, actual: Device) -> AddPeers | None:
    """Return the step that makes the peers that are not there, None if all are."""
    if not actual.peers:
        return AddPeers(desired.peers, desired.preshared_keys) if desired.peers else None
    missing = sorted(desired.peers.keys() - actual.peers.keys())
    if not missing:
        return None
    psks = desired.preshared_keys
    return AddPeers(
        {key: desired.peers[key] for key in missing},
        {key: psks[key] for key in missing if key in psks},
    )


def _changed(desired: Device, actual: Device) -> list[bytes]:
    """Return the peers that are there and are to have other allowed IPs than they have."""
    if desired.peers == actual.peers:
        return []
    wanted = desired.peers
    return sorted(key for key, ips in actual.peers.items() if wanted.get(key, ips) != ips)


def _renewed(desired: Device, actual: Device) -> list[bytes]:
    """Return the peers that are there with another preshared key, or none, or one too many."""
    wanted, there = desired.preshared_keys, actual.preshared_keys
    return sorted(
        key
        for key in wanted.keys() | there.keys()
        if key in desired.peers and key in actual.peers and wanted.get(key) != there.get(key)
    )


def _moving(desired: Device, actual: Device) -> frozenset[bytes]:
    """Return the allowed IPs that a peer is to gain and another may hold."""
    if not actual.peers:
        return frozenset()
    added = (desired.peers[key] for key in desired.peers.keys() - actual.peers.keys())
    gained = (
        rows(desired.peers[key]) - rows(actual.peers[key]) for key in _changed(desired, actual)
    )
    return frozenset[bytes]().union(*map(rows, added), *gained)


def _held(device: Device) -> frozenset[bytes]:
    return frozenset[bytes]().union(*map(rows, device.peers.values()))


def _in_order(routes: Iterable[Route]) -> list[Route]:
    return sorted(routes, key=lambda one: (_place(one.destination), _place(one.source), one.metric))


def _place(network: IPv6Network | None) -> tuple[int, int]:
    """Return numbers that order as networks do, which the library compares ten times slower."""
    return (-1, 0) if network is None else (int(network.network_address), network.prefixlen)


def _addresses_in_order(addresses: Iterable[IPv6Interface]) -> list[IPv6Interface]:
    return sorted(addresses, key=lambda one: (int(one), one.network.prefixlen))
