"""The leases that the internal API renews, told to the resolver by a file, and to the controller.

A renewal needs no controller, and neither does an end: the file that the resolver reads has both.
Until when a lease lasts is `wgctl.core.lease`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Never
from weakref import WeakValueDictionary

import structlog

from wgctl.api.internal import Desk
from wgctl.client.node import Node
from wgctl.core.errors import Denied, Invalid, Unavailable
from wgctl.core.lease import Book, Standing, Term
from wgctl.core.lease_schema import (
    Announcement,
    EndedLease,
    LeaseReport,
    NewLease,
    ObservedLease,
    Renewal,
)
from wgctl.core.model import Peer
from wgctl.core.schema import Machine, SelfReply
from wgctl.daemon.follow import Changes
from wgctl.drivers import lease_file
from wgctl.store.copy import Copy

__all__ = ["Leases"]

_SOON_S = 0.25
"""Renewals that come in a row are written at once."""

_REST = 50
"""How many times as long as a file took to write there is none; 1,000 leases take about 2 ms."""

_TICK_S = 0.5
"""How long an end may wait until the controller hears of it."""

_REPORT_S = 5.0
_PATIENCE_S = 2.0
_MOST_ENDED = 1_000

_log = structlog.get_logger()


class Leases:
    """The leases of one host. All but the making of it is called in the loop."""

    def __init__(
        self, copy: Copy, *, node: Node, path: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with the leases of `copy`, as the file at `path` left them."""
        self._copy = copy
        self._node = node
        self._path = path
        self._clock = clock
        self._book = Book(self._terms(), _left_behind(path), now=clock())
        self._changed = asyncio.Event()
        self._changed.set()
        # What is told to have ended must not begin anew meanwhile.
        self._asking = asyncio.Lock()
        self._announcing: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._reported_at = -_REPORT_S
        self._reported = False

    @property
    def desk(self) -> Desk:
        """What peers may do with leases."""
        return Desk(self.announce, self.renew, self.withdraw)

    async def announce(self, asker: SelfReply, new: NewLease) -> Machine:
        """Have the controller add the machine, and begin its lease.

        Raises what the controller refuses it with, and Unavailable when it does not answer.
        """
        peer = self._peer(asker)
        said = Announcement(
            org=asker.org,
            network=asker.network,
            peer=asker.peer,
            address=asker.address,
            machine=new,
        )
        async with self._turn(peer.network_id):
            announced = await self._node.announce(said)
            term = Term(announced.machine_id, peer.org_id, peer.id, new.name, new.ttl_s)
            self._book.start(term, holder=new.holder, healthy=new.healthy, now=self._clock())
        self._changed.set()
        _log.info("machine announced", org=asker.org, network=asker.network, name=new.name)
        return announced.machine

    def renew(self, asker: SelfReply, name: str, renewal: Renewal) -> None:
        """Let a lease last anew; raises as `Book.renew` does."""
        self._book.renew(
            self._peer(asker).id,
            name,
            holder=renewal.holder,
            healthy=renewal.healthy,
            now=self._clock(),
        )
        self._changed.set()

    def withdraw(self, asker: SelfReply, name: str, holder: str) -> None:
        """End a lease."""
        self._book.withdraw(self._peer(asker).id, name, holder=holder, now=self._clock())
        self._changed.set()

    def take(self, changes: Changes) -> None:
        """Follow what changed in the copy."""
        if changes.replaced:
            self._book.replace(self._terms(), now=self._clock())
        else:
            self._book.take(changes.events, now=self._clock())
        self._changed.set()

    async def run(self) -> Never:
        """Write the file and tell the controller, until cancelled.

        A controller that hangs must not hold up what the resolver hears.
        """
        async with asyncio.TaskGroup() as both:
            both.create_task(self._write_on())
            both.create_task(self._tell_on())
        raise RuntimeError("both go on for ever")

    async def _write_on(self) -> Never:
        while True:
            await self._changed.wait()
            self._changed.clear()
            started_at = time.monotonic()
            self._write()
            await asyncio.sleep(max(_SOON_S, _REST * (time.monotonic() - started_at)))

    async def _tell_on(self) -> Never:
        while True:
            await self._tell()
            await asyncio.sleep(_TICK_S)

    @asynccontextmanager
    async def _turn(self, network_id: int) -> AsyncIterator[None]:
        """Wait for those who ask the controller just now; raises Unavailable when they are many.

        Of each network no more than one is among them: the rest wait for their own network's.
        """
        of_network = self._announcing.setdefault(network_id, asyncio.Lock())
        async with AsyncExitStack() as turn:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await turn.enter_async_context(of_network)
                    await turn.enter_async_context(self._asking)
            except TimeoutError:
                raise Unavailable("the controller is slow: ask again later") from None
            yield

    def _write(self) -> None:
        try:
            lease_file.write(self._path, self._book.standings())
        except OSError as error:
            _log.error("leases not written", path=str(self._path), reason=error.strerror)

    async def _tell(self) -> None:
        """Tell the controller how the leases stand: now and then, and at once that some ended."""
        async with self._asking:
            now = self._clock()
            ended = self._book.give_up(now=now, most=_MOST_ENDED)
            standings = self._book.standings()
            if not ended and (
                now - self._reported_at < _REPORT_S or not (standings or self._reported)
            ):
                return
            try:
                await self._node.report_leases(self._report(standings, ended, now=now))
            except Unavailable as error:
                self._book.spare()
                _log.debug("leases not told", reason=str(error))
                return
            except asyncio.CancelledError:
                self._book.spare()
                raise
        self._reported_at, self._reported = now, bool(standings)
        for term in ended:
            _log.info("lease ended", name=term.name, machine_id=term.machine_id)

    def _report(
        self, standings: Mapping[int, Standing], ended: list[Term], *, now: float
    ) -> LeaseReport:
        return LeaseReport(
            leases=[
                ObservedLease(
                    machine_id=machine_id,
                    left_s=max(0.0, standing.ends_at - now),
                    healthy=standing.healthy,
                )
                for machine_id, standing in standings.items()
            ],
            ended=[
                EndedLease(org=org.slug, machine_id=term.machine_id)
                for term in ended
                if (org := self._copy.org(term.org_id)) is not None
            ],
        )

    def _peer(self, asker: SelfReply) -> Peer:
        peer = self._copy.peer_at(asker.address)
        if peer is None:
            raise Denied("the request comes from no peer of this network")
        return peer

    def _terms(self) -> Iterator[Term]:
        for machine in self._copy.leased_machines():
            if term := Term.of(machine):
                yield term


def _left_behind(path: Path) -> dict[int, Standing]:
    """Return what the role wrote before it was started again."""
    try:
        return lease_file.read(path)
    except (Invalid, OSError) as error:
        _log.error("leases not read", path=str(path), reason=str(error))
        return {}
