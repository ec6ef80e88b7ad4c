"""The resolver role: follows the feed and answers DNS inside the networks.

Joins the copy, the views made from it, the health of what is in them, the sockets and the
upstreams; it answers from its copy whether the controller runs or not.
"""

import asyncio
import math
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv6Network
from pathlib import Path
from typing import Never

import structlog

from wgctl.core.errors import Invalid
from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.lease import Heard, Standing
from wgctl.core.model import Machine, Network, Role
from wgctl.core.region import NOWHERE, Vantage
from wgctl.core.responder import Forward, respond
from wgctl.core.settings import Settings
from wgctl.core.view import View, build, prolonged
from wgctl.daemon.follow import Changes, Follower, open_copy
from wgctl.daemon.forwarding import open_upstreams
from wgctl.daemon.health import Checkup
from wgctl.daemon.ledger import Ledger
from wgctl.daemon.life import pulse, until_stopped
from wgctl.daemon.reports import Reports
from wgctl.daemon.rounds import Rounds
from wgctl.daemon.unix import OPERATORS_GROUP, listen, remove
from wgctl.drivers.crowd import NETWORK_BYTES
from wgctl.drivers.dns_server import Asker, DnsServer, Handler, Listening
from wgctl.drivers.dns_stream import Streams
from wgctl.drivers.lease_file import LeaseReader
from wgctl.drivers.probe import Prober
from wgctl.drivers.systemd import Service
from wgctl.drivers.upstream.forwarder import Upstreams
from wgctl.store.copy import Copy
from wgctl.store.health import HealthFile

__all__ = ["Answers", "Views", "run"]

_COPY_NAME = "copy.sqlite"
_HEALTH_NAME = "health.sqlite"
_PREFIX_LENGTH = 48
_REST_BYTES = 10
_TURN_BITS = 32
_HEAR_S = 0.25

# Peers say how healthy their machines are, as often as they like: what a view costs them bounds
# how often it is built for that. A rest that nobody would notice is none.
_REST = 20
_NOTICED_S = 0.05

