"""What one network may resolve: every name of its zones with its records, packed and immutable.

A view is built from rows, one moment and one place, and knows no other network; what a query gets
out of it is `wgctl.core.responder`. Building one takes a look at each row: the names themselves
are put together when they are asked for, a branch at a time.

    <app>.internal            and what stands below it: see `wgctl.core.names.app`
    <peer>._peer.internal     AAAA of the peer: see `wgctl.core.names.peers`
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
from itertools import chain
from types import MappingProxyType

from wgctl.core.model import App, Machine, Network, Peer
from wgctl.core.names.app import Home, Instance, Placed, app_branch
from wgctl.core.names.branch import TOP_LABELS, Branch, Names, Stands
from wgctl.core.names.peers import PEERS, PeerBranch, at_address
from wgctl.core.names.record_set import TTL_S, address, listing, target
from wgctl.core.names.reverse import Reverse
from wgctl.core.names.special import local_node, special_zones
from wgctl.core.names.zone import API, FLYCAST, INTERNAL, Node, Zone, zone_at
from wgctl.core.region import NOWHERE, Vantage
from wgctl.core.wire import Labels

__all__ = ["View", "build", "prolonged"]

_APPS: Labels = (b"_apps", *INTERNAL)
_INSTANCES: Labels = (b"_instances", *INTERNAL)

_NO_LEASES: Mapping[int, int] = MappingProxyType({})

# Seconds that are left are counted with the one that has begun, and a view may be 1 s old.
_UNSURE_S = 2

_Branches = Iterator[tuple[Labels, Branch]]


@dataclass(frozen=True, slots=True)
class View:
    """All names of one network at one moment.

    `expires_at` is when the view is wrong without any change, because a peer's time is over or a
    lease is about to end; None: never. `ends_at` is the first of these of a peer. `leased` are the
    machines whose leases the view counts on, None where one of them is about to end. `server` is
    the AAAA record of the one server of all zones, under its name. `branches` hold the names under
    `internal` and `flycast`, by their tops.
    """

    network: Network
    expires_at: int | None
    ends_at: int | None
    leased: frozenset[int] | None
    zone: Zone
    flycast: Zone
    server: bytes
    branches: Mapping[Labels, Branch]
    reverse: Reverse

    def find(self, labels: Labels) -> Node | None:
        """Return what stands at `labels`; None where there is no such name here."""
        branch = self.branches.get(labels[-TOP_LABELS:])
        if branch is not None:
            stands = branch.find(labels)
            return None if stands is None else Node(self._apex(labels), stands)
        return self._bare(labels) or self.reverse.find(labels) or self._special(labels)

    def stands(self, labels: Labels) -> Stands | None:
        """Return the records of what stands at `labels`, by type."""
        node = self.find(labels)
        return None if node is None else node.records

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

    def names(self) -> Mapping[Labels, Node]:
        """Return all names under `internal` and `flycast` that are not found by rule."""
        found = {zone.apex: Node(zone, zone.records) for zone in (self.zone, self.flycast)}
        for branch in self.branches.values():
            found.update((at, Node(self._apex(at), here)) for at, here in branch.names.items())
        return found

    def _apex(self, labels: Labels) -> Zone:
        return self.zone if labels[-1:] == INTERNAL else self.flycast

    def _bare(self, labels: Labels) -> Node | None:
        for zone in (self.zone, self.flycast):
            if labels == zone.apex:
                return Node(zone, zone.records)
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
    before: View | None = None,
) -> View:
    """Return the view of `network` at `now`; the rows must all be its own.

    `here` says what is near, `failing` are the ids of machines that do not pass their checks,
    `leases` the seconds that are left to those that have a lease, 0 after its end: no answer may be
    kept for longer. The serial of the zones is `now`: a revision would tell how busy others are.
    What has not changed since `before`, seen from the same place, is taken from there.
    """
    living = [peer for peer in peers if not peer.expired(now=now)]
    there = [machine for machine in machines if leases.get(machine.id, 1) > 0]
    known = {} if before is None else before.branches
    homes = _homes(apps, living, machines=there, failing=failing, leases=leases, known=known)
    served = list(_served(home.app for home in homes))
    branches = chain(
        _fixed(network, living, homes, known),
        _app_branches(homes, known, here),
        ((labels, _alone(labels, at)) for at, labels in served),
    )
    ends_at = min((peer.expires_at for peer in living if peer.expires_at is not None), default=None)
    return View(
        network,
        _expiry(ends_at, leases, now=now),
        ends_at,
        None if _any_short(leases) else _lasting(leases),
        zone_at(INTERNAL, serial=now),
        zone_at(FLYCAST, serial=now),
        target(API, network.resolver).glue,
        _kept(branches, known),
        Reverse.of(network.prefix, lambda: _targets(network, living, served), serial=now),
    )


def prolonged(view: View, leases: Mapping[int, int], *, now: int) -> View | None:
    """Return `view`, which has expired, for as long as it is right since leases were renewed.

    None where it is not: it must be built anew.
    """
    stays = view.ends_at is None or view.ends_at > now
    if stays and not _any_short(leases) and _lasting(leases) == view.leased:
        return replace(view, expires_at=_expiry(view.ends_at, leases, now=now))
    return None


def _homes(
    apps: Iterable[App],
    living: Iterable[Peer],
    *,
    machines: Iterable[Machine],
    failing: frozenset[int],
    leases: Mapping[int, int],
    known: Mapping[Labels, Branch],
) -> list[Home]:
    """Return the apps, each with its machines on peers that are there.

    One that is `known` and has not changed is the same object.
    """
    address_of = {peer.id: peer.address for peer in living}
    placed_of: dict[int, list[Placed]] = {}
    for machine in machines:
        at = address_of.get(machine.peer_id)
        if at is not None:
            placed = Placed(machine, at, machine.id in failing)
            placed_of.setdefault(machine.app_id, []).append(placed)
    homes = []
    for app in apps:
        found = placed_of.get(app.id, [])
        ttl_s = _kept_s(found, leases) if leases else TTL_S
        name = (app.name.encode(), *INTERNAL)
        branch = known.get(name)
        home = branch.of if branch else None
        if not (isinstance(home, Home) and home.stays(app, found, ttl_s)):
            home = Home(app, name, found, _instances_of(found, ttl_s=ttl_s), ttl_s)
        homes.append(home)
    return homes


def _instances_of(found: Sequence[Placed], *, ttl_s: int) -> tuple[Instance, ...]:
    entries = {one.machine.peer_id: address(one.address, ttl_s=ttl_s) for one in found}
    instances = (
        Instance(machine, at, entries[machine.peer_id], failing) for machine, at, failing in found
    )
    return tuple(sorted(instances, key=lambda one: one.entry))


def _app_branches(
    homes: Iterable[Home], known: Mapping[Labels, Branch], here: Vantage
) -> _Branches:
    for home in homes:
        branch = known.get(home.name)
        same = branch is not None and branch.of is home
        yield home.name, branch if branch and same else app_branch(home, here.distance_km)


def _kept_s(found: Iterable[Placed], leases: Mapping[int, int]) -> int:
    """Return how long an answer may be kept that machines are in which were `found`.

    The records of one name have one TTL (RFC 2181, section 5.2).
    """
    left = (leases.get(one.machine.id) for one in found)
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


def _kept(branches: _Branches, before: Mapping[Labels, Branch]) -> Mapping[Labels, Branch]:
    """Return `branches`, in place of each that has not changed the one of `before`."""
    found = {}
    for labels, branch in branches:
        known = before.get(labels)
        found[labels] = known if known is not None and known.of == branch.of else branch
    return MappingProxyType(found)


def _fixed(
    network: Network,
    living: Sequence[Peer],
    homes: Sequence[Home],
    known: Mapping[Labels, Branch],
) -> _Branches:
    """Yield the branches that every network has."""
    yield API, _alone(API, network.resolver)
    apps = sorted(home.app.name for home in homes)
    yield _APPS, Branch(apps, lambda: [(_APPS, listing(apps))])
    peers = known.get(PEERS)
    yield PEERS, peers.after(living) if isinstance(peers, PeerBranch) else PeerBranch(living)
    yield _INSTANCES, Branch(homes, lambda: _instances(homes))


def _instances(homes: Iterable[Home]) -> Names:
    ttl_s = min((home.ttl_s for home in homes), default=TTL_S)
    directory = [(home.app, one) for home in homes for one in home.instances]
    directory.sort(key=lambda row: row[1].machine.name)
    started = (_line(app, one) for app, one in directory if one.started)
    yield _INSTANCES, listing(started, separator=";", ttl_s=ttl_s)
    deployed = (_line(app, one) for app, one in directory)
    yield (b"all", *_INSTANCES), listing(deployed, separator=";", ttl_s=ttl_s)


def _served(apps: Iterable[App]) -> Iterator[tuple[IPv6Address, Labels]]:
    """Yield the service addresses that there are, with their names."""
    for app in apps:
        if app.service_address is not None:
            yield app.service_address, (app.name.encode(), *FLYCAST)


def _targets(
    network: Network,
    living: Iterable[Peer],
    served: Iterable[tuple[IPv6Address, Labels]],
) -> Iterator[tuple[IPv6Address, Labels]]:
    yield network.resolver, API
    yield from ((peer.address, (peer.name.encode(), *PEERS)) for peer in living)
    yield from served


def _alone(labels: Labels, at: IPv6Address) -> Branch:
    return Branch(at, lambda: [(labels, at_address(at))])


def _line(app: App, one: Instance) -> str:
    machine = one.machine
    return f"instance={machine.name},app={app.name},ip={one.address},region={machine.region}"
