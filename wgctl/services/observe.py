"""What roles report: handshakes, counters, health, drift, signs of life. Best effort, in memory.

Takes no revision and is no part of the store's truth: after a restart it fills again by itself.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from wgctl.core.forward.health import Condition
from wgctl.core.health import Record
from wgctl.core.model import LeaseSight, Observation, Role

__all__ = ["ALIVE_S", "Observations", "RoleFacts"]

_KNOWN_S = 3_600
"""Of a machine that no report names for so long nothing is kept: each report names 200 of them."""

ALIVE_S = 15
"""A role that reported within these seconds is alive: it reports every 8 s or faster."""


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
    on_demand: Mapping[str, int] | None = None
    limited: tuple[tuple[IPv6Address, int], ...] = ()

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
        # By machine, the one that was longest not heard of first.
        self._health: dict[int, tuple[int, Record]] = {}
        self._leases: Mapping[int, LeaseSight] = {}

    def note(
        self, facts: RoleFacts, peers: Iterable[Observation], health: Iterable[Record] = ()
    ) -> None:
        """Keep a role's report; what it says of a peer or a machine replaces what was said."""
        with self._lock:
            self._roles[facts.role] = facts
            self._peers.update((seen.peer_id, seen) for seen in peers)
            for record in health:
                self._health.pop(record.machine_id, None)
                self._health[record.machine_id] = (facts.reported_at, record)
            self._forget_old(facts.reported_at - _KNOWN_S)

    def _forget_old(self, before: int) -> None:
        while self._health:
            machine_id, (heard_at, _) = next(iter(self._health.items()))
            if heard_at >= before:
                return
            del self._health[machine_id]

    def note_leases(self, leases: Mapping[int, LeaseSight]) -> None:
        """Keep how the leases stand, by machine, in the place of what was kept."""
        with self._lock:
            self._leases = leases

    def lease_of(self, machine_id: int) -> LeaseSight | None:
        """Return how a machine's lease stood at last, or None."""
        with self._lock:
            return self._leases.get(machine_id)

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

    def of_machine(self, machine_id: int) -> Record:
        """Return what the probes of a machine found; nothing, if none was heard of."""
        with self._lock:
            heard = self._health.get(machine_id)
        return Record(machine_id) if heard is None else heard[1]

    def online(self, *, now: int) -> frozenset[int]:
        """Return the peers with a live session; one that was removed since may be among them."""
        with self._lock:
            return frozenset(id_ for id_, seen in self._peers.items() if seen.online(now=now))

    def forget(self, peer_ids: Iterable[int]) -> None:
        """Drop what was seen of peers that are gone."""
        with self._lock:
            for peer_id in peer_ids:
                self._peers.pop(peer_id, None)
