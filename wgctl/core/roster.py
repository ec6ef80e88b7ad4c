"""The networks and peers that a gateway programs, and what each change of the feed touches.

Knows rows and the time up to which expiries were honoured; what they mean for a tunnel is
`wgctl.core.plan`. A change costs what it touches, not what there is: a preshared key is opened
once, when its row comes, which takes 0.2 to 0.5 ms. A peer whose preshared key cannot be opened
counts as not there: without it, whoever has the peer's private key alone would come in.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

from peers.errors import InvalidSeal
from peers.keys import PresharedKey
from peers.seal import SealedKey, unseal
from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.model import App, LostSeal, Machine, Network, Peer, Seal
from wgctl.core.plan import desired
from wgctl.core.service import Service, Services
from wgctl.core.tunnel import Host, Tunnel
from wgctl.core.whole import Whole

__all__ = ["Change", "Roster"]

_Row = TypeVar("_Row", Network, Peer)


class Change(NamedTuple):
    """The touched part of a tunnel, as it was to be and as it is to be.

    `diff(after, before)` gives the steps of this change alone.
    """

    before: Tunnel
    after: Tunnel


class Roster:
    """The rows of one gateway; used by one thread at a time.

    `now` is the time up to which expiries were honoured, in seconds since 1970. Only `change`,
    `expire` and `end` move it, and say what that touched.
    """

    def __init__(self, host: Host) -> None:
        """Start with no rows, at the beginning of time."""
        self._host = host
        self._networks: dict[int, Network] = {}
        self._peers: dict[int, Peer] = {}
        self._seals: dict[int, _Sealed] = {}
        self._sealed_peers: dict[int, int] = {}
        self._keys: dict[int, PresharedKey] = {}
        self._members: defaultdict[int, set[int]] = defaultdict(set)
        self._expiries: list[tuple[int, int]] = []
        self._services = Services()
        self.now = 0
        self._whole: Whole | None = None

    def replace(
        self,
        networks: Iterable[Network],
        peers: Iterable[Peer],
        seals: Iterable[Seal | LostSeal] = (),
        apps: Iterable[App] = (),
        machines: Iterable[Machine] = (),
    ) -> None:
        """Forget every row and take these; a seal that is lost locks its peer out."""
        self._whole = None
        self._services.replace(apps, machines)
        self._networks = {network.id: network for network in networks}
        for kept in (self._peers, self._members, self._seals, self._sealed_peers, self._keys):
            kept.clear()
        self._expiries.clear()
        for peer in peers:
            self._take(peer)
        for seal in seals:
            self._take_seal(seal)
        self._open(self._seals)

    def whole(self) -> Tunnel:
        """Return all that the tunnel is to be."""
        if self._whole is None:
            rows = self._rows(self._networks, self._peers, self._services.every(), now=self.now)
            self._whole = Whole(self._part(rows, [], now=self.now))
        return self._whole.tunnel()

    def change(
        self, events: Iterable[Put | Delete], *, now: int, ended: frozenset[int] | None = None
    ) -> Change:
        """Take the rows of `events`, in order, and return what they touched.

        Peers whose time has come by `now` count as touched; with the roster's own `now` there are
        none. Where the clock went back, those who are back are in the whole alone. `ended` are the
        ids of the machines whose leases have ended; None: those of the last time.
        """
        events = list(events)
        networks = _ids(events, Kind.NETWORK)
        written = _ids(events, Kind.PEER) | self._ids_of_sealed(events)
        peers = written.union(self._due(now), *(self._members[id_] for id_ in networks))
        ending = frozenset[int]() if ended is None else self._services.ending(ended)
        apps = self._services.touched(events, peers | ending)
        old = self._rows(networks, peers, apps, now=self.now)
        for event in events:
            self._write(event)
            self._services.write(event)
        if ended is not None:
            self._services.end(ended)
        self._open(written)
        new = self._rows(networks, peers, apps, now=now)
        # A peer counts for nothing without its network: those that stay as they are belong to
        # both sides.
        around = {peer.network_id for peer in (*old.peers, *new.peers)} - networks
        unchanged = _of(self._networks, around)
        before = self._part(old, unchanged, now=self.now)
        after = self._part(new, unchanged, now=now)
        self._go_back(now)
        self.now = now
        if self._whole is not None:
            self._whole.amend(before, after)
        return Change(before, after)

    def expire(self, *, now: int) -> Change | None:
        """Return what peers whose time has come by `now` touch; None if there are none."""
        self._go_back(now)
        if not self._expiries or self._expiries[0][0] > now:
            return None
        return self.change((), now=now)

    def end(self, ended: frozenset[int], *, now: int) -> Change | None:
        """Leave out these machines, whose leases have ended, and no others; None: as before."""
        return self.change((), now=now, ended=ended) if self._services.ending(ended) else None

    def leased(self) -> Sequence[Machine]:
        """Return the machines behind service addresses that have a lease."""
        return self._services.leased()

    def peer_ids(self) -> dict[bytes, int]:
        """Return the ids of all peers by the 32 bytes of their keys."""
        return {peer.public_key.raw: peer.id for peer in self._peers.values()}

    def expired_keys(self, *, now: int) -> frozenset[bytes]:
        """Return the keys, 32 bytes each, of the peers whose time is over at `now`."""
        return frozenset(
            peer.public_key.raw for peer in self._peers.values() if peer.expired(now=now)
        )

    def is_empty(self) -> bool:
        """Whether there is no network and no peer."""
        return not (self._networks or self._peers)

    def locked(self) -> list[Peer]:
        """Return the peers whose preshared key cannot be opened, by id."""
        return [
            self._peers[id_]
            for id_ in sorted(self._seals.keys() - self._keys.keys())
            if id_ in self._peers
        ]

    def _go_back(self, now: int) -> None:
        """Let peers be there again whose time is to come once more, if the clock went back."""
        if now >= self.now:
            return
        self.now = now
        self._whole = None
        self._expiries = [
            (peer.expires_at, peer.id)
            for peer in self._peers.values()
            if peer.expires_at is not None and peer.expires_at > now
        ]
        heapq.heapify(self._expiries)

    def _due(self, now: int) -> Iterator[int]:
        while self._expiries and self._expiries[0][0] <= now:
            yield heapq.heappop(self._expiries)[1]

    def _rows(
        self, networks: Iterable[int], peers: Iterable[int], apps: Iterable[int], *, now: int
    ) -> "_Rows":
        found = [peer for peer in _of(self._peers, peers) if self._opened(peer)]
        keys = {peer.id: self._keys[peer.id] for peer in found if peer.id in self._keys}

        def reach(peer_id: int) -> Peer | None:
            peer = self._peers.get(peer_id)
            if peer is None or peer.network_id not in self._networks or peer.expired(now=now):
                return None
            return peer if self._opened(peer) else None

        services = self._services.list(apps, reach)
        return _Rows(_of(self._networks, networks), found, keys, services)

    def _opened(self, peer: Peer) -> bool:
        """Whether the peer has no preshared key, or one that could be opened."""
        return peer.id in self._keys or peer.id not in self._seals

    def _part(self, rows: "_Rows", unchanged: list[Network], *, now: int) -> Tunnel:
        return desired(
            [*rows.networks, *unchanged],
            rows.peers,
            host=self._host,
            now=now,
            preshared_keys=rows.keys,
            services=rows.services,
        )

    def _ids_of_sealed(self, events: Iterable[Put | Delete]) -> set[int]:
        """Return the peers whose seals come or go."""
        seals = _ids(events, Kind.SEAL) & self._sealed_peers.keys()
        rows = (event.row for event in events if isinstance(event, Put))
        return {self._sealed_peers[id_] for id_ in seals}.union(
            row.peer_id for row in rows if isinstance(row, Seal)
        )

    def _open(self, peer_ids: Iterable[int]) -> None:
        """Open the preshared keys of these peers anew, as far as that can be done."""
        for id_ in peer_ids:
            self._keys.pop(id_, None)
            peer, seal = self._peers.get(id_), self._seals.get(id_)
            if peer is None or seal is None or seal.key is None:
                continue
            with suppress(InvalidSeal):
                self._keys[id_] = unseal(
                    seal.key, gateway=self._host.private_key, peer=peer.public_key
                )

    def _write(self, event: Put | Delete) -> None:
        match event:
            case Put(row=Network() as network):
                self._networks[network.id] = network
            case Put(row=Peer() as peer):
                self._drop(peer.id)
                self._take(peer)
            case Put(row=Seal() as seal):
                self._take_seal(seal)
            case Delete(kind=Kind.SEAL, id=seal_id):
                self._drop_seal(seal_id)
            case Delete(kind=Kind.NETWORK, id=network_id):
                self._networks.pop(network_id, None)
            case Delete(kind=Kind.PEER, id=peer_id):
                self._drop(peer_id)

    def _take(self, peer: Peer) -> None:
        self._peers[peer.id] = peer
        self._members[peer.network_id].add(peer.id)
        if peer.expires_at is not None:
            heapq.heappush(self._expiries, (peer.expires_at, peer.id))

    def _drop(self, peer_id: int) -> None:
        if peer := self._peers.pop(peer_id, None):
            self._members[peer.network_id].discard(peer_id)

    def _take_seal(self, seal: Seal | LostSeal) -> None:
        self._drop_seal(seal.id)
        self._seals[seal.peer_id] = _Sealed(
            seal.id, seal.sealed if isinstance(seal, Seal) else None
        )
        self._sealed_peers[seal.id] = seal.peer_id

    def _drop_seal(self, seal_id: int) -> None:
        peer_id = self._sealed_peers.pop(seal_id, -1)
        seal = self._seals.get(peer_id)
        if seal is not None and seal.id == seal_id:
            del self._seals[peer_id]


class _Sealed(NamedTuple):
    """The preshared key of a peer, by its row; `key` None: it cannot be read."""

    id: int
    key: SealedKey | None


class _Rows(NamedTuple):
    networks: list[Network]
    peers: list[Peer]
    keys: Mapping[int, PresharedKey]
    services: list[Service]


def _of(rows: Mapping[int, _Row], ids: Iterable[int]) -> list[_Row]:
    return [rows[id_] for id_ in ids if id_ in rows]


def _ids(events: Iterable[Put | Delete], kind: Kind) -> set[int]:
    return {
        event.row.id if isinstance(event, Put) else event.id
        for event in events
        if event.kind == kind
    }
