"""Keeps a role's copy at the state of the feed, for as long as the role lives.

What a change means to the role is its own business; it hears of it after the copy has it.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Never

import structlog

from wgctl.client.node import Node
from wgctl.core.errors import Invalid, Unavailable
from wgctl.core.feed import NEEDS, Beat, Commit, Delete, Event, Kind, Put, Snapshot
from wgctl.core.model import Role
from wgctl.core.setback import SHOWN_S, told
from wgctl.store.copy import Copy, Replacement

__all__ = ["Changes", "Follower", "open_copy", "recent_setback", "unfinished"]

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 2.0
_GATHER_S = 0.02
"""What comes so soon after a commit is taken with what comes after it, in one write to the disk."""
_NO_REVISION = 2**63 - 1
"""No store gets that far: a snapshot answers who asks for what came after."""

_log = structlog.get_logger()


def open_copy(path: Path) -> Copy:
    """Return the copy at `path`; what is damaged in it is logged, and comes again by the feed."""
    return Copy(path, on_damage=lambda found: _log.error("copy damaged", found=found))


def recent_setback(copy: Copy) -> str | None:
    """Return how `copy` was set back to an earlier state within the last week, or None."""
    found = copy.setback
    if found is None or time.time() - found[0] >= SHOWN_S:
        return None
    return found[1]


def unfinished(copy: Copy) -> str | None:
    """Return what `copy` has not yet, or its file as on a full disk, in words; or None."""
    if (arriving := copy.arriving) is not None:
        there, rows = arriving
        return f"taking a copy from the controller: {there:,} of {max(there, rows):,} rows"
    (_, there), (_, reached) = copy.position, copy.reached
    if there == reached:
        return None
    return f"the copy cannot be written: a restart would go back from revision {reached} to {there}"


@dataclass(frozen=True, slots=True)
class Changes:
    """What one commit of the feed brought.

    With `replaced` everything may have changed and `events` is empty.
    """

    replaced: bool
    events: tuple[Put | Delete, ...]
    revision: int


class Follower:
    """Follows the feed into a copy; reconnects for ever, waiting 0.1 s to 2 s with jitter."""

    def __init__(
        self, copy: Copy, *, role: Role, socket: Path, on_commit: Callable[[Changes], None]
    ) -> None:
        """Follow over `socket`; `on_commit` is called in the loop once the copy has a commit.

        Commits that came together, or within 20 ms of one, are told as one.
        """
        self._copy = copy
        self._role = role
        self._node = Node(socket)
        self._on_commit = on_commit
        self._writer = _Writer(copy)

    async def run(self) -> Never:
        """Follow until cancelled."""
        wait_s = _FIRST_WAIT_S
        while True:
            started_at = self._copy.reached
            try:
                await self._follow()
                reason = "the controller closed the feed"
            except (Unavailable, Invalid) as error:
                reason = str(error)
            if self._copy.reached != started_at:
                wait_s = _FIRST_WAIT_S
            if wait_s == _FIRST_WAIT_S:
                _log.warning("feed lost", reason=reason, revision=self._copy.reached[1])
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311  # jitter
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    async def _follow(self) -> None:
        epoch, since = self._copy.reached
        followed = epoch
        if epoch and self._copy.held != NEEDS[self._role]:
            # What an older version did not need, or send, is asked for: changes alone would not
            # bring it. The store that was followed is named, so that a restore is told as one.
            epoch, since = "", _NO_REVISION
        with closing(
            _Intake(self._copy, self._writer, needs=NEEDS[self._role], epoch=epoch)
        ) as intake:
            async for events in self._node.follow(self._role, epoch=followed, since=since):
                # The disk may take its time; whatever else the loop does goes on.
                heard = await asyncio.to_thread(intake.take, events)
                for changes in heard:
                    self._on_commit(changes)
                if heard:
                    await asyncio.sleep(_GATHER_S)
            intake.require_whole()


class _Intake:
    """Takes what one connection brings into the copy, a state of the store at a time."""

    def __init__(
        self, copy: Copy, writer: "_Writer", *, needs: frozenset[Kind], epoch: str
    ) -> None:
        """Take rows of the kinds `needs`, from where the copy stands in `epoch`."""
        self._copy = copy
        self._writer = writer
        self._needs = needs
        self._epoch = epoch
        self._rows = ExitStack()
        self._snapshot: tuple[Snapshot, Replacement] | None = None
        self._begun: list[Put | Delete] = []

    def close(self) -> None:
        """Drop what belongs to no whole state."""
        self._rows.close()

    def take(self, events: Iterable[Event]) -> list[Changes]:
        """Take `events`, and return what they brought, in order."""
        heard: list[Changes] = []
        ended: list[Put | Delete] = []
        reached: int | None = None
        for event in events:
            match event:
                case Put() if self._snapshot is not None:
                    # As they come, so that memory does not grow with the snapshot.
                    self._snapshot[1].add(event)
                case Put() | Delete():
                    self._begun.append(event)
                case Commit(revision) if self._snapshot is not None:
                    heard.append(self._replace(*self._snapshot, revision))
                case Commit(reached):
                    ended += self._begun
                    self._begun.clear()
                case Snapshot():
                    heard += self._write(ended, reached)
                    ended, reached = [], None
                    self._begin(event)
                case Beat():
                    self._writer.keep_up(self._epoch)
        return heard + self._write(ended, reached)

    def require_whole(self) -> None:
        """Raise Unavailable when what was taken ends within a state."""
        if self._snapshot is not None:
            raise Unavailable("the feed ended within a snapshot")
        if self._begun:
            raise Unavailable("the feed ended within a commit")

    def _begin(self, snapshot: Snapshot) -> None:
        self._rows.close()
        self._begun.clear()
        held = snapshot.kinds & self._needs
        self._snapshot = (
            snapshot,
            self._rows.enter_context(self._copy.replacing(held, rows=snapshot.rows)),
        )

    def _replace(self, snapshot: Snapshot, rows: Replacement, revision: int) -> Changes:
        setback = told(self._copy.reached, snapshot, revision, rows.undone)
        rows.commit(
            epoch=snapshot.epoch,
            revision=revision,
            setback=None if setback is None else (int(time.time()), setback),
        )
        self._rows.close()
        self._snapshot, self._epoch = None, snapshot.epoch
        if setback is not None:
            _log.error("set back", how=setback)
        _log.info("snapshot taken", revision=revision)
        return Changes(replaced=True, events=(), revision=revision)

    def _write(self, events: list[Put | Delete], revision: int | None) -> list[Changes]:
        if revision is None:
            return []
        self._writer.write(events, epoch=self._epoch, revision=revision)
        return [Changes(replaced=False, events=tuple(events), revision=revision)]


class _Writer:
    """Writes changes to the copy, and tells once where its file cannot be written."""

    def __init__(self, copy: Copy) -> None:
        self._copy = copy
        self._refused: str | None = None

    def write(self, events: list[Put | Delete], *, epoch: str, revision: int) -> None:
        """Write `events`; where the disk is full, the copy holds them all the same."""
        self._require_place(epoch)
        try:
            self._copy.write(events, epoch=epoch, revision=revision)
        except Unavailable as error:
            if self._refused != str(error):
                _log.error("copy not written", reason=str(error), revision=revision)
            self._refused = str(error)
        else:
            self._refused = None

    def keep_up(self, epoch: str) -> None:
        """Look after the copy while nothing changes; write what could not be written before."""
        self._require_place(epoch)
        if self._copy.position != self._copy.reached:
            self.write([], epoch=epoch, revision=self._copy.reached[1])

    def _require_place(self, epoch: str) -> None:
        """Raise Unavailable, so that a snapshot is asked for, when the copy is not in `epoch`.

        It lost its place to a row that could not be read. Going on from here would leave that row
        out for good.
        """
        if not epoch or self._copy.reached[0] != epoch:
            raise Unavailable("the copy does not stand where the feed goes on: a snapshot mends it")
