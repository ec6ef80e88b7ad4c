"""The networks and peers that a gateway programs, and what each change of the feed touches.

Knows rows and the time up to which expiries were honoured; what they mean for a tunnel is
`wgctl.core.plan`. A change costs what it touches, not what there is.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.model import Network, Peer
from wgctl.core.plan import desired
from wgctl.core.tunnel import Host, Tunnel

__all__ = ["Change", "Roster"]

_Row = TypeVar("_Row", Network, Peer)


class Change(NamedTuple):
    """The touched part of a tunnel, as it was to be and as it is to be.

    `diff(after, before)` gives the steps of this change alone.
    """

    before: Tunnel
    after: Tunnel


class Roster:
    """The rows of one gateway; used by one thread."""

    def __init__(self, host: Host) -> None:
        """Start with no rows, at the beginning of time."""
        self._host = host
        self._networks: dict[int, Network] = {}
        self._peers: dict[int, Peer] = {}
        self._members: defaultdict[int, set[int]] = defaultdict(set)
        self._expiries: list[tuple[int, int]] = []
        self._now = 0

    def replace(self, networks: Iterable[Network], peers: Iterable[Peer]) -> None:
        """Forget every row and take these."""
        self._networks = {network.id: network for network in networks}
        self._peers.clear()
        self._members.clear()
        self._expiries.clear()
        for peer in peers:
            self._take(peer)

    def whole(self, *, now: int) -> Tunnel:
        """Return all that the tunnel is to be at `now`."""
        self._now = now
        return desired(self._networks.values(), self._peers.values(), host=self._host, now=now)

    def change(self, events: Iterable[Put | Delete], *, now: int) -> Change:
        """Take the rows of `events`, in order, and return what they touched.

        Peers whose time has come meanwhile count as touched.
        """
        events = list(events)
        networks = _ids(events, Kind.NETWORK)
        peers = _ids(events, Kind.PEER).union(
            self._due(now), *(self._members[id_] for id_ in networks)
        )
        old = _Rows(_of(self._networks, networks), _of(self._peers, peers))
        for event in events:
            self._write(event)
        new = _Rows(_of(self._networks, networks), _of(self._peers, peers))
        # A peer counts for nothing without its network: those that stay as they are belong to
        # both sides.
        around = {peer.network_id for peer in (*old.peers, *new.peers)} - networks
        unchanged = _of(self._networks, around)
        before = self._part(old, unchanged, now=self._now)
        self._now = now
        return Change(before, self._part(new, unchanged, now=now))

    def expire(self, *, now: int) -> Change | None:
        """Return what peers whose time has come by `now` touch; None if there are none."""
        if not self._expiries or self._expiries[0][0] > now:
            return None
        return self.change((), now=now)

    def peer_ids(self) -> dict[bytes, int]:
        """Return the ids of all peers by the 32 bytes of their keys."""
        return {peer.public_key.raw: peer.id for peer in self._peers.values()}

    def _due(self, now: int) -> Iterator[int]:
        while self._expiries and self._expiries[0][0] <= now:
            yield heapq.heappop(self._expiries)[1]

    def _part(self, rows: "_Rows", unchanged: list[Network], *, now: int) -> Tunnel:
        return desired([*rows.networks, *unchanged], rows.peers, host=self._host, now=now)

    def _write(self, event: Put | Delete) -> None:
        match event:
            case Put(row=Network() as network):
                self._networks[network.id] = network
            case Put(row=Peer() as peer):
                self._drop(peer.id)
                self._take(peer)
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


class _Rows(NamedTuple):
    networks: list[Network]
    peers: list[Peer]


def _of(rows: Mapping[int, _Row], ids: Iterable[int]) -> list[_Row]:
    return [rows[id_] for id_ in ids if id_ in rows]


def _ids(events: Iterable[Put | Delete], kind: Kind) -> set[int]:
    return {
        event.row.id if isinstance(event, Put) else event.id
        for event in events
        if event.kind == kind
    }
