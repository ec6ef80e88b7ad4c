"""Service addresses: which machines stand behind each, and what each change of the feed touches.

Knows apps and machines; whether a machine's peer may be reached is said by who asks, and how
packets get there is `wgctl.core.firewall`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv6Address
from typing import NamedTuple

from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.model import App, Machine, MachineState, Peer

__all__ = ["Service", "Services"]


class Service(NamedTuple):
    """A service address and the addresses of its machines, in order, each once."""

    address: IPv6Address
    machines: tuple[IPv6Address, ...]


class Services:
    """The apps that have a service address, and every machine, of all networks.

    Used by one thread.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._apps: dict[int, App] = {}
        self._machines: dict[int, Machine] = {}
        self._of_app: defaultdict[int, set[int]] = defaultdict(set)
        self._of_peer: defaultdict[int, set[int]] = defaultdict(set)
        self._ended = frozenset[int]()

    def replace(self, apps: Iterable[App], machines: Iterable[Machine]) -> None:
        """Forget every row and take these."""
        for kept in (self._apps, self._machines, self._of_app, self._of_peer):
            kept.clear()
        for app in apps:
            self._take_app(app)
        for machine in machines:
            self._take_machine(machine)

    def write(self, event: Put | Delete) -> None:
        """Take a change; one of another kind is none."""
        match event:
            case Put(row=App() as app):
                self._apps.pop(app.id, None)
                self._take_app(app)
            case Put(row=Machine() as machine):
                self._drop_machine(machine.id)
                self._take_machine(machine)
            case Delete(kind=Kind.APP, id=app_id):
                self._apps.pop(app_id, None)
            case Delete(kind=Kind.MACHINE, id=machine_id):
                self._drop_machine(machine_id)
            case _:
                pass

    def touched(self, events: Iterable[Put | Delete], peer_ids: Iterable[int]) -> set[int]:
        """Return the ids of the apps that `events`, or changes of these peers, concern.

        With them come all that have a machine on the same peer: what is said of a peer alone, they
        share.
        """
        peers, machines, apps, joined = set(peer_ids), set[int](), set[int](), set[int]()
        for event in events:
            match event:
                case Put(row=App(id=id_)) | Delete(kind=Kind.APP, id=id_):
                    apps.add(id_)
                case Put(row=Machine(id=id_, app_id=app_id, peer_id=peer_id)):
                    # The first of its app on the peer is not among those of the peer yet.
                    joined.add(app_id)
                    machines.add(id_)
                    peers.add(peer_id)
                case Delete(kind=Kind.MACHINE, id=id_):
                    machines.add(id_)
                case _:
                    pass
        machines.update(*(self._of_app.get(id_, ()) for id_ in apps))
        peers.update(self._machines[id_].peer_id for id_ in machines if id_ in self._machines)
        return apps | joined | self._on(peers)

    def every(self) -> set[int]:
        """Return the ids of all apps with a service address."""
        return set(self._apps)

    def ending(self, ended: frozenset[int]) -> frozenset[int]:
        """Return the peers of the machines in one of `ended` and what `end` took last."""
        ids = (ended ^ self._ended) & self._machines.keys()
        return frozenset(self._machines[id_].peer_id for id_ in ids)

    def end(self, ended: frozenset[int]) -> None:
        """Leave out these machines, whose leases have ended, and no others."""
        self._ended = ended

    def leased(self) -> Sequence[Machine]:
        """Return the machines of apps with a service address that have a lease."""
        machines = (
            self._machines[id_] for app_id in self._apps for id_ in self._of_app.get(app_id, ())
        )
        return [machine for machine in machines if machine.lease_s is not None]

    def list(self, app_ids: Iterable[int], reach: Callable[[int], Peer | None]) -> list[Service]:
        """Return the services of those of the apps that have one.

        `reach` gives a machine's peer by its id, None for one that is not to be reached. A machine
        counts that is started, has no lease that ended, and is on a peer of its app's network.
        """
        apps = (self._apps[id_] for id_ in sorted(app_ids) if id_ in self._apps)
        return [found for app in apps if (found := self._service(app, reach)) is not None]

    def _on(self, peer_ids: Iterable[int]) -> set[int]:
        ids = (id_ for peer_id in peer_ids for id_ in self._of_peer.get(peer_id, ()))
        return {self._machines[id_].app_id for id_ in ids}

    def _service(self, app: App, reach: Callable[[int], Peer | None]) -> Service | None:
        if app.service_address is None:
            return None
        started = (
            machine
            for id_ in self._of_app.get(app.id, set()) - self._ended
            if (machine := self._machines[id_]).state is MachineState.STARTED
        )
        peers = (reach(machine.peer_id) for machine in started)
        found = {peer.address for peer in peers if peer and peer.network_id == app.network_id}
        return Service(app.service_address, tuple(sorted(found)))

    def _take_app(self, app: App) -> None:
        if app.service_address is not None:
            self._apps[app.id] = app

    def _take_machine(self, machine: Machine) -> None:
        self._machines[machine.id] = machine
        self._of_app[machine.app_id].add(machine.id)
        self._of_peer[machine.peer_id].add(machine.id)

    def _drop_machine(self, machine_id: int) -> None:
        if machine := self._machines.pop(machine_id, None):
            for index, key in ((self._of_app, machine.app_id), (self._of_peer, machine.peer_id)):
                index[key].discard(machine_id)
                if not index[key]:
                    del index[key]