_log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Answer until SIGTERM or SIGINT.

    Raises Invalid when `resolver.tls_ca` is unusable, Unavailable when another resolver has the
    operators' socket.
    """
    folder = settings.role_dir(Role.RESOLVER)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.runtime_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    copy = open_copy(folder / _COPY_NAME)
    health = HealthFile(folder / _HEALTH_NAME)
    try:
        asyncio.run(_serve(settings, copy, Ledger(health)))
    finally:
        health.close()
        copy.close()


class Views:
    """The views of the networks that were asked for, each until something in it changes."""

    def __init__(
        self,
        copy: Copy,
        *,
        now: Callable[[], int],
        here: Vantage = NOWHERE,
        clock: Callable[[], float] = time.monotonic,
        timer: Callable[[], float] = time.thread_time,
    ) -> None:
        """Build views from `copy`, as seen from `here`.

        `now` gives seconds since 1970, `clock` those that leases are counted in, `timer` those
        that it takes to build a view.
        """
        self._copy = copy
        self._clock = clock
        self._timer = timer
        self._heard = Heard()
        self._now = now
        self._here = here
        self._failing: dict[int, frozenset[int]] = {}
        self._built: dict[bytes, _Built] = {}

    def of(self, network: bytes) -> View | None:
        """Return the view of the network whose /48 begins with these 6 octets, or None."""
        built = self._built.get(network)
        if built is not None and self._clock() >= built.ill_from:
            built = None
        if built is not None and not built.expired(now=self._now()):
            return built.view
        self._built.pop(network, None)
        built = (built and self._prolonged(built)) or self._build(network)
        if built is None:
            return None
        self._built[network] = built
        return built.view

    def take(self, changes: Changes) -> None:
        """Drop the views that `changes` make wrong; the next query builds them again."""
        if changes.replaced:
            self._built.clear()
        for event in changes.events:
            for network in [key for key, built in self._built.items() if built.touched(event)]:
                del self._built[network]

    def leave_out(self, network_id: int, failing: frozenset[int]) -> None:
        """Take those of the network's machines that have these ids for failing, and no others.

        A view that took long to build is kept for a while first.
        """
        self._failing[network_id] = failing
        if not failing:
            del self._failing[network_id]
        for key in [k for k, built in self._built.items() if built.view.network.id == network_id]:
            self._built[key] = self._built[key].ill()

    def hear(self, standings: Mapping[int, Standing]) -> None:
        """Take how leases stand; drop the views of machines that come, go or fall ill by it.

        Of those where none comes or goes, one that took long to build is kept for a while first.
        """
        changed = {(Kind.MACHINE, id_) for id_ in self._heard.take(standings, now=self._clock())}
        for network in [key for key, built in self._built.items() if built.rows & changed]:
            built = self._built[network]
            if _lasting(self._left(built.leased)) == built.lasting:
                self._built[network] = built.ill()
            else:
                del self._built[network]

    def _prolonged(self, built: "_Built") -> "_Built | None":
        """Return `built` for as long as it is right since leases were renewed."""
        now = self._now()
        view = prolonged(built.view, self._left(built.leased), now=now)
        return None if view is None else replace(built, view=view, since=now)

    def _left(self, machines: Iterable[Machine]) -> Mapping[int, int]:
        now = self._clock()
        left = ((machine.id, self._heard.left_s(machine, now=now)) for machine in machines)
        return {id_: left_s for id_, left_s in left if left_s is not None}

    def _build(self, network: bytes) -> "_Built | None":
        prefix = IPv6Network((network + bytes(_REST_BYTES), _PREFIX_LENGTH))
        row = self._copy.network_of(prefix)
        if row is None:
            return None
        started_at = self._timer()
        peers, apps, machines = self._copy.network_rows(row.id)
        now = self._now()
        leased = tuple(machine for machine in machines if machine.lease_s is not None)
        left = self._left(leased)
        failing = self._failing.get(row.id, frozenset()) | self._heard.failing(leased)
        view = build(
            *(row, peers, apps, machines),
            now=now,
            here=self._here,
            failing=failing,
            leases=left,
        )
        rows = {(Kind.PEER, peer.id) for peer in peers}
        rows |= {(Kind.APP, app.id) for app in apps}
        rows |= {(Kind.MACHINE, machine.id) for machine in machines}
        rest_s = _REST * (self._timer() - started_at)
        rests_until = self._clock() + (rest_s if rest_s >= _NOTICED_S else 0.0)
        return _Built(view, frozenset(rows), leased, _lasting(left), now, rests_until)


@dataclass(frozen=True, slots=True)
class _Built:
    """A view and the rows that went into it: a delete of the feed names no more than a row.

    `leased` are the machines that have a lease, `lasting` those of them whose lease had not ended,
    `since` is when the view was right. By the clock of leases, it is not built anew for health
    before `rests_until`, and is wrong from `ill_from` on.
    """

    view: View
    rows: frozenset[tuple[Kind, int]]
    leased: tuple[Machine, ...]
    lasting: frozenset[int]
    since: int
    rests_until: float
    ill_from: float = math.inf

    def ill(self) -> "_Built":
        return replace(self, ill_from=self.rests_until)

    def expired(self, *, now: int) -> bool:
        # A clock that was set back must not keep what has an end.
        ends = self.view.expires_at
        return ends is not None and not self.since <= now < ends

    def touched(self, event: Put | Delete) -> bool:
        network_id = self.view.network.id
        match event:
            case Put(_, Network(id=id_)) | Delete(Kind.NETWORK, id_):
                return id_ == network_id
            case Put(kind=Kind.CHECK):
                return False
            case Put(_, row):
                return getattr(row, "network_id", None) == network_id
            case Delete(kind, id_):
                return (kind, id_) in self.rows


def _lasting(left: Mapping[int, int]) -> frozenset[int]:
    return frozenset(id_ for id_, left_s in left.items() if left_s > 0)


class Answers:
    """What each query gets: from the view of the asker's network, or from the upstreams."""

    def __init__(
        self, views: Views, upstreams: Upstreams, *, turn: Callable[[], int] = lambda: 0
    ) -> None:
        """Answer from `views`, and ask `upstreams` what is in none of their zones.

        `turn` draws a number for each query, of 0 or more: where its answer begins.
        """
        self._views = views
        self._upstreams = upstreams
        self._turn = turn
        self._forwards = bool(upstreams)

    def to(self, message: bytes, asker: Asker) -> bytes | Awaitable[bytes | None] | None:
        """Return the reply to `message`, at once or later; None for silence. Never raises."""
        network = asker.address[:NETWORK_BYTES]
        try:
            reply = respond(
                message,
                view=self._views.of(network),
                forwards=self._forwards,
                stream=asker.stream,
                turn=self._turn(),
            )
        except Exception:  # noqa: BLE001  # one query must not end the answers to all others
            _log.exception("query failed", asker=asker.address.hex(), query=message[:512].hex())
            return None
        if isinstance(reply, Forward):
            return self._upstreams.ask(reply.query, asker)
        return reply


