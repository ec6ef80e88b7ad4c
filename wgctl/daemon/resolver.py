"""The resolver role: follows the feed and answers DNS inside the networks.

Joins the copy, the views made from it, the health of what is in them, the sockets and the
upstreams; it answers from its copy whether the controller runs or not.
"""

import asyncio
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Never

import structlog

from wgctl.core.errors import Invalid
from wgctl.core.lease import Standing
from wgctl.core.model import Role
from wgctl.core.region import Vantage
from wgctl.core.responder import Forward, respond
from wgctl.core.settings import Settings
from wgctl.daemon.answering import COPY_NAME, work
from wgctl.daemon.follow import Changes, Follower, open_copy
from wgctl.daemon.forwarding import open_upstreams
from wgctl.daemon.health import Checkup
from wgctl.daemon.ledger import Ledger
from wgctl.daemon.life import collect_garbage, pulse, until_stopped
from wgctl.daemon.reports import Reports
from wgctl.daemon.rounds import Rounds
from wgctl.daemon.unix import OPERATORS_GROUP, listen, remove
from wgctl.daemon.views import Views
from wgctl.daemon.workers import Begin, Failing, Follow, Standings, Workers
from wgctl.drivers.crowd import NETWORK_BYTES
from wgctl.drivers.dns_server import DnsServer, Listening
from wgctl.drivers.dns_stream import Asker, Handler, Streams
from wgctl.drivers.lease_file import LeaseReader
from wgctl.drivers.probe import Prober
from wgctl.drivers.processor import go_behind
from wgctl.drivers.systemd import Service
from wgctl.drivers.upstream.forwarder import Upstreams
from wgctl.store.copy import Copy
from wgctl.store.health import HealthFile

__all__ = ["Answers", "run"]

_HEALTH_NAME = "health.sqlite"
_TURN_BITS = 32
_SORTS = 2
_HEAR_S = 0.25
_IDLE_S = 60.0

_log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Answer until SIGTERM or SIGINT.

    Raises Invalid when `resolver.tls_ca` is unusable, Unavailable when another resolver has the
    operators' socket.
    """
    folder = settings.role_dir(Role.RESOLVER)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.runtime_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    workers = Workers(settings.resolver.workers, partial(work, settings))
    # Where processors are short, names of the networks go before what is asked for elsewhere.
    go_behind()
    try:
        with (
            closing(open_copy(folder / COPY_NAME)) as copy,
            closing(HealthFile(folder / _HEALTH_NAME)) as health,
        ):
            workers.tell(Begin())
            asyncio.run(_serve(settings, copy, Ledger(health), workers))
    finally:
        workers.close()


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


async def _serve(settings: Settings, copy: Copy, ledger: Ledger, workers: Workers) -> None:
    operators = listen(settings.resolver_socket, group=OPERATORS_GROUP)
    names = _Names(copy, _views(settings, copy), workers)
    reports = Reports(copy, role=Role.RESOLVER, socket=settings.node_socket, ledger=ledger)
    upstreams = open_upstreams(settings.resolver, copy, reports)
    answers = Answers(names.views, upstreams, turn=_turns())
    checkup = Checkup(
        *(copy, ledger, Rounds()),
        probe=Prober(settings.gateway.interface).probe,
        on_failing=names.leave_out,
        on_news=reports.soon,
    )
    checkup.start()

    def take(changes: Changes) -> None:
        names.take(changes)
        checkup.take(changes)
        reports.soon()

    service = Service.of(os.environ)
    ears, device = _Ears(reports, service), settings.gateway.interface
    follower = Follower(copy, role=Role.RESOLVER, socket=settings.node_socket, on_commit=take)
    datagrams = workers.run(
        answers.to, on_listening=partial(ears.hear, "udp"), on_refused=reports.refused
    )
    streams = DnsServer(device, answers.to, notify=partial(ears.hear, "tcp"))
    running = (follower.run(), datagrams, streams.run(), _serve_operators(operators, answers.to))
    beside = (
        *(upstreams.run(), reports.run(), _hear(settings.leases_file, names.hear)),
        _forget_idle(names.views),
    )
    tasks = [asyncio.create_task(work) for work in (*running, *beside, pulse(service))]
    collect_garbage()
    _log.info("resolver ready", revision=copy.position[1], forwards=bool(upstreams))
    try:
        await until_stopped(tasks, service=service)
    finally:
        upstreams.close()
        remove(settings.resolver_socket)
    _log.info("resolver stopped")


class _Names:
    """The views of this process, and what the others are told to keep theirs right."""

    def __init__(self, copy: Copy, views: Views, workers: Workers) -> None:
        self.views = views
        self._copy = copy
        self._workers = workers

    def take(self, changes: Changes) -> None:
        """Take what the copy has."""
        lacking = self._copy.position != self._copy.reached
        self._workers.tell(Follow.of(changes, lacking=lacking))
        self.views.take(changes)

    def leave_out(self, network_id: int, failing: frozenset[int]) -> None:
        """Take those machines of a network, and no others, for failing."""
        self._workers.tell(Failing(network_id, failing))
        self.views.leave_out(network_id, failing)

    def hear(self, standings: Mapping[int, Standing]) -> None:
        """Take how leases stand."""
        self._workers.tell(Standings(standings))
        self.views.hear(standings)


class _Ears:
    """What became of the sockets, of those for datagrams and of that for streams."""

    def __init__(self, reports: Reports, service: Service) -> None:
        self._reports = reports
        self._service = service
        self._heard: dict[str, Listening] = {}

    def hear(self, of: str, listening: Listening) -> None:
        """Log what became of a socket; tell who watches the role, once there is news of each sort.

        The processes for datagrams all fare alike.
        """
        if listening == self._heard.get(of):
            return
        self._heard[of] = listening
        _log_listening(listening, of)
        trouble = listening.reason and f"not listening: {of}: {listening.reason}"
        self._reports.trouble(trouble, of=of)
        if len(self._heard) == _SORTS:
            self._service.status(_in_words(max(self._heard.values(), key=_severity)))
            self._service.ready()  # Also while it waits for the interface: it takes that up itself.


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


async def _forget_idle(views: Views) -> Never:
    while True:
        await asyncio.sleep(_IDLE_S)
        views.forget_idle()


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


def _severity(listening: Listening) -> int:
    return (listening.index is None) + (listening.reason is not None)


def _log_listening(listening: Listening, of: str) -> None:
    if listening.index is not None:
        _log.info("listening", device=listening.device, index=listening.index, protocol=of)
    else:
        reason = listening.reason or "there is no such interface"
        _log.warning("not listening", device=listening.device, reason=reason, protocol=of)


def _in_words(listening: Listening) -> str:
    if listening.index is not None:
        return f"answers on {listening.device}"
    return f"waits for {listening.device}" + (f": {listening.reason}" if listening.reason else "")
