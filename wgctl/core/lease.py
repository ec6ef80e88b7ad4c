"""Leases: until when a machine that its peer announced is there, and who may say that it is.

Counts seconds of one host's monotonic clock, which its processes share, and keeps no file.

    Book      where renewals arrive: the leases of a host, each held by one announcer
    Heard     where names are answered: what the book says, and what to think of a lease it lacks
    Standing  what goes from one to the other
"""

import json
import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from peers.errors import shown
from wgctl.core.errors import Conflict, Invalid, NotFound
from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.model import Machine

__all__ = [
    "DEFAULT_S",
    "LONGEST_S",
    "SHORTEST_S",
    "Book",
    "Heard",
    "Standing",
    "Term",
    "parse",
    "pause_s",
    "render",
]

SHORTEST_S = 10
"""Of a third less at its renewal more is left than the 5 s for which an answer may be kept."""

DEFAULT_S = 15
LONGEST_S = 3600

_EARLY = 0.2
_FIRST_RETRY_S = 0.5


class Standing(NamedTuple):
    """Until when a lease lasts, whether its machine is healthy, and who holds it.

    `holder` is a word that the announcer drew; empty when nobody knows it any more.
    """

    ends_at: float
    healthy: bool
    holder: str


class Term(NamedTuple):
    """What a lease is for, as the store has it."""

    machine_id: int
    org_id: int
    peer_id: int
    name: str
    lease_s: int

    @classmethod
    def of(cls, machine: Machine) -> "Term | None":
        """Return the term of a machine's lease; None when it has none."""
        if machine.lease_s is None:
            return None
        return cls(machine.id, machine.org_id, machine.peer_id, machine.name, machine.lease_s)


class Book:
    """The leases that are renewed at one host; used by one thread."""

    def __init__(self, terms: Iterable[Term], known: Mapping[int, Standing], *, now: float) -> None:
        """Begin with `terms`, and what was `known` of them; a lease not known lasts anew."""
        self._terms: dict[int, Term] = {}
        self._standings: dict[int, Standing] = dict(known)
        self._removed: dict[int, Term] = {}
        self._given_up: set[int] = set()
        self._doubtful: set[int] = set()
        self._ids: dict[tuple[int, str], int] = {}
        self.replace(terms, now=now)

    def replace(self, terms: Iterable[Term], *, now: float) -> None:
        """Forget every lease but those of `terms`; one that is not known lasts anew, as healthy."""
        self._terms.clear()
        self._ids.clear()
        self._removed.clear()
        self._given_up.clear()
        self._doubtful.clear()
        known, self._standings = self._standings, {}
        for term in terms:
            unknown = Standing(now + term.lease_s, healthy=True, holder="")
            self._enter(term, known.get(term.machine_id, unknown), now=now)

    def take(self, events: Iterable[Put | Delete], *, now: float) -> None:
        """Follow the store: leases begin, and go with their machines.

        One that begins so is not healthy before its announcer said it: its row may come first. Who
        holds a lease that still lasted is told that the machine was removed.
        """
        for event in events:
            match event:
                case Put(row=Machine() as machine) if term := Term.of(machine):
                    unheard = Standing(now + term.lease_s, healthy=False, holder="")
                    self._enter(term, self._standings.get(term.machine_id, unheard), now=now)
                case Delete(kind=Kind.MACHINE, id=machine_id):
                    self._drop(machine_id, now=now)

    def start(self, term: Term, *, holder: str, healthy: bool, now: float) -> None:
        """Begin a lease, or begin it anew for another holder."""
        self._given_up.discard(term.machine_id)
        self._doubtful.discard(term.machine_id)
        self._enter(term, Standing(now + term.lease_s, healthy, holder), now=now)

    def renew(
        self, peer_id: int, name: str, *, holder: str, healthy: bool, now: float
    ) -> tuple[int, Standing]:
        """Let the peer's lease of machine `name` last anew; return how long, and until when.

        One that has ended lasts again for as long as its machine is there. Raises NotFound without
        such a lease, Conflict when another holds it, and when somebody removed the machine.
        """
        term = self._term(peer_id, name)
        if term.machine_id in self._removed:
            raise Conflict(f"machine {name!a} was removed: announce it again to have it back")
        if self._standings[term.machine_id].holder not in {holder, ""}:
            raise Conflict(f"machine {name!a} was taken over by another announcer of this peer")
        standing = Standing(now + term.lease_s, healthy, holder)
        self._standings[term.machine_id] = standing
        return term.lease_s, standing

    def withdraw(self, peer_id: int, name: str, *, holder: str, now: float) -> None:
        """End the peer's lease of machine `name`; one that is another's goes on."""
        try:
            term = self._term(peer_id, name)
        except NotFound:
            return
        standing = self._standings.get(term.machine_id)
        if standing is not None and standing.holder in {holder, ""}:
            self._standings[term.machine_id] = standing._replace(ends_at=now)

    def give_up(self, *, now: float, most: int) -> list[Term]:
        """Return up to `most` leases that have ended and whose machines are still there, by id.

        Each is returned once, and cannot be renewed from here on, unless it is spared.
        """
        for term in [term for term in self._removed.values() if not self._lasts(term, now=now)]:
            self._forget(term)
        ended = (term for term in self._terms.values() if not self._lasts(term, now=now))
        given_up = sorted(term for term in ended if term.machine_id not in self._given_up)[:most]
        self._given_up.update(term.machine_id for term in given_up)
        return given_up

    def spare(self) -> None:
        """Let those be renewed again that were given up.

        As far as is known nobody took their machines away; an answer may have been lost.
        """
        self._doubtful |= self._given_up
        self._given_up.clear()

    def standings(self) -> Mapping[int, Standing]:
        """Return how each lease stands, ended ones too, by the machine's id."""
        return {
            id_: standing for id_, standing in self._standings.items() if id_ not in self._removed
        }

    def _enter(self, term: Term, standing: Standing, *, now: float) -> None:
        longest = now + term.lease_s
        self._terms[term.machine_id] = term
        self._removed.pop(term.machine_id, None)
        self._ids[term.peer_id, term.name] = term.machine_id
        # What another boot of the host wrote down may lie in the future.
        self._standings[term.machine_id] = standing._replace(ends_at=min(standing.ends_at, longest))

    def _drop(self, machine_id: int, *, now: float) -> None:
        term = self._terms.get(machine_id)
        if term is None:
            return
        if self._lasts(term, now=now) and machine_id not in self._doubtful:
            self._removed[machine_id] = self._terms.pop(machine_id)
        else:
            self._forget(term)

    def _forget(self, term: Term) -> None:
        self._terms.pop(term.machine_id, None)
        self._removed.pop(term.machine_id, None)
        self._given_up.discard(term.machine_id)
        self._doubtful.discard(term.machine_id)
        self._standings.pop(term.machine_id, None)
        if self._ids.get((term.peer_id, term.name)) == term.machine_id:
            del self._ids[term.peer_id, term.name]

    def _term(self, peer_id: int, name: str) -> Term:
        machine_id = self._ids.get((peer_id, name), -1)
        term = self._terms.get(machine_id) or self._removed.get(machine_id)
        if term is None or machine_id in self._given_up:
            raise NotFound(f"no lease of machine {shown(name)}: announce it")
        return term

    def _lasts(self, term: Term, *, now: float) -> bool:
        return self._standings[term.machine_id].ends_at > now


