"""What one network may resolve: every name of its zones with its records, packed and immutable.

A view is built from rows and one moment, and knows no other network; what a query gets out of it
is `wgctl.core.responder`.

    <app>.internal            AAAA of the peers that its started machines are on
    <peer>._peer.internal     AAAA of the peer
    _api.internal             AAAA of <net>::3
    _apps, _peer.internal     TXT: the names, sorted, with commas between
    <nibbles>.ip6.arpa        PTR of each peer and of <net>::3
    the two zones' apexes     SOA, NS

Beside these two zones stand empty ones, for names that mean nothing beyond a private network and
must not be asked elsewhere. The reverse zone of another network is part of such an empty zone,
just as an unused one is.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv6Address
from types import MappingProxyType

from peers.addresses import reverse_name, reverse_zone
from wgctl.core.model import App, Machine, MachineState, Network, Peer
from wgctl.core.wire import Qtype, Records, encode_name, record

__all__ = ["TTL_S", "Labels", "Node", "View", "Zone", "build"]

Labels = tuple[bytes, ...]
"""A name without the root's label, the first label first, in lower case."""

TTL_S = 5
"""How long an answer, or the lack of one, may be kept: what a change takes to be seen."""

_INTERNAL: Labels = (b"internal",)
_API: Labels = (b"_api", *_INTERNAL)
_APPS: Labels = (b"_apps", *_INTERNAL)
_PEERS: Labels = (b"_peer", *_INTERNAL)
_HOSTMASTER: Labels = (b"hostmaster", *_INTERNAL)

# No secondary server exists to read these three; the last field is the negative TTL (RFC 2308).
_REFRESH_S, _RETRY_S, _EXPIRE_S = 3600, 600, 86400
_SOA_NUMBERS = struct.Struct("!5I")
_POINTER = struct.Struct("!H")
_POINTER_BITS = 0xC000
_HEADER_BYTES = 12
_QUESTION_TAIL_BYTES = 4

_MAX_STRING = 255
# One message of 65,535 octets holds a whole answer or none of it.
_MAX_ADDRESSES = 2000
_MAX_LIST_BYTES = 60_000


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone: the name it begins at, the SOA that goes with «no», and the apex's own records."""

    apex: Labels
    soa: bytes
    records: Mapping[int, Records]

    def denial(self, question: bytes) -> Records:
        """Return the authority section of a negative reply to `question`, which is in this zone.

        The SOA's owner is a pointer to the end of the question's name.
        """
        apex_bytes = 1 + sum(1 + len(label) for label in self.apex)
        offset = _HEADER_BYTES + len(question) - _QUESTION_TAIL_BYTES - apex_bytes
        owner = _POINTER.pack(_POINTER_BITS | offset)
        return Records(1, record(Qtype.SOA, self.soa, ttl_s=TTL_S, owner=owner))


@dataclass(frozen=True, slots=True)
class Node:
    """A name that exists: its zone, and its records by type; none where only names below exist."""

    zone: Zone
    records: Mapping[int, Records]


@dataclass(frozen=True, slots=True)
class View:
    """All names of one network at one moment.

    `expires_at` is when the view is wrong without any change, because a peer's time is over; None:
    never.
    """

    network: Network
    expires_at: int | None
    names: Mapping[Labels, Node]
    zones: Mapping[Labels, Zone]

    def zone_of(self, labels: Labels) -> Zone | None:
        """Return the zone that `labels` are in, the innermost one; None for names of others."""
        empty = _empty_zones()
        for start in range(len(labels)):
            suffix = labels[start:]
            if zone := self.zones.get(suffix) or empty.get(suffix):
                return zone
        return None


def build(
    network: Network,
    peers: Iterable[Peer],
    apps: Iterable[App],
    machines: Iterable[Machine],
    *,
    now: int,
) -> View:
    """Return the view of `network` at `now`; the rows must all be its own.

    The serial of its zones is `now`: a revision would tell a tenant how busy all the others are.
    """
    peers = list(peers)
    living = [peer for peer in peers if not peer.expired(now=now)]
    forward = _zone(_INTERNAL, serial=now)
    reverse = _zone(_labels(reverse_zone(network.prefix)), serial=now)
    names = {zone.apex: Node(zone, zone.records) for zone in (forward, reverse)}
    for labels, records in _forward(network, living, apps=list(apps), machines=machines):
        names[labels] = Node(forward, records)
    _add_reverse(names, reverse, _targets(network, living))
    return View(
        network,
        min((peer.expires_at for peer in living if peer.expires_at is not None), default=None),
        MappingProxyType(names),
        MappingProxyType({zone.apex: zone for zone in (forward, reverse)}),
    )


def _forward(
    network: Network, peers: list[Peer], *, apps: list[App], machines: Iterable[Machine]
) -> Iterator[tuple[Labels, Mapping[int, Records]]]:
    yield _API, {Qtype.AAAA: _addresses([network.resolver])}
    yield _APPS, _list(app.name for app in apps)
    yield _PEERS, _list(peer.name for peer in peers)
    for peer in peers:
        yield (peer.name.encode(), *_PEERS), {Qtype.AAAA: _addresses([peer.address])}
    address_of = {peer.id: peer.address for peer in peers}
    running: dict[int, list[IPv6Address]] = {app.id: [] for app in apps}
    for machine in machines:
        started = machine.state is MachineState.STARTED and machine.app_id in running
        if started and machine.peer_id in address_of:
            running[machine.app_id].append(address_of[machine.peer_id])
    for app in apps:
        found = running[app.id]
        records: Mapping[int, Records] = {Qtype.AAAA: _addresses(found)} if found else {}
        yield (app.name.encode(), *_INTERNAL), records


