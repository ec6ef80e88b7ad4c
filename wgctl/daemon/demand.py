"""Peers on demand: which rows of the copy a gateway's roster has, so that the device has no others.

They are those of the peers in use and of those that never leave, with all networks, apps and
machines. Who is in use is decided by `wgctl.core.presence`; what is written to the device, and
that one thread at a time is in here, is `wgctl.daemon.programme`.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

import structlog

from peers.errors import InvalidKey
from peers.keys import PublicKey
from wgctl.core.errors import Unavailable
from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.model import App, LostSeal, Machine, Network, Peer, Seal
from wgctl.core.ports import Seen
from wgctl.core.presence import Fate, Presence, Strangers, Visit
from wgctl.store.copy import Copy
from wgctl.store.visits import VisitFile

__all__ = ["Demand"]

_UNSEEN = Seen(None, None, 0, 0)
_TOLD_AT_ONCE = 1_000
"""Of those that are gone, at a time: a controller that began anew hears of all by and by."""

_log = structlog.get_logger()


class Demand:
    """The choice of rows, and what is remembered of the peers that left.

    `left` counts those.
    """

    def __init__(self, copy: Copy, visits: VisitFile, *, idle_s: int) -> None:
        """Choose from `copy`; a peer that has had no handshake for `idle_s` leaves."""
        self._copy = copy
        self._visits = visits
        self._presence = Presence(idle_s=idle_s)
        self._strangers = Strangers()
        self._keys: dict[int, bytes] = {}
        self._before: dict[int, Visit] = {}
        self._untold: list[Visit] = []
        self._told_to = -1
        self._fault: str | None = None
        self.left = 0

    @property
    def in_use(self) -> int:
        """How many peers are there."""
        return len(self._presence)

    def load(self, *, now: int) -> "_Rows":
        """Return the rows to begin with, or to go on with in the place of all others."""
        self._presence.forget_machines()
        self._strangers = Strangers()
        machines = list(self._copy.machines())
        for machine in machines:
            self._presence.carry(machine.id, machine.peer_id)
        there = sorted({*self._presence, *self._presence.carriers()})
        peers = [peer for peer in map(self._copy.peer, there) if peer is not None]
        self._forget(set(self._presence) - {peer.id for peer in peers})
        for peer in peers:
            self._enter(peer, now=now)
        seals = chain.from_iterable(self._copy.seals_of(peer.id) for peer in peers)
        return _Rows(self._copy.networks(), peers, seals, self._copy.apps(), machines)

    def choose(self, events: Iterable[Put | Delete], *, now: int) -> Iterator[Put | Delete]:
        """Yield those of `events` that concern what is there, and rows of peers that come with one.

        The copy has taken the events.
        """
        gone: list[int] = []
        for event in events:
            match event:
                case Put(row=Peer() as peer):
                    self._strangers.forget(peer.public_key.raw)
                    if peer.id in self._presence:
                        self._enter(peer, now=now)
                        yield event
                case Put(row=Seal(peer_id=peer_id)):
                    if peer_id in self._presence:
                        yield event
                case Put(row=Machine() as machine):
                    self._presence.carry(machine.id, machine.peer_id)
                    yield from self._bring(machine.peer_id, now=now)
                    yield event
                case Delete(kind=Kind.MACHINE, id=machine_id):
                    self._presence.drop(machine_id)
                    yield event
                case Delete(kind=Kind.PEER, id=peer_id):
                    gone.append(peer_id)
                    yield event
                case _:
                    yield event
        self._forget(gone)

    def adopt(self, keys: Iterable[bytes], *, now: int) -> list[Put]:
        """Return the rows of peers that are in the device and were not let in, as after a start."""
        rows: list[Put] = []
        known = set(self._keys.values())
        for key in keys:
            with suppress(InvalidKey):
                peer = None if key in known else self._copy.peer_by_key(PublicKey(key))
                if peer is not None:
                    rows += self._bring(peer.id, now=now)
        return rows

    def is_stranger(self, key: PublicKey) -> bool:
        """Whether `key` is no peer's; one that is not is looked up once in 10 s."""
        at = time.monotonic()
        if self._strangers.knows(key.raw, now=at):
            return True
        if self._copy.peer_by_key(key) is not None:
            return False
        self._strangers.note(key.raw, now=at)
        return True

    def knock(self, key: PublicKey, timestamp: bytes, *, now: int) -> tuple[Fate, list[Put]]:
        """Return what becomes of an initiation that proves to be of `key`, and the peer's rows.

        There are rows if it is let in: they are for the roster.
        """
        peer = self._copy.peer_by_key(key)
        if peer is None:
            return Fate.UNKNOWN, []
        if peer.id in self._presence:
            is_new = self._presence.hear(peer.id, now=now, timestamp=timestamp)
            return Fate.PRESENT if is_new else Fate.REPLAYED, []
        if peer.expired(now=now) or self._copy.network(peer.network_id) is None:
            return Fate.REFUSED, []
        before = self._recall(peer.id)
        if before is not None and before.key == key.raw and timestamp <= before.timestamp:
            return Fate.REPLAYED, []
        rows = self._bring(peer.id, now=now, timestamp=timestamp)
        if not rows:
            return Fate.REFUSED, []
        # A gateway that is killed and starts again still knows what it has heard.
        blank = Visit(peer.id, key.raw, timestamp, None, None, received_bytes=0, sent_bytes=0)
        self._remember([replace(before or blank, key=key.raw, timestamp=timestamp)])
        return Fate.ADMITTED, rows

    def dismiss(self, seen: Mapping[bytes, Seen], *, now: int) -> list[Delete]:
        """Return what takes the idle peers out of the roster; `seen` is by key, 32 bytes."""
        sights = {id_: seen.get(key, _UNSEEN) for id_, key in self._keys.items()}
        handshakes = {id_: sight.last_handshake for id_, sight in sights.items()}
        idle = self._presence.idle(handshakes, now=now)
        visits = [self._ended(id_, sights[id_]) for id_ in idle]
        self._remember(visits)
        self._untold += visits
        self.left += len(idle)
        return [Delete(Kind.PEER, id_) for id_ in idle]

    def total(self, peer_id: int, seen: Seen) -> Seen:
        """Return what was seen of a peer that is there, with what was seen before it left."""
        before = self._before.get(peer_id)
        if before is None:
            return seen
        return Seen(
            seen.endpoint or before.endpoint,
            seen.last_handshake or before.last_handshake,
            received_bytes=seen.received_bytes + before.received_bytes,
            sent_bytes=seen.sent_bytes + before.sent_bytes,
        )

    def absent(self) -> list[Visit]:
        """Return visits of some that are gone: those that just left, and in turn the others."""
        told, self._untold = self._untold, []
        some: list[Visit] = []
        with self._trying_file():
            some = self._visits.some(after=self._told_to, most=_TOLD_AT_ONCE)
        self._told_to = some[-1].peer_id if len(some) == _TOLD_AT_ONCE else -1
        just_left = {visit.peer_id for visit in told}
        told += [visit for visit in some if visit.peer_id not in just_left]
        return [visit for visit in told if visit.peer_id not in self._presence]

    def _bring(self, peer_id: int, *, now: int, timestamp: bytes = b"") -> list[Put]:
        """Return the rows of a peer that was not there, and is from then on; none otherwise.

        One whose preshared key cannot be read stays out: without it, anybody with its private key
        alone would come in.
        """
        if peer_id in self._presence or (peer := self._copy.peer(peer_id)) is None:
            return []
        rows = [Put(Kind.PEER, peer)]
        for seal in self._copy.seals_of(peer_id):
            if isinstance(seal, LostSeal):
                return []
            rows.append(Put(Kind.SEAL, seal))
        self._enter(peer, now=now, timestamp=timestamp)
        return rows

    def _enter(self, peer: Peer, *, now: int, timestamp: bytes = b"") -> None:
        key = peer.public_key.raw
        if self._keys.get(peer.id) == key:
            return
        before = self._recall(peer.id)
        if before is not None:
            self._before[peer.id] = before
        if before is not None and before.key == key:
            timestamp = max(timestamp, before.timestamp)
        self._keys[peer.id] = key
        self._presence.enter(peer.id, now=now, timestamp=timestamp)

    def _ended(self, peer_id: int, seen: Seen) -> Visit:
        """Let a peer be gone, and return what is to be remembered of it."""
        all_ = self.total(peer_id, seen)
        self._before.pop(peer_id, None)
        return Visit(
            peer_id,
            self._keys.pop(peer_id),
            self._presence.leave(peer_id),
            all_.endpoint,
            all_.last_handshake,
            received_bytes=all_.received_bytes,
            sent_bytes=all_.sent_bytes,
        )

    def _recall(self, peer_id: int) -> Visit | None:
        try:
            return self._visits.find(peer_id)
        except Unavailable as error:
            self._tell(error)
            return None

    def _remember(self, visits: list[Visit]) -> None:
        with self._trying_file():
            self._visits.write(visits)
            self._fault = None

    def _forget(self, peer_ids: Iterable[int]) -> None:
        """Keep nothing of peers that are no more."""
        gone = list(peer_ids)
        for id_ in gone:
            self._presence.leave(id_)
            self._keys.pop(id_, None)
            self._before.pop(id_, None)
        with self._trying_file():
            self._visits.forget(gone)

    @contextmanager
    def _trying_file(self) -> Iterator[None]:
        """Go on without the file where it cannot be used: peers come and go nevertheless."""
        try:
            yield
        except Unavailable as error:
            self._tell(error)

    def _tell(self, error: Unavailable) -> None:
        """Tell it once, until something could be written."""
        if self._fault != str(error):
            _log.error("visits not kept", reason=str(error))
        self._fault = str(error)


class _Rows(NamedTuple):
    """What a roster is made of."""

    networks: Iterable[Network]
    peers: Iterable[Peer]
    seals: Iterable[Seal | LostSeal]
    apps: Iterable[App]
    machines: Iterable[Machine]
