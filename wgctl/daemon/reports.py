"""What a role that follows the feed and answers tells the controller: where it stands, what it saw.

Best effort: a controller that does not listen misses nothing, since the next report says it all.
"""

import asyncio
import time
from collections.abc import Mapping
from ipaddress import IPv6Address
from pathlib import Path
from typing import Never

import structlog

from wgctl.client.node import Node
from wgctl.core.errors import Unavailable
from wgctl.core.health import Record
from wgctl.core.health_shape import ObservedHealth, ObservedTransition
from wgctl.core.model import FollowingRole
from wgctl.core.pace import Refusals
from wgctl.core.role_shape import MOST_LIMITED, LimitedAddress, UpstreamCondition
from wgctl.core.schema import RoleReport
from wgctl.daemon.follow import recent_setback, unfinished
from wgctl.daemon.ledger import Ledger
from wgctl.store.copy import Copy

__all__ = ["Reports"]

_EVERY_S = 5.0
_AGAIN_S = 1.0
_SOON_S = 0.2
"""Changes that come in a row make one report."""

_log = structlog.get_logger()


class Reports:
    """A role's signs of life: every 5 s, and soon after its copy has moved."""

    def __init__(
        self, copy: Copy, *, role: FollowingRole, socket: Path, ledger: Ledger | None = None
    ) -> None:
        """Report where `copy` stands over `socket`, and what is in `ledger`, if there is one."""
        self._copy = copy
        self._role = role
        self._ledger = ledger
        self._node = Node(socket)
        self._started_at = int(time.time())
        self._moved = asyncio.Event()
        self._problems: dict[str, str] = {}
        self._upstreams: list[UpstreamCondition] = []
        self._refusals = Refusals()

    def soon(self) -> None:
        """Report before long; called in the loop."""
        self._moved.set()

    def trouble(self, problem: str | None, *, of: str = "") -> bool:
        """Tell what keeps the role from its work, None when nothing does; return if it is news.

        What was said `of` something else stands. Called in the loop.
        """
        if problem == self._problems.get(of):
            return False
        self._problems.pop(of, None)
        if problem is not None:
            self._problems[of] = problem
        self.soon()
        return True

    def upstreams(self, conditions: list[UpstreamCondition]) -> None:
        """Tell how the upstreams do; called in the loop."""
        self._upstreams = conditions
        self.soon()

    def refused(self, queries: Mapping[bytes, int]) -> None:
        """Tell how many queries of which addresses, 16 octets each, got nothing.

        That alone hastens no report: who floods is not to make more of them.
        """
        self._refusals.note(queries, now=time.monotonic())

    async def run(self) -> Never:
        """Report until cancelled."""
        while True:
            self._moved.clear()
            taken = await self._report()
            try:
                async with asyncio.timeout(_EVERY_S if taken else _AGAIN_S):
                    await self._moved.wait()
                await asyncio.sleep(_SOON_S)
            except TimeoutError:
                pass

    def _in_words(self) -> str | None:
        problems = (*self._problems.values(), unfinished(self._copy))
        return "; ".join(filter(None, problems)) or None

    async def _report(self) -> bool:
        """Report; return whether the controller took it."""
        batch = [] if self._ledger is None else self._ledger.batch()
        report = RoleReport(
            role=self._role,
            revision=self._copy.position[1],
            started_at=self._started_at,
            setback=recent_setback(self._copy),
            problem=self._in_words(),
            health=[_health_shape(record) for record in batch],
            upstreams=self._upstreams,
            limited=[
                LimitedAddress(address=IPv6Address(address), queries=queries)
                for address, queries in self._refusals.worst(MOST_LIMITED, now=time.monotonic())
            ],
        )
        try:
            await self._node.report(report)
        except Unavailable as error:
            _log.debug("report not taken", reason=str(error))
            if self._ledger is not None:
                self._ledger.untell()
            return False
        if self._ledger is not None:
            self._ledger.told(batch)
            if self._ledger.untold:
                self.soon()
        return True


def _health_shape(record: Record) -> ObservedHealth:
    transitions = [
        ObservedTransition(at=one.at, before=one.before, after=one.after, reason=one.reason)
        for one in record.transitions
    ]
    return ObservedHealth(
        machine_id=record.machine_id, health=record.health, transitions=transitions
    )