def _targets(network: Network, peers: Iterable[Peer]) -> Iterator[tuple[IPv6Address, Labels]]:
    yield network.resolver, _API
    for peer in peers:
        yield peer.address, (peer.name.encode(), *_PEERS)


def _add_reverse(
    names: dict[Labels, Node], zone: Zone, targets: Iterable[tuple[IPv6Address, Labels]]
) -> None:
    """Add a PTR for each address, and the names between it and its zone, which hold nothing.

    So do the names above the zone: they are in the empty zone around it, and a resolver that
    walks down label by label must not hear that nothing is below them (RFC 8020).
    """
    nothing = Node(zone, {})
    for address, target in targets:
        labels = _labels(reverse_name(address))
        pointer = record(Qtype.PTR, encode_name(target), ttl_s=TTL_S)
        names[labels] = Node(zone, {Qtype.PTR: Records(1, pointer)})
        parent = labels[1:]
        while parent not in names:
            names[parent] = nothing
            parent = parent[1:]
    above = [zone.apex[start:] for start in range(1, len(zone.apex))]
    around = next(filter(None, map(_empty_zones().get, above)))
    for labels in above[: above.index(around.apex)]:
        names[labels] = Node(around, {})


def _addresses(addresses: list[IPv6Address]) -> Records:
    """Return AAAA records in order of address, each once however many machines share it."""
    distinct = sorted(set(addresses))[:_MAX_ADDRESSES]
    octets = (record(Qtype.AAAA, address.packed, ttl_s=TTL_S) for address in distinct)
    return Records(len(distinct), b"".join(octets))


def _list(words: Iterable[str]) -> Mapping[int, Records]:
    """Return one TXT record of `words`, sorted, commas between; an empty list has no record.

    Fly's format: strings of 255 octets that readers join without a separator. What would not fit
    into one message is left out, word by word from the end.
    """
    text = ",".join(sorted(words)).encode("ascii")
    if len(text) > _MAX_LIST_BYTES:
        text = text[: text.rindex(b",", 0, _MAX_LIST_BYTES + 1)]
    if not text:
        return {}
    strings = (text[at : at + _MAX_STRING] for at in range(0, len(text), _MAX_STRING))
    data = b"".join(bytes((len(string),)) + string for string in strings)
    return {Qtype.TXT: Records(1, record(Qtype.TXT, data, ttl_s=TTL_S))}


def _zone(apex: Labels, *, serial: int) -> Zone:
    numbers = _SOA_NUMBERS.pack(serial & 0xFFFFFFFF, _REFRESH_S, _RETRY_S, _EXPIRE_S, TTL_S)
    soa = encode_name(_API) + encode_name(_HOSTMASTER) + numbers
    server = record(Qtype.NS, encode_name(_API), ttl_s=TTL_S)
    records: Mapping[int, Records] = {
        Qtype.SOA: Records(1, record(Qtype.SOA, soa, ttl_s=TTL_S)),
        Qtype.NS: Records(1, server),
    }
    return Zone(apex, soa, records)


def _labels(text: str) -> Labels:
    return tuple(text.encode("ascii").split(b"."))


@cache
def _empty_zones() -> Mapping[Labels, Zone]:
    return {_labels(text): _zone(_labels(text), serial=1) for text in _empty_apexes()}


def _empty_apexes() -> Iterator[str]:
    """Yield the zones that every resolver of private names keeps to itself."""
    # RFC 6761, 6762, 7686, 9476; `flycast` is for service addresses of ours.
    yield from ("local", "localhost", "invalid", "test", "onion", "alt", "flycast")
    yield from ("home.arpa", "resolver.arpa")  # RFC 8375, 9462
    # RFC 6303, section 4, RFC 7793 for 100.64.0.0/10.
    yield from ("10.in-addr.arpa", "168.192.in-addr.arpa", "254.169.in-addr.arpa")
    yield from (f"{number}.172.in-addr.arpa" for number in range(16, 32))
    yield from (f"{number}.100.in-addr.arpa" for number in range(64, 128))
    yield from ("0.in-addr.arpa", "127.in-addr.arpa", "255.255.255.255.in-addr.arpa")
    yield from ("2.0.192.in-addr.arpa", "100.51.198.in-addr.arpa", "113.0.203.in-addr.arpa")
    yield reverse_name(IPv6Address("::"))
    yield reverse_name(IPv6Address("::1"))
    # The whole of fc00::/7, fe80::/10 and the prefix of examples.
    yield from ("c.f.ip6.arpa", "d.f.ip6.arpa", "8.b.d.0.1.0.0.2.ip6.arpa")
    yield from (f"{nibble}.e.f.ip6.arpa" for nibble in "89ab")
