"""What one network may resolve: every name of its zones with its records, packed and immutable.

A view is built from rows, one moment and one place, and knows no other network; what a query gets
out of it is `wgctl.core.responder`.

    <app>.internal            and what stands below it: see `wgctl.core.names.app`
    <peer>._peer.internal     AAAA of the peer
    _api.internal             AAAA of <net>::3
    _apps, _peer.internal     TXT: the names, sorted, with commas between
    _instances, all._instances.internal
                              TXT: instance=<machine>,app=<app>,ip=<address>,region=<region>;...
    <nibbles>.ip6.arpa        PTR of each peer and of <net>::3
    the two zones' apexes     SOA, NS

Beside these two zones stand those of `wgctl.core.names.special`. Where a name exists every
name above it does too, and holds nothing if nothing else gives it records (RFC 8020).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from wgctl.core.model import App, Machine, Network, Peer
from wgctl.core.names.app import NEAREST, Instance, app_names, nearest, top
from wgctl.core.names.record_set import Entry, RecordSet, address, listing
from wgctl.core.names.reverse import Reverse
from wgctl.core.names.special import local_node, special_zones
from wgctl.core.names.zone import API, INTERNAL, Node, Zone, zone_at
from wgctl.core.region import NOWHERE, Vantage
from wgctl.core.wire import Labels, Qtype

__all__ = ["View", "build"]

_APPS: Labels = (b"_apps", *INTERNAL)
_PEERS: Labels = (b"_peer", *INTERNAL)
_INSTANCES: Labels = (b"_instances", *INTERNAL)

_Names = Iterator[tuple[Labels, Mapping[int, RecordSet]]]


@dataclass(frozen=True, slots=True)
class View:
    """All names of one network at one moment.

    `expires_at` is when the view is wrong without any change, because a peer's time is over; None:
    never. `names` are those under `internal` that are written down; the others are `reverse`, and
    `top<N>` above each name of `nearest`.
    """

    network: Network
    expires_at: int | None
    zone: Zone
    names: Mapping[Labels, Node]
    nearest: Mapping[Labels, RecordSet]
    reverse: Reverse

    def find(self, labels: Labels) -> Node | None:
        """Return what stands at `labels`; None where there is no such name here."""
        node = self.names.get(labels) or self.reverse.find(labels)
        return node or self._top(labels) or self._special(labels)

    def zone_of(self, labels: Labels) -> Zone | None:
        """Return the zone that `labels` are in, the innermost one; None for names of others."""
        special = special_zones()
        for start in range(len(labels)):
            suffix = labels[start:]
            if suffix == self.zone.apex:
                return self.zone
            if suffix == self.reverse.zone.apex:
                return self.reverse.zone
            if zone := special.get(suffix):
                return zone
        return None

    def _top(self, labels: Labels) -> Node | None:
        of = self.nearest.get(labels[1:])
        records = None if of is None else top(labels[0], of)
        return None if records is None else Node(self.zone, records)

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


def build(
    network: Network,
    peers: Iterable[Peer],
    apps: Iterable[App],
    machines: Iterable[Machine],
    *,
    now: int,
    here: Vantage = NOWHERE,
    failing: frozenset[int] = frozenset(),
) -> View:
    """Return the view of `network` at `now`; the rows must all be its own.

    `here` says what is near, `failing` are the ids of machines that do not pass their checks. The
    serial of the zones is `now`: a revision would tell a tenant how busy all the others are.
    """
    living = [
        _Member(peer, (peer.name.encode(), *_PEERS), address(peer.address))
        for peer in peers
        if not peer.expired(now=now)
    ]
    homes = [_Home(app, (app.name.encode(), *INTERNAL), []) for app in apps]
    _settle(homes, living, machines=machines, failing=failing)
    zone = zone_at(INTERNAL, serial=now)
    names = {INTERNAL: Node(zone, zone.records)}
    for labels, records in _forward(network, living, homes):
        _add(names, labels, Node(zone, records))
    near = {(*NEAREST, *home.name): nearest(home.instances, here.distance_km) for home in homes}
    for labels in near:
        _add(names, labels, Node(zone, {}))
    targets = [(network.resolver, API), *((one.peer.address, one.name) for one in living)]
    ends = [one.peer.expires_at for one in living if one.peer.expires_at is not None]
    return View(
        network,
        min(ends, default=None),
        zone,
        MappingProxyType(names),
        MappingProxyType(near),
        Reverse.of(network.prefix, targets, serial=now),
    )


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


def _forward(network: Network, members: Iterable[_Member], homes: Iterable[_Home]) -> _Names:
    yield API, _alone(address(network.resolver))
    yield _APPS, listing(sorted(home.app.name for home in homes))
    yield _PEERS, listing(sorted(member.peer.name for member in members))
    for member in members:
        yield member.name, _alone(member.entry)
    directory = [(home.app, one) for home in homes for one in home.instances]
    directory.sort(key=lambda row: row[1].machine.name)
    started = (_line(app, one) for app, one in directory if one.started)
    yield _INSTANCES, listing(started, separator=";")
    deployed = (_line(app, one) for app, one in directory)
    yield (b"all", *_INSTANCES), listing(deployed, separator=";")
    for home in homes:
        yield from app_names(home.name, home.instances)


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
