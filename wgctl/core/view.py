"""What one network may resolve: every name of its zones with its records, packed and immutable.

A view is built from rows, one moment and one place, and knows no other network; what a query gets
out of it is `wgctl.core.responder`.

    <app>.internal            and what stands below it: see `wgctl.core.names.app`
    <peer>._peer.internal     AAAA of the peer
    _api.internal             AAAA of <net>::3
    _apps, _peer.internal     TXT: the names, sorted, with commas between
    _instances, all._instances.internal
                              TXT: instance=<machine>,app=<app>,ip=<address>,region=<region>;...
    <app>.flycast             AAAA of the app's service address, for those that have one
    <nibbles>.ip6.arpa        PTR of each peer, of each service address and of <net>::3
    the three zones' apexes   SOA, NS

Beside these zones stand the empty ones of `wgctl.core.names.special`. Where a name exists every
name above it does too, and holds nothing if nothing else gives it records (RFC 8020).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from types import MappingProxyType
from typing import NamedTuple

from wgctl.core.model import App, Machine, Network, Peer
from wgctl.core.names.app import (
    METADATA,
    NEAREST,
    Instance,
    app_names,
    described,
    nearest,
    top,
)
from wgctl.core.names.record_set import TTL_S, Entry, RecordSet, address, listing, target
from wgctl.core.names.reverse import Reverse
from wgctl.core.names.special import local_node, special_zones
from wgctl.core.names.zone import API, FLYCAST, INTERNAL, Node, Zone, zone_at
from wgctl.core.region import NOWHERE, Vantage
from wgctl.core.wire import Labels, Qtype

__all__ = ["View", "build", "prolonged"]

_APPS: Labels = (b"_apps", *INTERNAL)
_PEERS: Labels = (b"_peer", *INTERNAL)
_INSTANCES: Labels = (b"_instances", *INTERNAL)

_NO_LEASES: Mapping[int, int] = MappingProxyType({})

# Seconds that are left are counted with the one that has begun, and a view may be 1 s old.
_UNSURE_S = 2

_Names = Iterator[tuple[Labels, Mapping[int, RecordSet]]]


@dataclass(frozen=True, slots=True)
class View:
    """All names of one network at one moment.

    `expires_at` is when the view is wrong without any change, because a peer's time is over or a
    lease is about to end; None: never. `ends_at` is the first of these of a peer. `leased` are the
    machines whose leases the view counts on, None where one of them is about to end. `server` is
    the AAAA record of the one server of all zones, under its name. `names` are those under
    `internal` and `flycast` that are written down; the others are `reverse`, `top<N>` above each
    name of `nearest`, and what describes the machines of `metadata` above each of its names.
    """

    network: Network
    expires_at: int | None
    ends_at: int | None
    leased: frozenset[int] | None
    zone: Zone
    flycast: Zone
    server: bytes
    names: Mapping[Labels, Node]
    nearest: Mapping[Labels, RecordSet]
    metadata: Mapping[Labels, Sequence[Instance]]
    reverse: Reverse

    def find(self, labels: Labels) -> Node | None:
        """Return what stands at `labels`; None where there is no such name here."""
        node = self.names.get(labels) or self.reverse.find(labels)
        return node or self._top(labels) or self._described(labels) or self._special(labels)

    def zone_of(self, labels: Labels) -> Zone | None:
        """Return the zone that `labels` are in, the innermost one; None for names of others."""
        special = special_zones()
        for start in range(len(labels)):
            suffix = labels[start:]
            for zone in (self.zone, self.flycast, self.reverse.zone):
                if suffix == zone.apex:
                    return zone
            if suffix in special:
                return special[suffix]
        return None

    def _top(self, labels: Labels) -> Node | None:
        of = self.nearest.get(labels[1:])
        records = None if of is None else top(labels[0], of)
        return None if records is None else Node(self.zone, records)

    def _described(self, labels: Labels) -> Node | None:
        for length in (1, 2):
            instances = self.metadata.get(labels[length:])
            if instances is not None:
                records = described(labels[:length], instances)
                return None if records is None else Node(self.zone, records)
        return None

    def _special(self, labels: Labels) -> Node | None:
        """Return the apex of an empty zone, or a name between one and the reverse zone in it.

        A resolver that walks down label by label must not hear that nothing is below it.
        """
        if node := local_node(labels):
            return node
        if zone := special_zones().get(labels):
            return Node(zone, zone.records)
        zone = self.zone_of(labels)
        if zone and labels and self.reverse.zone.apex[-len(labels) :] == labels:
            return Node(zone, {})
        return None


def build(  # noqa: PLR0913  # each of these is a fact of its own
    network: Network,
    peers: Iterable[Peer],
    apps: Iterable[App],
    machines: Iterable[Machine],
    *,
    now: int,
    here: Vantage = NOWHERE,
    failing: frozenset[int] = frozenset(),
    leases: Mapping[int, int] = _NO_LEASES,
) -> View:
    """Return the view of `network` at `now`; the rows must all be its own.

    `here` says what is near, `failing` are the ids of machines that do not pass their checks,
    `leases` the seconds that are left to those that have a lease, 0 after its end: no answer may be
    kept for longer. The serial of the zones is `now`: a revision would tell how busy others are.
    """
    living = _living(peers, now=now)
    homes = [_Home(app, (app.name.encode(), *INTERNAL), []) for app in apps]
    there = [machine for machine in machines if leases.get(machine.id, 1) > 0]
    _settle(homes, living, machines=there, failing=failing)
    kept = _shorten(homes, leases)
    zone, flycast = zone_at(INTERNAL, serial=now), zone_at(FLYCAST, serial=now)
    names = {each.apex: Node(each, each.records) for each in (zone, flycast)}
    near = {(*NEAREST, *home.name): nearest(home.instances, here.distance_km) for home in homes}
    facts, served = _facts(homes), list(_served(homes))
    for labels, records in _forward(network, living, homes, kept):
        _add(names, labels, Node(zone, records))
    for labels in (*near, *facts):
        _add(names, labels, Node(zone, {}))
    for at, labels in served:
        _add(names, labels, Node(flycast, _alone(address(at))))
    targets = [(network.resolver, API), *((one.peer.address, one.name) for one in living), *served]
    return View(
        network,
        _expiry(ends_at := _first_end(living), leases, now=now),
        ends_at,
        None if _any_short(leases) else _lasting(leases),
        zone,
        flycast,
        target(API, network.resolver).glue,
        MappingProxyType(names),
        MappingProxyType(near),
        MappingProxyType(facts),
        Reverse.of(network.prefix, targets, serial=now),
    )


def prolonged(view: View, leases: Mapping[int, int], *, now: int) -> View | None:
    """Return `view`, which has expired, for as long as it is right since leases were renewed.

    None where it is not: it must be built anew.
    """
    stays = view.ends_at is None or view.ends_at > now
    if stays and not _any_short(leases) and _lasting(leases) == view.leased:
        return replace(view, expires_at=_expiry(view.ends_at, leases, now=now))
    return None


class _Member(NamedTuple):
    """A peer whose time is not over, its name, and its AAAA record."""

    peer: Peer
    name: Labels
    entry: Entry


class _Home(NamedTuple):
    """An app, its name, and its machines on peers that are there, in order of address."""

    app: App
    name: Labels
    instances: list[Instance]


def _living(peers: Iterable[Peer], *, now: int) -> list[_Member]:
    """Return the peers whose time is not over."""
    return [
        _Member(peer, (peer.name.encode(), *_PEERS), address(peer.address))
        for peer in peers
        if not peer.expired(now=now)
    ]


def _first_end(members: Iterable[_Member]) -> int | None:
    ends = (one.peer.expires_at for one in members)
    return min((end for end in ends if end is not None), default=None)


def _settle(
    homes: Iterable[_Home],
    members: Iterable[_Member],
    *,
    machines: Iterable[Machine],
    failing: frozenset[int],
) -> None:
    """Put each machine that has an app and a peer into its app's home."""
    member_of = {member.peer.id: member for member in members}
    home_of = {home.app.id: home for home in homes}
    for machine in machines:
        member, home = member_of.get(machine.peer_id), home_of.get(machine.app_id)
        if member and home:
            home.instances.append(
                Instance(machine, member.peer.address, member.entry, failing=machine.id in failing)
            )
    for home in homes:
        home.instances.sort(key=lambda one: one.entry)


