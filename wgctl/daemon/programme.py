"""The gateway's hand on the kernel: what it holds, what it writes, and the drift it repairs.

All of it runs in one thread, which may block; when each piece is due is `wgctl.daemon.gateway`.
Admissions come from another: they write peers alone, and leave the roster's time as it is.
A refusal of the kernel's is logged and leaves things unsettled: the next pass tries again. Until
the copy is whole, what it says is written, and nothing that it does not know of is taken away.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import structlog

from peers.keys import PublicKey
from wgctl.core.drift import drift
from wgctl.core.errors import Refusal
from wgctl.core.feed import Delete, Put
from wgctl.core.model import Machine, Network, Peer
from wgctl.core.plan import sparing
from wgctl.core.ports import Seen
from wgctl.core.presence import Fate, Visit
from wgctl.core.roster import Roster
from wgctl.core.schema import ObservedPeer
from wgctl.core.tunnel import AddPeers, Greet, Source, Step, Tunnel
from wgctl.daemon.demand import Demand
from wgctl.daemon.follow import Changes, unfinished
from wgctl.services.reconcile import (
    Outcome,
    Parts,
    apply_change,
    mend_firewall,
    read,
    reconcile,
)
from wgctl.store.copy import Copy

__all__ = ["Programme", "observed"]

_EVENTS_KEPT = 20
_SWEEP_S = 10
_STEPS_LOGGED = 8
_NAMES_TOLD = 5
_FORWARDING = "forwarding"
"""What is tried besides the tunnel: it settles nothing, and no pass makes it good."""

_EMPTY = "the copy is empty: waiting for the first snapshot"
_NOT_WHOLE = "the copy is not whole: waiting for a snapshot"

_log = structlog.get_logger()


class Programme:
    """One tunnel, from a role's copy to the kernel.

    `drift` counts the differences that were found and not caused by a change; `drift_events` are
    the last 20 of them in words. `settled` is false from a refusal to the next good pass, and for
    as long as the copy is not whole.
    `revision` is that of the last commit that the kernel has.
    """

    def __init__(
        self,
        parts: Parts,
        roster: Roster,
        copy: Copy,
        *,
        now: Callable[[], int],
        forward: Callable[[], tuple[str, ...]],
        ended: Callable[[Iterable[Machine]], frozenset[int]],
        demand: Demand | None = None,
    ) -> None:
        """Write `parts`; `now` gives seconds since 1970, `forward` switches forwarding on.

        `ended` returns the ids of those machines whose leases have ended. `demand` chooses which
        peers there are; None: all.
        """
        self._parts = parts
        self._roster = roster
        self._copy = copy
        self._now = now
        self._forward = forward
        self._ended = ended
        self._demand = demand
        self._rows = threading.RLock()
        self._admitted: set[bytes] = set()
        self._swept_at = now()
        self._index: int | None = None
        self._refusals: dict[str, str] = {}
        self._locked: dict[int, Peer] = {}
        self._missing: str | None = _EMPTY
        self.drift = 0
        self.drift_events: deque[str] = deque(maxlen=_EVENTS_KEPT)
        self.settled = False
        self._programmed = False
        self.wrote = False
        self.revision = 0
        self._taken_revision = 0

    @property
    def backend(self) -> str:
        """What runs the WireGuard device."""
        return self._parts.wireguard.backend

    @property
    def problem(self) -> str | None:
        """What the kernel last refused, and what the copy lacks; None while all is well."""
        return "; ".join((*self._refusals.values(), *self._lacks())) or None

    @property
    def is_waiting(self) -> bool:
        """Whether the copy is not whole: a snapshot of the controller's is to come."""
        return self._missing is not None

    def load(self) -> None:
        """Take every row of the copy; the next pass programs them."""
        copy, demand = self._copy, self._demand
        with self._rows:
            epoch, self._taken_revision = copy.position
            if demand is None:
                self._roster.replace(
                    copy.networks(), copy.peers(), copy.seals(), copy.apps(), copy.machines()
                )
            else:
                self._roster.replace(*demand.load(now=self._now()))
            self._missing = self._missing_in(epoch)
            if self._missing is not None:
                _log.warning("nothing is taken away", reason=self._missing)
            self._tell_locked()
            self.settled = False

    def take(self, changes: Changes) -> None:
        """Write what a commit of the feed changed, and nothing else."""
        if changes.replaced:
            self.load()
            self.verify()
            return
        self._taken_revision = changes.revision
        with self._rows:
            change = self._roster.change(self._chosen(changes), now=self._now())
            self._tell_locked()
            if not self.settled:
                return  # The pass that is due writes it, once the interface is known to be ours.
            with self._trying("change"):
                steps = apply_change(self._parts, change)
                _log_change(changes, steps)
                self.revision = changes.revision

    def tick(self) -> None:
        """Let peers and leases go whose time has come, and make the device again if it is gone."""
        self._end_what_is_over()
        if self.settled:
            self._dismiss_idle()
            with self._trying("look"):
                if self._is_whole():
                    return
            self.verify()

    def verify(self) -> None:
        """Compare all of the tunnel with what it is to be, and repair what differs."""
        with self._trying("pass"):
            there = self._there()
            with self._rows:
                self._admitted.clear()
                self._adopt(there)
                # Or the first pass lets in what has gone, and the others call it drift.
                self._end_what_is_over()
                expected = not self.settled
                desired = self._desired()
            outcome = reconcile(
                self._parts, desired, ours=self._programmed, arrived=self._admitted_keys
            )
            self._programmed, self.wrote = True, bool(outcome.done)
            self._index = self._parts.links.index()
            self.revision = self._taken_revision
            if expected:
                self._log_programmed(outcome.done)
            else:
                self._count_drift(outcome)
            if outcome.left:
                _log.error("kernel differs still", steps=_in_words(outcome.left))
            self._settle(outcome)
        with self._trying(_FORWARDING):
            if switched := self._forward():
                _log.info("forwarding switched on", switches=switched)

    def mend_firewall(self) -> None:
        """Compare the table alone with what it is to be, and repair it, if all else is settled."""
        # Or what its services have in the table counts as drift.
        self._end_what_is_over()
        if not self.settled:
            return
        with self._trying("table"):
            with self._rows:
                desired = self._roster.whole()
            outcome = mend_firewall(self._parts, desired)
            # An admission may have been refused meanwhile, which stays so.
            if outcome.left:
                self.settled = False
            self._count_drift(outcome)

    def observe(self) -> dict[int, Seen]:
        """Return what the device saw of each peer, by id; nothing while it does not answer."""
        try:
            seen = self._parts.wireguard.observe()
        except Refusal:
            return {}
        with self._rows:
            ids = self._roster.peer_ids()
            return {ids[key]: self._total(ids[key], one) for key, one in seen.items() if key in ids}

    def absent(self) -> list[ObservedPeer]:
        """Return what was seen of some of the peers that left on their own."""
        with self._rows:
            return (
                []
                if self._demand is None
                else [observed(one.peer_id, one) for one in self._demand.absent()]
            )

    def is_stranger(self, key: PublicKey) -> bool:
        """Whether `key` is no peer's; from any thread."""
        with self._rows:
            return self._demand is None or self._demand.is_stranger(key)

    def admit(self, key: PublicKey, *, timestamp: bytes) -> Fate:
        """Let in whoever proved to have `key`; from any thread.

        The rows are looked up and written in one go: what is removed meanwhile is removed after.
        """
        with self._rows:
            if self._demand is None:
                return Fate.PRESENT
            fate, rows = self._demand.knock(key, timestamp, now=self._now())
            if not rows:
                return fate
            # What is over by then is for the kernel's thread to write.
            change = self._roster.change(rows, now=self._roster.now)
            self._tell_locked()
            if change.after.device is None or key.raw not in change.after.device.peers:
                return Fate.REFUSED
            self._admitted.add(key.raw)
            if self.settled:
                with self._trying("admission"):
                    apply_change(self._parts, change)
            return fate

    def greet(self, key: PublicKey, source: Source) -> None:
        """Begin a handshake with a peer that was let in, unless it has one; from any thread."""
        with self._rows, self._trying("greeting"):
            if self.settled:
                self._parts.wireguard.apply([Greet(key.raw, source)])

    def _chosen(self, changes: Changes) -> Iterable[Put | Delete]:
        if self._demand is None:
            return changes.events
        return list(self._demand.choose(changes.events, now=self._now()))

    def _there(self) -> Iterable[bytes]:
        """Return the keys that the device has; nobody who comes is to wait for a look at it."""
        device = None if self._demand is None else self._parts.wireguard.read()
        return device.peers if device else ()

    def _adopt(self, keys: Iterable[bytes]) -> None:
        """Let peers be there that the device has already: a restart ends no session."""
        rows = self._demand.adopt(keys, now=self._now()) if self._demand else []
        if rows:
            self._roster.change(rows, now=self._roster.now)

    def _admitted_keys(self) -> frozenset[bytes]:
        """Return who was let in since the pass that is under way began."""
        with self._rows:
            return frozenset(self._admitted)

    def _settle(self, outcome: Outcome) -> None:
        """Let things be settled by a pass that left nothing, if the copy is whole.

        Those who were let in meanwhile are written again, which ends no session: it may have been
        refused, or the device made anew since.
        """
        with self._rows:
            if outcome.left or self._missing is not None:
                self.settled = False
                return
            if self._admitted:
                self._write_admitted()
            self.settled = True
            # All else that was refused is made good.
            self._refusals = {key: why for key, why in self._refusals.items() if key == _FORWARDING}

    def _write_admitted(self) -> None:
        """Write those who were let in since the pass that is under way began."""
        device = self._roster.whole().device
        if device is not None:
            keys, psks = self._admitted & device.peers.keys(), device.preshared_keys
            peers = {key: device.peers[key] for key in keys}
            self._parts.wireguard.apply(
                [AddPeers(peers, {key: psks[key] for key in keys & psks.keys()})]
            )

    def _dismiss_idle(self) -> None:
        """Let peers go that have been idle for long."""
        now = self._now()
        # Also where the clock went back: else nobody would leave until it is where it was.
        if self._demand is None or 0 <= now - self._swept_at < _SWEEP_S:
            return
        self._swept_at = now
        with self._trying("dismissal"):
            seen = self._parts.wireguard.observe()
            with self._rows:
                rows = self._demand.dismiss(seen, now=now)
                if rows:
                    steps = apply_change(self._parts, self._roster.change(rows, now=now))
                    _log.info("idle peers left", steps=_in_words(steps))

    def _total(self, peer_id: int, seen: Seen) -> Seen:
        return seen if self._demand is None else self._demand.total(peer_id, seen)

    def _end_what_is_over(self) -> None:
        """Let peers and leases go whose time has come."""
        with self._rows:
            expired = self._roster.expire(now=self._now())
            if expired and self.settled:
                with self._trying("expiry"):
                    steps = apply_change(self._parts, expired)
                    _log.info("peers expired", steps=_in_words(steps))
        self._end_leases()

    def _end_leases(self) -> None:
        """Send nothing new to machines whose leases have ended, and to those that are back."""
        with self._rows:
            change = self._roster.end(self._ended(self._roster.leased()), now=self._now())
            if change and self.settled:
                with self._trying("leases"):
                    _log.info("leases changed", steps=_in_words(apply_change(self._parts, change)))

    def _missing_in(self, epoch: str) -> str | None:
        """Return what lacks in the rows that were read since the copy stood in `epoch`.

        They are all that the feed said if the copy had a position then, and has one after a row of
        it could have turned out to be damaged. A snapshot that has come meanwhile is not in them.
        """
        if epoch and self._copy.position[0]:
            return None
        return _EMPTY if self._roster.is_empty() else _NOT_WHOLE

    def _desired(self) -> Tunnel:
        """Return what the tunnel is to be, with all that it is while the copy is not whole."""
        whole = self._roster.whole()
        if self._missing is None:
            return whole
        return sparing(
            whole,
            read(self._parts),
            expired=self._roster.expired_keys(now=self._now()),
            locked=frozenset(peer.public_key.raw for peer in self._roster.locked()),
        )

    def _lacks(self) -> Iterator[str]:
        if self._missing is not None:
            yield self._missing
        elif lag := unfinished(self._copy):
            yield lag
        if self._locked:
            names = [peer.name for peer in self._locked.values()]
            more = len(names) - _NAMES_TOLD
            listed = ", ".join(names[:_NAMES_TOLD]) + (f" and {more} more" if more > 0 else "")
            yield f"left out, for their preshared key cannot be opened here: {listed}"

    def _tell_locked(self) -> None:
        """Log once who is left out because their preshared key is not for this gateway."""
        locked = {peer.id: peer for peer in self._roster.locked()}
        for id_ in locked.keys() - self._locked.keys():
            _log.error(
                "peer left out: its preshared key cannot be opened here",
                org_id=locked[id_].org_id,
                name=locked[id_].name,
                cure="wgctl peer rekey --psk",
            )
        self._locked = locked

    def _is_whole(self) -> bool:
        """Whether link and device are those that the last pass left."""
        return self._parts.links.index() == self._index and self._parts.wireguard.alive()

    @contextmanager
    def _trying(self, what: str) -> Iterator[None]:
        """Log a refusal once, not at each attempt, and leave things unsettled."""
        try:
            yield
        except Refusal as error:
            if what != _FORWARDING:
                self.settled = False
            if self._refusals.get(what) != str(error):
                _log.error("kernel refused", attempt=what, reason=str(error))
            self._refusals[what] = str(error)
        else:
            self._refusals.pop(what, None)

    def _count_drift(self, outcome: Outcome) -> None:
        """Count and tell what was found otherwise than it was to be, and is mended."""
        found = drift(outcome.done, outcome.found)
        self.drift += len(found)
        self.drift_events.extend(map(str, found))
        for one in found[:_STEPS_LOGGED]:
            _log.warning("drift repaired", what=one.what, before=one.before, after=one.after)
        if len(found) > _STEPS_LOGGED:
            _log.warning("more drift repaired", count=len(found) - _STEPS_LOGGED)

    def _log_programmed(self, steps: tuple[Step, ...]) -> None:
        if steps:
            _log.info("tunnel programmed", count=len(steps), steps=_in_words(steps))


def observed(peer_id: int, seen: Seen | Visit) -> ObservedPeer:
    """Return what was seen of a peer as a report has it."""
    return ObservedPeer(
        peer_id=peer_id,
        endpoint=seen.endpoint,
        last_handshake=seen.last_handshake,
        received_bytes=seen.received_bytes,
        sent_bytes=seen.sent_bytes,
    )


def _log_change(changes: Changes, steps: tuple[Step, ...]) -> None:
    for event in changes.events:
        match event:
            case Put(row=(Network() | Peer()) as row):
                _log.info(f"{event.kind} written", org_id=row.org_id, name=row.name)
            case Put():
                pass
            case _:
                _log.info(f"{event.kind} removed", id=event.id)
    if steps:
        _log.debug("change written", revision=changes.revision, steps=_in_words(steps))


def _in_words(steps: tuple[Step, ...]) -> list[str]:
    """Return the first few steps in words, and how many there are besides."""
    words = [str(step) for step in steps[:_STEPS_LOGGED]]
    more = len(steps) - len(words)
    return [*words, f"and {more} more"] if more else words
