"""The views of the networks that were asked for, kept right while their rows change.

Joins a copy, what is known of health and leases, and clocks; what a view holds is
`wgctl.core.view`. A network costs nothing before the first query, and nothing again once it is
forgotten.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Network

from wgctl.core.feed import Delete, Kind, Put, Row
from wgctl.core.lease import Heard, Standing
from wgctl.core.model import App, Machine, Network, Peer
from wgctl.core.region import NOWHERE, Vantage
from wgctl.core.view import View, build, prolonged
from wgctl.daemon.follow import Changes
from wgctl.store.copy_reader import CopyReader

__all__ = ["Views"]

_PREFIX_LENGTH = 48
_REST_BYTES = 10

# Peers say how healthy their machines are, as often as they like: what a view costs them bounds
# how often it is built for that. A rest that nobody would notice is none.
_REST = 20
_NOTICED_S = 0.05


def _nobody(_network: bytes) -> None:
    """Hear of a network whose view is no longer right."""


class Views:
    """The views of the networks that were asked for, each until something in it changes."""

    def __init__(
        self,
        copy: CopyReader,
        *,
        now: Callable[[], int],
        here: Vantage = NOWHERE,
        clock: Callable[[], float] = time.monotonic,
        timer: Callable[[], float] = time.thread_time,
        stale: Callable[[bytes], None] = _nobody,
    ) -> None:
        """Build views from `copy`, as seen from `here`.

        `now` gives seconds since 1970, `clock` those that leases are counted in, `timer` those
        that it takes to build a view. `stale` hears which networks' views are wrong from here on,
        by the first 6 octets of their addresses.
        """
        self._copy = copy
        self._clock = clock
        self._timer = timer
        self._heard = Heard()
        self._now = now
        self._here = here
        self._stale = stale
        self._failing: dict[int, frozenset[int]] = {}
        self._held: dict[bytes, _Held] = {}
        self._key_of: dict[int, bytes] = {}

    def of(self, network: bytes) -> View | None:
        """Return the view of the network whose /48 begins with these 6 octets, or None."""
        held = self._held.get(network) or self._read(network)
        if held is None:
            return None
        held.asked = True
        self._look_after(network, held)
        return held.view or self._build(held)

    def take(self, changes: Changes) -> None:
        """Take what `changes` say; the next query builds the views again that they concern."""
        if changes.replaced:
            for network in self._held:
                self._stale(network)
            self._held.clear()
            self._key_of.clear()
        for event in changes.events:
            if isinstance(event, Delete) and event.kind is Kind.MACHINE:
                self._heard.forget([event.id])
            concerned = self._concerned(event)
            if concerned is not None and self._held[concerned].take(event):
                self._drop(concerned)
                if isinstance(event, Delete) and event.kind is Kind.NETWORK:
                    self.forget([concerned])

    def leave_out(self, network_id: int, failing: frozenset[int]) -> None:
        """Take those of the network's machines that have these ids for failing, and no others.

        A view that took long to build is kept for a while first.
        """
        self._failing[network_id] = failing
        if not failing:
            del self._failing[network_id]
        network = self._key_of.get(network_id)
        if network is not None:
            held = self._held[network]
            held.ill_from = held.rests_until
            self._look_after(network, held)

    def hear(self, standings: Mapping[int, Standing]) -> None:
        """Take how leases stand; views are wrong whose machines come, go or fall ill by it.

        Of those where none comes or goes, one that took long to build is kept for a while first.
        """
        changed = self._heard.take(standings, now=self._clock())
        for network, held in self._held.items():
            if held.machines.keys().isdisjoint(changed):
                continue
            if _lasting(self._left(held.leased)) == held.lasting:
                held.ill_from = held.rests_until
                self._look_after(network, held)
            else:
                self._drop(network)

    def look_after(self) -> None:
        """Say which views are no longer right, for time alone has passed."""
        clock, now = self._clock(), self._now()
        for network, held in self._held.items():
            if held.view is not None and (clock >= held.ill_from or held.expired(held.view, now)):
                self._look_after(network, held)

    def forget_idle(self) -> None:
        """Keep nothing of the networks that were not asked from since this was last called."""
        self.forget([network for network, held in self._held.items() if not held.asked])
        for held in self._held.values():
            held.asked = False

    def forget(self, networks: Iterable[bytes]) -> None:
        """Keep nothing of `networks`, which nobody asks from."""
        for network in networks:
            held = self._held.pop(network, None)
            if held is not None:
                del self._key_of[held.network.id]

    def _concerned(self, event: Put | Delete) -> bytes | None:
        """Return which of the networks that are held `event` is of; None: none of them."""
        match event:
            case Put(_, Network(id=id_)) | Delete(Kind.NETWORK, id_):
                return self._key_of.get(id_)
            case Put(row=row):
                return self._key_of.get(getattr(row, "network_id", -1))
            case Delete(kind, id_):
                return next((key for key, one in self._held.items() if id_ in one.of(kind)), None)

    def _look_after(self, network: bytes, held: "_Held") -> None:
        view = held.view
        if view is None:
            return
        if self._clock() >= held.ill_from:
            self._drop(network)
        elif held.expired(view, now := self._now()):
            longer = prolonged(view, self._left(held.leased), now=now)
            if longer is None:
                self._drop(network)
            else:
                held.view, held.since = longer, now

    def _drop(self, network: bytes) -> None:
        held = self._held[network]
        held.before, held.view = held.view or held.before, None
        self._stale(network)

    def _left(self, machines: Iterable[Machine]) -> Mapping[int, int]:
        now = self._clock()
        left = ((machine.id, self._heard.left_s(machine, now=now)) for machine in machines)
        return {id_: left_s for id_, left_s in left if left_s is not None}

    def _read(self, network: bytes) -> "_Held | None":
        prefix = IPv6Network((network + bytes(_REST_BYTES), _PREFIX_LENGTH))
        row = self._copy.network_of(prefix)
        if row is None:
            return None
        held = self._held[network] = _Held(row)
        self._key_of[row.id] = network
        for rows in self._copy.network_rows(row.id):
            for one in rows:
                held.put(one)
        return held

    def _build(self, held: "_Held") -> View:
        started_at = self._timer()
        now = self._now()
        held.leased = tuple(one for one in held.machines.values() if one.lease_s is not None)
        left = self._left(held.leased)
        view = build(
            *(held.network, held.peers.values(), held.apps.values(), held.machines.values()),
            now=now,
            here=self._here,
            failing=self._failing.get(held.network.id, frozenset())
            | self._heard.failing(held.leased),
            leases=left,
            before=held.before,
        )
        held.view, held.before, held.since, held.lasting = view, None, now, _lasting(left)
        rest_s = _REST * (self._timer() - started_at)
        held.rests_until = self._clock() + (rest_s if rest_s >= _NOTICED_S else 0.0)
        held.ill_from = math.inf
        return view


@dataclass(slots=True)
class _Held:
    """The rows of a network and the view of them; None while that is to be built.

    `before` is the view before it. `leased` are the machines that have a lease, `lasting` those of
    them whose lease had not ended, `since` is when the view was right. By the clock of leases, it
    is not built anew for health before `rests_until`, and is wrong from `ill_from` on. `asked` says
    whether somebody did of late.
    """

    network: Network
    peers: dict[int, Peer] = field(default_factory=dict)
    apps: dict[int, App] = field(default_factory=dict)
    machines: dict[int, Machine] = field(default_factory=dict)
    view: View | None = None
    before: View | None = None
    leased: tuple[Machine, ...] = ()
    lasting: frozenset[int] = frozenset()
    since: int = 0
    rests_until: float = 0.0
    ill_from: float = math.inf
    asked: bool = False

    def expired(self, view: View, now: int) -> bool:
        # A clock that was set back must not keep what has an end.
        ends = view.expires_at
        return ends is not None and not self.since <= now < ends

    def of(self, kind: Kind) -> dict[int, Peer] | dict[int, App] | dict[int, Machine]:
        """Return the rows of `kind` that names are made of; none of any other kind."""
        if kind is Kind.PEER:
            return self.peers
        if kind is Kind.APP:
            return self.apps
        return self.machines if kind is Kind.MACHINE else {}

    def take(self, event: Put | Delete) -> bool:
        """Take what `event` says of this network; return whether it concerns names."""
        if isinstance(event, Put):
            return self.put(event.row)
        return event.kind is Kind.NETWORK or self.of(event.kind).pop(event.id, None) is not None

    def put(self, row: Row) -> bool:
        """Take `row`; return whether names are made of it."""
        match row:
            case Network():
                self.network = row
            case Peer():
                self.peers[row.id] = row
            case App():
                self.apps[row.id] = row
            case Machine():
                self.machines[row.id] = row
            case _:
                return False
        return True


def _lasting(left: Mapping[int, int]) -> frozenset[int]:
    return frozenset(id_ for id_, left_s in left.items() if left_s > 0)