async def _serve(settings: Settings, copy: Copy, ledger: Ledger) -> None:
    operators = listen(settings.resolver_socket, group=OPERATORS_GROUP)
    views = _views(settings, copy)
    reports = Reports(copy, role=Role.RESOLVER, socket=settings.node_socket, ledger=ledger)
    upstreams = open_upstreams(settings.resolver, copy, reports)
    answers = Answers(views, upstreams, turn=_turns())
    checkup = _checkup(settings, copy, views, reports, ledger)

    def take(changes: Changes) -> None:
        checkup.take(changes)
        views.take(changes)
        reports.soon()

    follower = Follower(copy, role=Role.RESOLVER, socket=settings.node_socket, on_commit=take)
    service = Service.of(os.environ)

    def tell(listening: Listening) -> None:
        _log_listening(listening)
        reports.trouble(listening.reason and f"not listening: {listening.reason}")
        service.status(_in_words(listening))
        service.ready()  # Also while it waits for the interface: it takes that up by itself.

    tasks = [
        asyncio.create_task(follower.run()),
        asyncio.create_task(DnsServer(settings.gateway.interface, answers.to, notify=tell).run()),
        asyncio.create_task(_serve_operators(operators, answers.to)),
        asyncio.create_task(upstreams.run()),
        asyncio.create_task(reports.run()),
        asyncio.create_task(_hear(settings.leases_file, views.hear)),
        asyncio.create_task(pulse(service)),
    ]
    _log.info("resolver ready", revision=copy.position[1], forwards=bool(upstreams))
    try:
        await until_stopped(tasks, service=service)
    finally:
        upstreams.close()
        remove(settings.resolver_socket)
    _log.info("resolver stopped")


def _checkup(
    settings: Settings, copy: Copy, views: Views, reports: Reports, ledger: Ledger
) -> Checkup:
    """Begin to probe the machines that have checks."""
    checkup = Checkup(
        *(copy, ledger, Rounds()),
        probe=Prober(settings.gateway.interface).probe,
        on_failing=views.leave_out,
        on_news=reports.soon,
    )
    checkup.start()
    return checkup


def _views(settings: Settings, copy: Copy) -> Views:
    # Whoever asks this host has its tunnel here: what is near to the host is near to the asker.
    here = Vantage(settings.gateway.region, settings.resolver.distances)
    return Views(copy, now=lambda: int(time.time()), here=here)


def _turns() -> Callable[[], int]:
    """Return what draws each query's turn.

    Drawn, not counted: stub resolvers ask for A and AAAA in turns, and a count would give every
    AAAA an even number.
    """
    return partial(random.Random().getrandbits, _TURN_BITS)  # noqa: S311  # order is no secret


async def _serve_operators(listener: socket.socket, handler: Handler) -> None:
    """Answer on the operators' socket, in the name of whichever address they give."""
    streams = Streams(handler)
    server = await asyncio.start_unix_server(partial(streams.converse, asker=None), sock=listener)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        server.close()
        streams.close()


async def _hear(path: Path, hear: Callable[[Mapping[int, Standing]], None]) -> Never:
    """Pass on how leases stand, whenever that is written at `path`."""
    reader = LeaseReader(path)
    while True:
        try:
            standings = reader.news()
        except (Invalid, OSError) as error:
            _log.error("leases not read", reason=str(error))
        else:
            if standings is not None:
                hear(standings)
        await asyncio.sleep(_HEAR_S)


def _log_listening(listening: Listening) -> None:
    if listening.index is not None:
        _log.info("listening", device=listening.device, index=listening.index)
    else:
        reason = listening.reason or "there is no such interface"
        _log.warning("not listening", device=listening.device, reason=reason)


def _in_words(listening: Listening) -> str:
    if listening.index is not None:
        return f"answers on {listening.device}"
    return f"waits for {listening.device}" + (f": {listening.reason}" if listening.reason else "")