def _shorten(homes: Iterable[_Home], leases: Mapping[int, int]) -> Mapping[int, int]:
    """Shorten how long the addresses of apps may be kept; return that of each app, by its id.

    The records of one name have one TTL (RFC 2181, section 5.2).
    """
    kept = {home.app.id: _kept_s(home, leases) for home in homes}
    for home in homes:
        ttl_s = kept[home.app.id]
        if ttl_s < TTL_S:
            short = [
                replace(one, entry=address(one.address, ttl_s=ttl_s)) for one in home.instances
            ]
            home.instances[:] = short
    return kept


def _kept_s(home: _Home, leases: Mapping[int, int]) -> int:
    left = (leases.get(one.machine.id) for one in home.instances)
    return min((_ttl_s(left_s) for left_s in left if left_s is not None), default=TTL_S)


def _ttl_s(left_s: int) -> int:
    """Return how long an answer may be kept whose machine has a lease."""
    return min(TTL_S, max(0, left_s - _UNSURE_S))


def _lasting(leases: Mapping[int, int]) -> frozenset[int]:
    return frozenset(machine_id for machine_id, left_s in leases.items() if left_s > 0)


def _any_short(leases: Mapping[int, int]) -> bool:
    """Whether a lease is so near to its end that answers may not be kept as long as others."""
    return any(left_s > 0 and _ttl_s(left_s) < TTL_S for left_s in leases.values())


