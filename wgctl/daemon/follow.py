"""Keeps a role's copy at the state of the feed, for as long as the role lives.

What a change means to the role is its own business; it hears of it after the copy has it.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Never

import structlog

from wgctl.client.node import Node
from wgctl.core.errors import Invalid, Unavailable
from wgctl.core.feed import NEEDS, Beat, Commit, Delete, Event, Put, Snapshot
from wgctl.core.model import Role
from wgctl.core.setback import SHOWN_S, told
from wgctl.store.copy import Copy

__all__ = ["Changes", "Follower", "open_copy", "recent_setback", "unwritten"]

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 2.0
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


def unwritten(copy: Copy) -> str | None:
    """Return what the file of `copy` lacks of what the role has, as on a full disk, or None."""
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
        """Follow over `socket`; `on_commit` is called in the loop once the copy has a commit."""
        self._copy = copy
        self._role = role
        self._node = Node(socket)
        self._on_commit = on_commit
        self._refused: str | None = None

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
        events = self._node.follow(self._role, epoch=followed, since=since)
        async for event in events:
            match event:
                case Snapshot(epoch):
                    self._on_commit(await self._take_snapshot(events, event))
                case Put() | Delete():
                    self._on_commit(await self._take_changes(event, events, epoch))
                case Commit(revision):
                    self._write([], epoch=epoch, revision=revision)
                    self._on_commit(Changes(replaced=False, events=(), revision=revision))
                case Beat():
                    self._keep_up(epoch)

    async def _take_snapshot(self, events: AsyncIterator[Event], snapshot: Snapshot) -> Changes:
        """Write rows as they come, so that memory does not grow with the snapshot."""
        with self._copy.replacing(snapshot.kinds & NEEDS[self._role]) as replacement:
            async for event in events:
                match event:
                    case Put():
                        replacement.add(event)
                    case Commit(revision):
                        undone = replacement.undone()
                        setback = told(self._copy.reached, snapshot, revision, undone)
                        replacement.commit(
                            epoch=snapshot.epoch,
                            revision=revision,
                            setback=None if setback is None else (int(time.time()), setback),
                        )
                        if setback is not None:
                            _log.error("set back", how=setback)
                        _log.info("snapshot taken", revision=revision)
                        return Changes(replaced=True, events=(), revision=revision)
                    case _:
                        pass
        raise Unavailable("the feed ended within a snapshot")

    async def _take_changes(
        self, first: Put | Delete, events: AsyncIterator[Event], epoch: str
    ) -> Changes:
        taken = [first]
        async for event in events:
            match event:
                case Put() | Delete():
                    taken.append(event)
                case Commit(revision):
                    self._write(taken, epoch=epoch, revision=revision)
                    return Changes(replaced=False, events=tuple(taken), revision=revision)
                case _:
                    pass
        raise Unavailable("the feed ended within a commit")

    def _keep_up(self, epoch: str) -> None:
        """Look after the copy while nothing changes; write what could not be written before."""
        self._require_place(epoch)
        if self._copy.position != self._copy.reached:
            self._write([], epoch=epoch, revision=self._copy.reached[1])

    def _write(self, events: list[Put | Delete], *, epoch: str, revision: int) -> None:
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

    def _require_place(self, epoch: str) -> None:
        """Raise Unavailable, so that a snapshot is asked for, when the copy is not in `epoch`.

        It lost its place to a row that could not be read. Going on from here would leave that row
        out for good.
        """
        if not epoch or self._copy.reached[0] != epoch:
            raise Unavailable("the copy does not stand where the feed goes on: a snapshot mends it")
