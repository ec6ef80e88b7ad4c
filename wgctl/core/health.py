"""How the health of a machine follows from its probes, and what is remembered of it.

Decides by one table and counts; who probes when is `wgctl.daemon.health`, what an unhealthy machine
means for answers is `wgctl.core.names.app`.

    unknown      answered      no probe has decided yet
    starting     not answered  it was started, and has not passed since
    healthy      answered
    unhealthy    not answered

The first pass ends `unknown` and `starting`; else `rise` passes in a row make a machine healthy,
and `fall` failures in a row unhealthy. Failures in its grace, up to its first pass, do not count.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from wgctl.core.model import Check

__all__ = ["KEPT", "Health", "Record", "State", "Transition", "Verdict", "after", "next_due"]

KEPT = 20
"""How many transitions of a machine are remembered, the last ones."""


class Health(StrEnum):
    """What the probes of a machine say of it, together."""

    UNKNOWN = "unknown"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


_LEADS: Mapping[tuple[Health, bool], Health] = MappingProxyType(
    {
        (Health.UNKNOWN, True): Health.HEALTHY,
        (Health.UNKNOWN, False): Health.UNHEALTHY,
        (Health.STARTING, True): Health.HEALTHY,
        (Health.STARTING, False): Health.UNHEALTHY,
        (Health.HEALTHY, False): Health.UNHEALTHY,
        (Health.UNHEALTHY, True): Health.HEALTHY,
    }
)
"""Where a probe that passed, or did not, leads; one that is not here confirms what is."""

_UNDECIDED = frozenset({Health.UNKNOWN, Health.STARTING})


class Verdict(NamedTuple):
    """What one probe found, and how that reads: `tcp 8080: connection refused`."""

    passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class State:
    """Where a machine stands: `run` probes in a row were against its `health`.

    `grace_until` is a moment of the clock that `after` is told.
    """

    health: Health
    grace_until: float = -math.inf
    run: int = 0

    @property
    def answered(self) -> bool:
        """Whether the machine is in the answers to its app's name."""
        return self.health in {Health.UNKNOWN, Health.HEALTHY}


def after(state: State, *, passed: bool, check: "Check", now: float) -> State:
    """Return where the machine of `check` stands after a probe that ended at `now`."""
    undecided = state.health in _UNDECIDED
    if undecided and not passed and now < state.grace_until:
        return state
    to = _LEADS.get((state.health, passed))
    if to is None:
        return replace(state, run=0)
    wanted = (1 if undecided else check.rise) if passed else check.fall
    if state.run + 1 < wanted:
        return replace(state, run=state.run + 1)
    return State(to)


def next_due(due: float, *, every_s: float, now: float) -> float:
    """Return the first moment after `now` that is a whole number of `every_s` after `due`.

    So neither a late probe nor a long one shifts those that follow, and none is made up for.
    """
    return due + every_s * max(1, math.floor((now - due) / every_s) + 1)


@dataclass(frozen=True, slots=True, order=True)
class Transition:
    """How a machine's health changed, when, in seconds since 1970, and what showed it."""

    at: int
    before: Health
    after: Health
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of a machine: its health and its last transitions, the oldest first."""

    machine_id: int
    health: Health = Health.UNKNOWN
    transitions: tuple[Transition, ...] = ()

    def moved(self, to: Health, *, at: int, reason: str) -> "Record":
        """Return the record with one transition more."""
        made = Transition(at, self.health, to, reason)
        return Record(self.machine_id, to, (*self.transitions, made)[-KEPT:])