def _expiry(ends_at: int | None, leases: Mapping[int, int], *, now: int) -> int | None:
    """Return when a peer's time is over or the TTL of an answer has to be shorter."""
    steps = (now + max(1, left_s - _UNSURE_S - TTL_S) for left_s in leases.values() if left_s > 0)
    ends = [] if ends_at is None else [ends_at]
    return min((*ends, *steps), default=None)


def _forward(
    network: Network,
    members: Iterable[_Member],
    homes: Iterable[_Home],
    kept: Mapping[int, int],
) -> _Names:
    yield API, _alone(address(network.resolver))
    yield _APPS, listing(sorted(home.app.name for home in homes))
    yield _PEERS, listing(sorted(member.peer.name for member in members))
    for member in members:
        yield member.name, _alone(member.entry)
    directory = [(home.app, one) for home in homes for one in home.instances]
    directory.sort(key=lambda row: row[1].machine.name)
    started = (_line(app, one) for app, one in directory if one.started)
    shortest_s = min(kept.values(), default=TTL_S)
    yield _INSTANCES, listing(started, separator=";", ttl_s=shortest_s)
    deployed = (_line(app, one) for app, one in directory)
    yield (b"all", *_INSTANCES), listing(deployed, separator=";", ttl_s=shortest_s)
    for home in homes:
        yield from app_names(home.name, home.instances, ttl_s=kept[home.app.id])


def _facts(homes: Iterable[_Home]) -> Mapping[Labels, Sequence[Instance]]:
    """Return the machines of the apps that have metadata, by the name below the keys."""
    return {
        (*METADATA, *home.name): home.instances
        for home in homes
        if any(one.machine.metadata for one in home.instances)
    }


def _served(homes: Iterable[_Home]) -> Iterator[tuple[IPv6Address, Labels]]:
    """Yield the service addresses that there are, with their names."""
    for home in homes:
        if home.app.service_address is not None:
            yield home.app.service_address, (home.app.name.encode(), *FLYCAST)


def _add(names: dict[Labels, Node], labels: Labels, node: Node) -> None:
    """Add `node`, and the names between it and its zone."""
    names[labels] = node
    above = labels[1:]
    while above not in names:
        names[above] = Node(node.zone, {})
        above = above[1:]


def _alone(entry: Entry) -> Mapping[int, RecordSet]:
    return {Qtype.AAAA: RecordSet(((entry,),))}


def _line(app: App, one: Instance) -> str:
    machine = one.machine
    return f"instance={machine.name},app={app.name},ip={one.address},region={machine.region}"
