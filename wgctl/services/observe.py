"""What roles report: handshakes, counters, drift, signs of life. Best effort, in memory.

Takes no revision and is no part of the store's truth: after a restart it fills again by itself.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from wgctl.core.forward.health import Condition
from wgctl.core.model import Observation, Role

__all__ = ["ALIVE_S", "Observations", "RoleFacts"]

ALIVE_S = 15
"""A role that reported within these seconds is alive: it reports every 10 s or faster."""


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """What a role last said of itself."""

    role: Role
    revision: int
    started_at: int
    reported_at: int
    interface: str | None = None
    backend: str | None = None
    drift: int = 0
    drift_events: tuple[str, ...] = field(default=())
    setback: str | None = None
    problem: str | None = None
    upstreams: tuple[Condition, ...] = ()

    def alive(self, *, now: int) -> bool:
        """Whether the last report is fresh."""
        return now - self.reported_at <= ALIVE_S


class Observations:
    """The last report of each role and the last sight of each peer. Safe for threads."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._lock = threading.Lock()
        self._roles: dict[Role, RoleFacts] = {}
        self._peers: dict[int, Observation] = {}

    def note(self, facts: RoleFacts, peers: Iterable[Observation]) -> None:
        """Keep a role's report; sights of peers replace earlier ones of the same peers."""
        with self._lock:
            self._roles[facts.role] = facts
            self._peers.update((seen.peer_id, seen) for seen in peers)

    def roles(self) -> list[RoleFacts]:
        """Return the last report of each role, by role."""
        with self._lock:
            return sorted(self._roles.values(), key=lambda facts: facts.role)

    def role(self, role: Role) -> RoleFacts | None:
        """Return the last report of `role`, or None."""
        with self._lock:
            return self._roles.get(role)

    def of_peer(self, peer_id: int) -> Observation:
        """Return what was last seen of a peer; nothing, if it was never seen."""
        with self._lock:
            return self._peers.get(peer_id) or Observation(peer_id, None, None, 0, 0)

    def online(self, *, now: int) -> frozenset[int]:
        """Return the peers with a live session; one that was removed since may be among them."""
        with self._lock:
            return frozenset(id_ for id_, seen in self._peers.items() if seen.online(now=now))

    def forget(self, peer_ids: Iterable[int]) -> None:
        """Drop what was seen of peers that are gone."""
        with self._lock:
            for peer_id in peer_ids:
                self._peers.pop(peer_id, None)
