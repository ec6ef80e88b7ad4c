"""The gateway's hand on the kernel: what it holds, what it writes, and the drift it repairs.

All of it runs in one thread, which may block; when each piece is due is `wgctl.daemon.gateway`.
A refusal of the kernel's is logged and leaves things unsettled: the next pass tries again. Until
the copy is whole, what it says is written, and nothing that it does not know of is taken away.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import structlog

from wgctl.core.errors import Refusal
from wgctl.core.feed import Put
from wgctl.core.model import Machine, Network, Peer
from wgctl.core.plan import sparing
from wgctl.core.roster import Roster
from wgctl.core.schema import ObservedPeer
from wgctl.core.tunnel import MakeLink, RemovePeer, SetPeer, Step, Tunnel
from wgctl.daemon.follow import Changes, unwritten
from wgctl.services.reconcile import Parts, apply_change, read, reconcile
from wgctl.store.copy import Copy

__all__ = ["Programme"]

_EVENTS_KEPT = 20
_STEPS_LOGGED = 8
_NAMES_TOLD = 5

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
    ) -> None:
        """Write `parts`; `now` gives seconds since 1970, `forward` switches forwarding on.

        `ended` returns the ids of those machines whose leases have ended.
        """
        self._parts = parts
        self._roster = roster
        self._copy = copy
        self._now = now
        self._forward = forward
        self._ended = ended
        self._index: int | None = None
        self._refusals: dict[str, str] = {}
        self._locked: dict[int, Peer] = {}
        self._missing: str | None = _EMPTY
        self.drift = 0
        self.drift_events: deque[str] = deque(maxlen=_EVENTS_KEPT)
        self.settled = False
        self._programmed = False
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
        copy = self._copy
        epoch, self._taken_revision = copy.position
        self._roster.replace(
            copy.networks(), copy.peers(), copy.seals(), copy.apps(), copy.machines()
        )
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
        change = self._roster.change(changes.events, now=self._now())
        self._tell_locked()
        if not self.settled:
            return  # The pass that is due writes it, once the interface is known to be ours.
        with self._trying("change"):
            steps = apply_change(self._parts, change)
            _log_change(changes, steps)
            self.revision = changes.revision

    def tick(self) -> None:
        """Let peers and leases go whose time has come, and make the device again if it is gone."""
        expired = self._roster.expire(now=self._now())
        if expired and self.settled:
            with self._trying("expiry"):
                steps = apply_change(self._parts, expired)
                _log.info("peers expired", steps=_in_words(steps))
        self._end_leases()
        if self.settled:
            with self._trying("look"):
                if self._is_whole():
                    return
            self.verify()

    def verify(self) -> None:
        """Compare all of the tunnel with what it is to be, and repair what differs."""
        self._end_leases()  # Or the first pass lets in what has gone, and the others call it drift.
        with self._trying("pass"):
            expected = not self.settled
            outcome = reconcile(self._parts, self._desired(), ours=self._programmed)
            self._programmed = True
            self._index = self._parts.links.index()
            self.settled = self._missing is None and not outcome.left
            self.revision = self._taken_revision
            if expected:
                self._log_programmed(outcome.done)
            else:
                self._count_drift(outcome.done)
            if outcome.left:
                _log.error("kernel differs still", steps=_in_words(outcome.left))
        with self._trying("forwarding"):
            if switched := self._forward():
                _log.info("forwarding switched on", switches=switched)

    def observe(self) -> list[ObservedPeer]:
        """Return what the device saw of each peer, by peer; nothing while it does not answer."""
        ids = self._roster.peer_ids()
        try:
            seen = self._parts.wireguard.observe()
        except Refusal:
            return []
        return sorted(
            (
                ObservedPeer(
                    peer_id=ids[key],
                    endpoint=one.endpoint,
                    last_handshake=one.last_handshake,
                    received_bytes=one.received_bytes,
                    sent_bytes=one.sent_bytes,
                )
                for key, one in seen.items()
                if key in ids
            ),
            key=lambda observed: observed.peer_id,
        )

    def _end_leases(self) -> None:
        """Send nothing new to machines whose leases have ended, and to those that are back."""
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
        now = self._now()
        whole = self._roster.whole(now=now)
        if self._missing is None:
            return whole
        return sparing(
            whole,
            read(self._parts),
            expired=self._roster.expired_keys(now=now),
            locked=frozenset(peer.public_key.raw for peer in self._roster.locked()),
        )

    def _lacks(self) -> Iterator[str]:
        if self._missing is not None:
            yield self._missing
        elif lag := unwritten(self._copy):
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
            self.settled = self.settled and what == "forwarding"
            if self._refusals.get(what) != str(error):
                _log.error("kernel refused", attempt=what, reason=str(error))
            self._refusals[what] = str(error)
        else:
            self._refusals.pop(what, None)

    def _count_drift(self, steps: tuple[Step, ...]) -> None:
        """Count what a pass repaired; a device that was gone counts once, as a peer made anew."""
        if not steps:
            return
        made = {step.key for step in steps if isinstance(step, SetPeer)}
        gone = [step for step in steps if isinstance(step, MakeLink)]
        differences = [
            step for step in steps if not (isinstance(step, RemovePeer) and step.key in made)
        ]
        found = [f"repaired: {step}" for step in gone or differences]
        self.drift += len(found)
        self.drift_events.extend(found)
        _log.warning("drift repaired", count=len(found), steps=_in_words(steps))

    def _log_programmed(self, steps: tuple[Step, ...]) -> None:
        if steps:
            _log.info("tunnel programmed", count=len(steps), steps=_in_words(steps))


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
