"""Which peers a gateway's device holds when it holds them on demand: those that are in use.

Knows ids and times; rows, keys and devices are others'. A peer enters with a handshake that it
begins itself, and leaves when it has had none for long. One that carries a machine is there from
the start and never leaves: others are to reach it before it has said a word.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Fate", "Presence", "Strangers", "Visit"]

_UNANSWERED_S = 30
"""A peer that was let in and has had no handshake is one that cannot finish it, or a false source:
WireGuard itself would go on writing there for 90 s (REKEY_ATTEMPT_TIME)."""

_AHEAD_S = 30
"""A handshake that is so far ahead of now is from before the clock went back: nobody knows when."""

_STRANGERS_KEPT = 10_000
_STRANGE_S = 10.0


class Fate(StrEnum):
    """What became of one initiation."""

    FOREIGN = "foreign"
    """It was not made for this gateway's key."""
    HURRIED = "hurried"
    """Its source sends more of them than any peer would."""
    FORGED = "forged"
    """Whoever made it has not the key that it names."""
    UNKNOWN = "unknown"
    """It names the key of no peer."""
    REFUSED = "refused"
    """Its peer may not come in: expired, or its preshared key cannot be opened here."""
    REPLAYED = "replayed"
    """It is not newer than the last one of its peer."""
    PRESENT = "present"
    """Its peer is in the device, which answers it."""
    ADMITTED = "admitted"
    """Its peer was let in."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What is remembered of a peer that was here: by `key`, its 32 bytes, which may have changed.

    `timestamp` is that of its newest initiation, empty if none was read. The bytes are those of all
    visits.
    """

    peer_id: int
    key: bytes
    timestamp: bytes
    endpoint: str | None
    last_handshake: int | None
    received_bytes: int
    sent_bytes: int


@dataclass(slots=True)
class _Stay:
    """`heard_at` is when the peer last proved that it is there, or was let in.

    If the clock has gone back since, it is when that was noticed.
    """

    heard_at: int
    timestamp: bytes


class Presence:
    """The peers that are there, by id. Times are seconds since 1970."""

    def __init__(self, *, idle_s: int) -> None:
        """Begin with nobody; who has had no handshake for `idle_s` is to leave."""
        self._idle_s = idle_s
        self._stays: dict[int, _Stay] = {}
        self._carriers: dict[int, int] = {}
        self._carried = Counter[int]()

    def __contains__(self, peer_id: int) -> bool:
        """Whether the peer is there."""
        return peer_id in self._stays

    def __iter__(self) -> Iterator[int]:
        """Yield the ids of those that are there."""
        return iter(self._stays)

    def __len__(self) -> int:
        """Count those that are there."""
        return len(self._stays)

    def enter(self, peer_id: int, *, now: int, timestamp: bytes = b"") -> None:
        """Let a peer be there."""
        self._stays[peer_id] = _Stay(now, timestamp)

    def hear(self, peer_id: int, *, now: int, timestamp: bytes) -> bool:
        """Take what a peer that is there proves with an initiation; False if that is not new."""
        stay = self._stays[peer_id]
        if timestamp <= stay.timestamp:
            return False
        stay.heard_at, stay.timestamp = now, timestamp
        return True

    def leave(self, peer_id: int) -> bytes:
        """Let a peer be gone, and return the timestamp of its newest initiation."""
        stay = self._stays.pop(peer_id, None)
        return b"" if stay is None else stay.timestamp

    def carry(self, machine_id: int, peer_id: int) -> None:
        """Note that a machine is on a peer, and on no other."""
        self.drop(machine_id)
        self._carriers[machine_id] = peer_id
        self._carried[peer_id] += 1

    def drop(self, machine_id: int) -> None:
        """Note that a machine is gone; its peer leaves when it has been idle."""
        peer_id = self._carriers.pop(machine_id, None)
        if peer_id is not None:
            self._carried[peer_id] -= 1
            if not self._carried[peer_id]:
                del self._carried[peer_id]

    def carriers(self) -> list[int]:
        """Return the ids of the peers that carry a machine."""
        return sorted(self._carried)

    def carries(self, peer_id: int) -> bool:
        """Whether the peer carries a machine."""
        return peer_id in self._carried

    def forget_machines(self) -> None:
        """Note that there are no machines."""
        self._carriers.clear()
        self._carried.clear()

    def idle(self, handshakes: Mapping[int, int | None], *, now: int) -> list[int]:
        """Return those that are to leave, by id; `handshakes` has when each last had one."""
        return sorted(
            peer_id
            for peer_id, stay in self._stays.items()
            if peer_id not in self._carried
            and self._is_over(stay, handshakes.get(peer_id), now=now)
        )

    def _is_over(self, stay: _Stay, handshake: int | None, *, now: int) -> bool:
        stay.heard_at = min(stay.heard_at, now)
        if handshake is None:
            return now - stay.heard_at >= _UNANSWERED_S
        known = handshake if handshake <= now + _AHEAD_S else stay.heard_at
        return now - max(known, stay.heard_at) >= self._idle_s


class Strangers:
    """Keys that are no peer's, each for 10 s: who tries again meanwhile is not looked up."""

    def __init__(self) -> None:
        """Begin with none."""
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def note(self, key: bytes, *, now: float) -> None:
        """Take `key` for a stranger's; of more than 10,000 the oldest are forgotten."""
        self._until[key] = now + _STRANGE_S
        self._until.move_to_end(key)
        while len(self._until) > _STRANGERS_KEPT:
            self._until.popitem(last=False)

    def forget(self, key: bytes) -> None:
        """Take `key` for a stranger's no more: it has become a peer's."""
        self._until.pop(key, None)

    def knows(self, key: bytes, *, now: float) -> bool:
        """Whether `key` was a stranger's a moment ago."""
        return self._until.get(key, now) > now
