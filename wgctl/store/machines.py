"""The scoped door's apps, machines and checks.

What of them is a change for readers of the feed is recorded with each.
"""

from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select

from peers.addresses import SERVICE_HOST
from peers.names import Label
from wgctl.core.errors import NotFound
from wgctl.core.feed import Kind
from wgctl.core.model import App, Check, Machine, MachineState, Network, Peer
from wgctl.store import rows, tables
from wgctl.store.prepared import Prepared
from wgctl.store.rows import NewCheckRow, NewMachineRow
from wgctl.store.scoped import EVERYTHING, Scoped, of_org, past
from wgctl.store.unique import taken

__all__ = ["MachineCount", "Machines"]


class MachineCount(NamedTuple):
    """How many machines there are, and how many of them are started."""

    machines: int
    started: int


class Machines(Scoped):
    """The apps of an org, their machines, and how these are probed."""

    def apps(self, *, network: Network, after: str = "", limit: int = EVERYTHING) -> list[App]:
        """Return up to `limit` apps of `network` by name, from the first one past `after`."""
        having = {"network_id": network.id}
        found = self._page(tables.apps, having=having, after=past(after), limit=limit)
        return [rows.app_of(row, prefix=network.prefix) for row in found]

    def app(self, network: Network, name: str) -> App:
        """Return the app `name` of `network`; raises NotFound."""
        row = self._named(tables.apps, name, what="app", within=network)
        return rows.app_of(row, prefix=network.prefix)

    def find_app(self, network: Network, name: str) -> App | None:
        """Return the app `name` of `network`, or None."""
        try:
            return self.app(network, name)
        except NotFound:
            return None

    def app_with_id(self, network: Network, app_id: int) -> App:
        """Return the app `app_id` of `network`, which must be there."""
        return rows.app_of(self._having(tables.apps, id=app_id)[0], prefix=network.prefix)

    def count_apps(self, *, network: Network) -> int:
        """Count the apps of `network`."""
        return self._count_in(tables.apps, network)

    def add_app(self, network: Network, name: Label, *, now: int) -> App:
        """Add the app `name` to `network`; raises Conflict when the name is taken."""
        with taken(
            apps_name=f"app {name!a} exists already in network {network.name!a} "
            f"of org {self.org.slug!a}"
        ):
            row = self._rows(
                self._insert(tables.apps, network_id=network.id, name=name, created_at=now)
            )[0]
        app = rows.app_of(row, prefix=network.prefix)
        self._record.put(Kind.APP, app)
        return app

    def set_service(self, network: Network, app: App, *, has: bool) -> App:
        """Give `app` a service address, or take it away: it is not given out again.

        Nothing changes when it is so already.
        """
        if has == (app.service_address is not None):
            return app
        number = self._next_number(network, SERVICE_HOST) if has else None
        row = self._rows(self._update(tables.apps, app.id, service_number=number))[0]
        changed = rows.app_of(row, prefix=network.prefix)
        self._record.put(Kind.APP, changed, before=app)
        return changed

    def remove_app(self, network: Network, app: App) -> None:
        """Remove `app` and its machines."""
        self._record_gone(self.machines(network=network, app=app))
        self._execute(self._delete(tables.apps, app.id))
        self._record.delete(Kind.APP, app)

    def machines(
        self,
        *,
        network: Network,
        app: App | None = None,
        after: str = "",
        limit: int = EVERYTHING,
    ) -> list[Machine]:
        """Return up to `limit` machines by name, from the first one past `after`.

        Of `network`, or of one of its apps.
        """
        having = {"network_id": network.id} if app is None else {"app_id": app.id}
        found = self._page(tables.machines, having=having, after=past(after), limit=limit)
        return [rows.machine_of(row) for row in found]

    def count_machines(self, app: App) -> MachineCount:
        """Count the machines of `app`."""
        values = {"org": self.org.id, "app_id": app.id}
        return MachineCount(**_counting_machines().rows(self._connection, values)[0])

    def machines_on(self, peer: Peer) -> list[Machine]:
        """Return the machines on `peer`, by id."""
        found = self._having(tables.machines, peer_id=peer.id)
        return sorted(map(rows.machine_of, found), key=lambda machine: machine.id)

    def machine(self, network: Network, name: str) -> Machine:
        """Return the machine `name` of `network`; raises NotFound."""
        return rows.machine_of(self._named(tables.machines, name, what="machine", within=network))

    def add_machine(self, app: App, peer: Peer, new: NewMachineRow) -> Machine:
        """Add a started machine of `app` on `peer`; raises Conflict when the name is taken."""
        with taken(
            machines_name=f"machine {new.name!a} exists already in this network of org "
            f"{self.org.slug!a}"
        ):
            row = self._rows(
                self._insert(
                    tables.machines,
                    network_id=app.network_id,
                    app_id=app.id,
                    peer_id=peer.id,
                    name=new.name,
                    region=new.region,
                    process_group=new.process_group,
                    ports=rows.ports_as_json(new.ports),
                    metadata=new.metadata,
                    state=MachineState.STARTED,
                    created_at=new.created_at,
                    lease_s=new.lease_s,
                )
            )[0]
        machine = rows.machine_of(row)
        self._record.put(Kind.MACHINE, machine)
        return machine

    def find_machine(self, network: Network, name: str) -> Machine | None:
        """Return the machine `name` of `network`, or None."""
        try:
            return self.machine(network, name)
        except NotFound:
            return None

    def machine_with_id(self, machine_id: int) -> Machine | None:
        """Return the machine `machine_id` of the org, or None."""
        found = self._having(tables.machines, id=machine_id)
        return rows.machine_of(found[0]) if found else None

    def count_leases(self, peer: Peer) -> int:
        """Count the machines on `peer` that have a lease."""
        machines = tables.machines.c
        return self._count(
            tables.machines, machines.peer_id == peer.id, machines.lease_s.is_not(None)
        )

    def rewrite_machine(self, machine: Machine, new: NewMachineRow) -> Machine:
        """Give `machine` what `new` says but its name, state and age; the same changes nothing."""
        row = self._rows(
            self._update(
                tables.machines,
                machine.id,
                region=new.region,
                process_group=new.process_group,
                ports=rows.ports_as_json(new.ports),
                metadata=new.metadata,
                lease_s=new.lease_s,
            )
        )[0]
        written = rows.machine_of(row)
        if written != machine:
            self._record.put(Kind.MACHINE, written, before=machine)
        return written

    def set_machine_state(self, machine: Machine, state: MachineState) -> Machine:
        """Start or stop `machine`; nothing changes when it is so already."""
        if machine.state == state:
            return machine
        row = self._rows(self._update(tables.machines, machine.id, state=state))[0]
        changed = rows.machine_of(row)
        self._record.put(Kind.MACHINE, changed, before=machine)
        return changed

    def remove_machine(self, machine: Machine) -> None:
        """Remove `machine`."""
        self.set_check(machine, None)
        self._execute(self._delete(tables.machines, machine.id))
        self._record.delete(Kind.MACHINE, machine)

    def check(self, machine: Machine) -> Check | None:
        """Return the check of `machine`, None if it has none."""
        found = self._having(tables.checks, machine_id=machine.id)
        return rows.check_of(found[0]) if found else None

    def set_check(self, machine: Machine, new: NewCheckRow | None) -> Check | None:
        """Give `machine` this check in the place of its last one; None: none.

        Nothing changes when it is so already.
        """
        last = self.check(machine)
        if new is None:
            if last is not None:
                self._execute(self._delete(tables.checks, last.id))
                self._record.delete(Kind.CHECK, last)
            return None
        values = {**asdict(new), "target": str(new.target)}
        place = {"network_id": machine.network_id, "machine_id": machine.id}
        if last is None:
            row = self._rows(self._insert(tables.checks, **place, **values))[0]
        else:
            row = self._rows(self._update(tables.checks, last.id, **values))[0]
        check = rows.check_of(row)
        if check != last:
            self._record.put(Kind.CHECK, check, before=last)
        return check

    def _record_gone(self, machines: Iterable[Machine]) -> None:
        """Record that `machines` go, and their checks: the database takes them away by itself."""
        gone = sorted(machines, key=lambda machine: machine.id)
        for check in filter(None, map(self.check, gone)):
            self._record.delete(Kind.CHECK, check)
        for machine in gone:
            self._record.delete(Kind.MACHINE, machine)


@cache
def _counting_machines() -> Prepared[Select[*tuple[Any, ...]]]:
    machines = tables.machines.c
    started = func.count().filter(machines.state == MachineState.STARTED)
    return Prepared(
        select(func.count().label("machines"), started.label("started")).where(
            machines.app_id == of_org(tables.apps)
        )
    )
