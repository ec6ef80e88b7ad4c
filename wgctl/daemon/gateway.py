"""The gateway role: follows the feed, programs the kernel, reports what it sees.

Joins copy, drivers and controller, and says when what is due; it serves its tunnels from its own
copy whether the controller runs or not, and tears nothing down when it stops.
"""

import asyncio
import fcntl
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Never, TypeVar

import structlog

from peers.addresses import parse_pool
from peers.keys import PrivateKey
from peers.noise import Reader
from wgctl.client.node import Node
from wgctl.core.errors import Conflict, Denied, Invalid, Unavailable
from wgctl.core.model import Role
from wgctl.core.presence import Fate
from wgctl.core.roster import Roster
from wgctl.core.schema import NewGateway, ObservedPeer, OnDemand, RoleReport
from wgctl.core.settings import KEY_NAME, POOL_NAME, Backend, Choice, Settings
from wgctl.core.tunnel import Host, log_group
from wgctl.daemon import devices, users
from wgctl.daemon.agenda import TICK_S, Agenda
from wgctl.daemon.demand import Demand
from wgctl.daemon.endings import Endings
from wgctl.daemon.follow import Changes, Follower, open_copy, recent_setback
from wgctl.daemon.hearing import Hearing
from wgctl.daemon.life import collect_garbage, until_stopped
from wgctl.daemon.programme import Programme
from wgctl.daemon.telling import Look, Telling
from wgctl.drivers import sysctl
from wgctl.drivers.netlink.links import Netlink
from wgctl.drivers.netlink.watch import Notice, Watch
from wgctl.drivers.nft import Nft
from wgctl.drivers.systemd import Service
from wgctl.services.reconcile import Parts, take_down
from wgctl.store.copy import Copy
from wgctl.store.visits import VisitFile

__all__ = ["down", "run"]

_Result = TypeVar("_Result")

_LONGEST_WAIT_S = 5.0
_PATIENCE_S = 10.0
_SNAPSHOT_WITHIN_S = 120.0
"""A busy or small machine starts a controller in a minute; a unit's start may take five."""