class Heard:
    """What a reader of the book knows of each lease.

    Before it has read one, every lease is taken for healthy; from then on, one that the book does
    not have yet is failing.
    """

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self._read = False
        self._standings: Mapping[int, Standing] = {}
        self._first: dict[int, float] = {}

    def take(self, standings: Mapping[int, Standing], *, now: float) -> frozenset[int]:
        """Take what the book says; return the machines that come, go, or change their health.

        That a lease lasts longer is no change, and that one ends is for `left_s` to tell.
        """
        before, self._standings = self._standings, standings
        met = self._first.keys() & standings.keys()
        changed = set(met if self._read else self._first)
        self._read = True
        for machine_id in met:
            del self._first[machine_id]
        changed.update(
            machine_id
            for machine_id, standing in standings.items()
            if standing != (last := before.get(machine_id))
            and _answers(last, now) != _answers(standing, now)
        )
        return frozenset(changed)

    def left_s(self, machine: Machine, *, now: float) -> int | None:
        """Return how many seconds are left, begun ones too; 0 after the end; None: no lease.

        A lease that the book does not have yet is given its whole time from when it was asked for
        first.
        """
        if machine.lease_s is None:
            return None
        standing = self._standings.get(machine.id)
        if standing is None:
            ends_at = self._first.setdefault(machine.id, now) + machine.lease_s
        else:
            ends_at = standing.ends_at
        return max(0, math.ceil(min(ends_at - now, machine.lease_s)))

    def forget(self, machine_ids: Iterable[int]) -> None:
        """Forget machines that are gone; their ids are never another's."""
        for machine_id in machine_ids:
            self._first.pop(machine_id, None)

    def failing(self, machines: Iterable[Machine]) -> frozenset[int]:
        """Return the ids of those whose announcers do not say that they are healthy."""
        if not self._read:
            return frozenset()
        ids = frozenset(machine.id for machine in machines if machine.lease_s is not None)
        return ids - {id_ for id_ in ids & self._standings.keys() if self._standings[id_].healthy}


def pause_s(lease_s: float, *, failures: int, draw: float) -> float:
    """Return how long an announcer waits before it renews; `draw` is from 0 to 1.

    A third of the lease, or up to a fifth less, so that those who began at once do not go on in
    step. After a failure it is tried again at once, then at growing distances.
    """
    third_s = lease_s / 3
    if failures:
        third_s = min(third_s, _FIRST_RETRY_S * 2 ** min(failures - 1, 16))
    return third_s * (1 - _EARLY * draw)


def render(standings: Mapping[int, Standing]) -> str:
    """Return `standings` as the text that `parse` reads."""
    return json.dumps({str(id_): standing for id_, standing in standings.items()})


def parse(text: str | bytes) -> dict[int, Standing]:
    """Return what `render` wrote; raises Invalid for anything else."""
    expected = "expected them as they were written"
    try:
        found = {int(id_): Standing(*said) for id_, said in json.loads(text).items()}
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        raise Invalid(f"leases: {error}, {expected}") from error
    if set(map(_kinds, found.values())) - {(float, bool, str)}:
        raise Invalid(f"leases: a field is of another type, {expected}")
    if not all(math.isfinite(standing.ends_at) for standing in found.values()):
        raise Invalid(f"leases: a time is no number, {expected}")
    return found


def _kinds(standing: Standing) -> tuple[type, ...]:
    return tuple(map(type, standing))


def _answers(standing: Standing | None, now: float) -> tuple[bool, bool]:
    """Return whether the machine is there, and healthy; one never heard of is both."""
    if standing is None:
        return True, True
    return standing.ends_at > now, standing.healthy