_log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Program and follow until SIGTERM or SIGINT; what was programmed stays.

    Raises Unavailable when the host is not initialised or has not the backend that is asked for,
    Conflict when another gateway has the state folder or another backend the device.
    """
    runs = devices.chosen(settings)
    host = _host(settings)
    gc.disable()  # Until a pass has ended: a start makes none, and takes 0.1 s less.
    with _only_one(settings):
        folder = settings.role_dir(Role.GATEWAY)
        with (
            closing(open_copy(folder / "copy.sqlite")) as copy,
            _choice(settings, copy) as demand,
        ):
            asyncio.run(_Gateway(settings, host, copy, runs=runs, demand=demand).run())


def down(settings: Settings) -> None:
    """Take away what the gateway made, whichever backend: table, routes, link, process.

    Raises Conflict while the gateway or the unit of wireguard-go runs, since they would make them
    again at once, and when the interface is a WireGuard device with another key.
    """
    with _only_one(settings), closing(devices.links(settings)) as netlink:
        devices.refuse_watched(settings)
        runs = devices.standing(settings) or Backend.USERSPACE
        take_down(_parts(settings, netlink, runs=runs), _host(settings).private_key)


class _Gateway:
    """The role's tasks. Everything that touches the kernel runs in `_thread`, in order."""

    def __init__(
        self,
        settings: Settings,
        host: Host,
        copy: Copy,
        *,
        runs: Backend,
        demand: Demand | None,
    ) -> None:
        self._settings = settings
        self._host = host
        self._copy = copy
        self._node = Node(settings.node_socket)
        self._started_at = int(time.time())
        self._changes: asyncio.Queue[Changes | None] = asyncio.Queue()
        self._agenda = Agenda(time.monotonic())
        self._store_replaced = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kernel")
        self._service = Service.of(os.environ)
        self._netlink = devices.links(settings)
        self._demand = demand
        self._programme = Programme(
            _parts(settings, self._netlink, runs=runs),
            Roster(host),
            copy,
            now=lambda: int(time.time()),
            forward=_switches(),
            ended=Endings(settings.leases_file).among,
            demand=demand,
        )
        self._hearing = Hearing(Reader(host.private_key), self._programme, clock=time.monotonic)
        self._is_told = False
        self._watch: Watch | None = None

    async def run(self) -> None:
        """Run every task until a signal; then wait for what the kernel's thread is at."""
        follower = Follower(
            self._copy,
            role=Role.GATEWAY,
            socket=self._settings.node_socket,
            on_commit=self._take_up,
        )
        _log.info("gateway ready", interface=self._host.interface, backend=self._programme.backend)
        try:
            await until_stopped(
                [
                    asyncio.create_task(work)
                    for work in (
                        *(self._keep(), follower.run(), self._register(), self._report()),
                        self._let_in(),
                    )
                ],
                service=self._service,
            )
        finally:
            self._stop_watch()
            await self._in_thread(self._netlink.close)
            self._thread.shutdown()
        _log.info("gateway stopped", left_up=self._host.interface)

    async def _let_in(self) -> None:
        """Let peers in as they come, where they are there on demand."""
        group = self._host.log_group
        if group is None:
            await asyncio.Event().wait()
            return
        stop = threading.Event()
        try:
            await asyncio.to_thread(self._hearing.run, group, stop=stop)
        finally:
            stop.set()

    def _start_watch(self) -> None:
        """Hear what the kernel tells; where it does not, the passes alone find what differs.

        What changed before it was heard is looked for.
        """
        if self._is_told:
            return
        self._is_told = True
        try:
            watch = self._watch = Watch(self._host.interface)
        except Unavailable as error:
            _log.warning("drift is found by passes alone", reason=str(error))
            return
        for heard in watch.sockets:
            asyncio.get_running_loop().add_reader(heard, self._hear, watch)
        for notice in Notice:
            self._agenda.noticed(notice, time.monotonic())

    def _stop_watch(self) -> None:
        """Hear nothing until it is started again.

        A table of 20,000 elements takes the kernel 2.2 s where somebody hears of each, else 0.2.
        """
        self._is_told = False
        if self._watch is not None:
            for heard in self._watch.sockets:
                asyncio.get_running_loop().remove_reader(heard)
            self._watch.close()
            self._watch = None

    def _take_up(self, changes: Changes) -> None:
        self._changes.put_nowait(changes)
        if changes.replaced:
            self._store_replaced.set()

    async def _keep(self) -> None:
        """Write changes as they come, and pass over everything when that is due."""
        await self._in_thread(self._programme.load)
        programme, agenda = self._programme, self._agenda
        began = time.monotonic()
        while True:
            self._service.alive()
            now = time.monotonic()
            if agenda.look_is_due(now):
                await self._in_thread(programme.mend_firewall)
                agenda.looked(time.monotonic())
            elif agenda.pass_is_due(now):
                await self._in_thread(programme.verify)
                ended = time.monotonic()
                settled, wrote = programme.settled, programme.wrote
                agenda.passed(ended, took_s=ended - now, settled=settled, wrote=wrote)
            elif changes := await self._next_changes():
                if changes.replaced:
                    self._stop_watch()
                await self._in_thread(programme.take, changes)
                agenda.changed(time.monotonic())
            else:
                await self._in_thread(programme.tick)
            if not programme.settled:
                agenda.refused(time.monotonic())
            self._tell_state(since_s=time.monotonic() - began)
            self._start_watch()
            if not gc.isenabled():
                collect_garbage()

    def _tell_state(self, *, since_s: float) -> None:
        """Tell systemd how the tunnel is, and that it is up; after a while also that it is not.

        A start must not wait for ever for what only an administrator can mend.
        """
        programme = self._programme
        patience_s = _SNAPSHOT_WITHIN_S if programme.is_waiting else _PATIENCE_S
        if programme.settled and programme.problem is None:
            runs = f"{self._host.interface} in {programme.backend}"
            self._service.status(f"{runs}, revision {programme.revision}")
        else:
            self._service.status(f"not well: {programme.problem or 'the kernel differs still'}")
        if programme.settled or since_s > patience_s:
            self._service.ready()

    async def _next_changes(self) -> Changes | None:
        """Return the next commit of the feed, None when none came before something is due."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._agenda.wait_s(time.monotonic())):
                return await self._changes.get()
        return None

    def _hear(self, watch: Watch) -> None:
        """Take note of what the kernel tells."""
        for notice in watch.read():
            if self._agenda.noticed(notice, time.monotonic()):
                self._changes.put_nowait(None)

    async def _register(self) -> Never:
        """Bring the controller's record of this gateway up to date, once it answers.

        And again after each snapshot: the store that it came from may have no such record.
        """
        gateway = self._settings.gateway
        facts = NewGateway(
            region=gateway.region,
            endpoint=gateway.endpoint,
            public_key=self._host.private_key.public(),
            mtu_bytes=gateway.mtu,
            forwards=bool(self._settings.resolver.upstreams),
        )
        wait_s = TICK_S
        while True:
            try:
                record = await self._node.register(facts)
            except Unavailable as error:
                _log.debug("not registered", reason=str(error))
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
            else:
                _log.info("registered", name=record.name, number=record.number)
                wait_s = TICK_S
                await self._store_replaced.wait()
                self._store_replaced.clear()

    async def _report(self) -> Never:
        """Tell the controller what was seen."""
        programme = self._programme
        await Telling(
            look=lambda: self._in_thread(self._look),
            absent=lambda: self._in_thread(programme.absent),
            state=lambda: (programme.revision, programme.drift, self._problem),
            tell=self._tell,
        ).run()

    def _look(self) -> Look:
        began = time.monotonic()
        seen = self._programme.observe()
        return Look(seen, time.monotonic() - began)

    async def _tell(self, peers: list[ObservedPeer]) -> bool:
        report = RoleReport(
            role=Role.GATEWAY,
            revision=self._programme.revision,
            started_at=self._started_at,
            interface=self._host.interface,
            backend=self._programme.backend,
            drift=self._programme.drift,
            drift_events=list(self._programme.drift_events),
            setback=recent_setback(self._copy),
            problem=self._problem,
            on_demand=self._counts(),
            peers=peers,
        )
        try:
            await self._node.report(report)
        except Unavailable as error:
            _log.debug("report not taken", reason=str(error))
            return False
        return True

    @property
    def _problem(self) -> str | None:
        problems = (self._programme.problem, self._hearing.problem)
        return "; ".join(filter(None, problems)) or None

    def _counts(self) -> OnDemand | None:
        """Return what became of the initiations, None where none are heard."""
        if self._demand is None:
            return None
        fates = {str(fate): self._hearing.fates[fate] for fate in Fate}
        in_use, left = self._demand.in_use, self._demand.left
        return OnDemand(in_use=in_use, left=left, lost=self._hearing.lost, **fates)

    async def _in_thread(self, work: Callable[..., _Result], *arguments: object) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


def _host(settings: Settings) -> Host:
    gateway = settings.gateway
    folder = settings.role_dir(Role.GATEWAY)
    return Host(
        interface=gateway.interface,
        pool=_read(folder / POOL_NAME, parse_pool),
        private_key=_read(_key_file(settings), PrivateKey.parse),
        listen_port=gateway.listen_port,
        mtu_bytes=gateway.mtu,
        own_uids=users.senders(),
        log_group=log_group(gateway.interface) if gateway.peers is Choice.ON_DEMAND else None,
    )


@contextmanager
def _choice(settings: Settings, copy: Copy) -> Iterator[Demand | None]:
    """Open what chooses the peers, None where the device is to hold all."""
    gateway = settings.gateway
    if gateway.peers is Choice.EAGER:
        yield None
        return
    with closing(VisitFile(settings.role_dir(Role.GATEWAY) / "visits.sqlite")) as visits:
        yield Demand(copy, visits, idle_s=gateway.idle_s)


def _parts(settings: Settings, netlink: Netlink, *, runs: Backend) -> Parts:
    wireguard = devices.driver(settings, runs, netlink)
    return Parts(netlink, wireguard, Nft(settings.gateway.interface))


def _key_file(settings: Settings) -> Path:
    """Return where the key can be read: systemd hands root's file over in a folder of its own."""
    handed = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"), KEY_NAME)
    return handed if handed.exists() else settings.key_file


def _switches() -> Callable[[], tuple[str, ...]]:
    """Return what switches forwarding on, unless the switches are hidden from this service."""
    if sysctl.are_there():
        return sysctl.switch_forwarding_on
    _log.info("forwarding not looked at", reason="/proc/sys is hidden: see wgctl doctor")
    return tuple


def _read(path: Path, parse: Callable[[str], _Result]) -> _Result:
    """Return what the one line of a file says."""
    try:
        return parse(path.read_text("utf-8").removesuffix("\n"))
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}; wgctl init makes it") from error
    except Invalid as error:
        raise Unavailable(f"{path}: {error}; put back what wgctl init wrote") from error


@contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    """Hold the role's lock: two gateways of one state folder would undo each other's work."""
    folder = settings.role_dir(Role.GATEWAY)
    try:
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(folder / "lock", flags, 0o600)
    except PermissionError as error:
        raise Denied(f"no permission to open {folder}: be root") from error
    except OSError as error:
        raise Unavailable(f"{folder}: {error.strerror}; wgctl init makes it") from error
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Conflict(f"a gateway runs on {folder}: stop it, or wgctl serve, first") from error
