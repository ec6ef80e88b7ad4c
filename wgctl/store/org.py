"""The scoped door to what one org owns: networks, peers, apps, machines.

Every statement is made by `_select`, `_insert`, `_update` or `_delete`, which name the org; a test
reads the syntax tree to prove it. Which org may be opened by whom is decided above.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from ipaddress import IPv6Network

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Executable,
    Insert,
    RowMapping,
    Select,
    Table,
    Update,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError

from peers.addresses import FIRST_PEER, SERVICE_HOST, network_prefix
from peers.keys import PublicKey
from peers.names import Label
from peers.seal import SealedKey
from wgctl.core.errors import NotFound
from wgctl.core.feed import Kind
from wgctl.core.model import App, Check, Gateway, Machine, MachineState, Network, Org, Peer, Seal
from wgctl.store import rows, tables
from wgctl.store.changes import Recorder
from wgctl.store.rows import NewCheckRow, NewMachineRow, NewPeerRow
from wgctl.store.unique import taken

__all__ = ["OrgDoor"]

_EVERYTHING = 1_000_000


class OrgDoor:
    """What `org` owns, within one transaction; without a recorder it can only be read."""

    def __init__(
        self, connection: Connection, *, org: Org, pool: IPv6Network, recorder: Recorder | None
    ) -> None:
        """Stand on `connection`, whose transaction has begun."""
        self.org = org
        self._connection = connection
        self.pool = pool
        self._recorder = recorder

    # Networks

    def networks(self) -> list[Network]:
        """Return the networks of the org by name."""
        found = self._rows(self._select(tables.networks).order_by(tables.networks.c.name))
        return [rows.network_of(row, pool=self.pool) for row in found]

    def network(self, name: str) -> Network:
        """Return the network `name`; raises NotFound."""
        row = self._named(tables.networks, name, what="network", within=None)
        return rows.network_of(row, pool=self.pool)

    def add_network(self, name: Label, *, number: int, now: int) -> Network | None:
        """Add the network `name` with the id `number`; None when that id was given out before.

        Raises Conflict when the name is taken.
        """
        if not self._spend(number):
            return None
        with taken(networks_name=f"network {name!a} exists already in org {self.org.slug!a}"):
            row = self._rows(
                self._insert(tables.networks, name=name, number=number, created_at=now)
            )[0]
        network = rows.network_of(row, pool=self.pool)
        self._record.put(Kind.NETWORK, network)
        return network

    def remove_network(self, network: Network) -> None:
        """Remove `network` and all that is in it; its id stays spent."""
        self._record_gone(network, self.machines(network=network))
        for app in self.apps(network=network):
            self._record.delete(Kind.APP, app.id)
        for seal in self.seals(network=network):
            self._record.delete(Kind.SEAL, seal.id)
        for peer in self.peers(network=network):
            self._record.delete(Kind.PEER, peer.id)
        self._execute(self._delete(tables.networks, network.id))
        self._record.delete(Kind.NETWORK, network.id)

    # Peers

    def peers(
        self,
        *,
        network: Network | None = None,
        after: tuple[str, int] = ("", 0),
        limit: int = _EVERYTHING,
    ) -> list[Peer]:
        """Return up to `limit` peers by name and id, from the first one past `after`."""
        prefixes = {found.id: found.prefix for found in self.networks()}
        return [
            rows.peer_of(row, prefix=prefixes[row["network_id"]])
            for row in self._page(tables.peers, network=network, after=after, limit=limit)
        ]

    def peer(self, network: Network, name: str) -> Peer:
        """Return the peer `name` of `network`; raises NotFound."""
        row = self._named(tables.peers, name, what="peer", within=network)
        return rows.peer_of(row, prefix=network.prefix)

    def find_peer(self, network: Network, name: str) -> Peer | None:
        """Return the peer `name` of `network`, or None."""
        try:
            return self.peer(network, name)
        except NotFound:
            return None

    def peer_with_id(self, network: Network, peer_id: int) -> Peer:
        """Return the peer `peer_id` of `network`, which must be there."""
        found = self._rows(self._select(tables.peers, tables.peers.c.id == peer_id))[0]
        return rows.peer_of(found, prefix=network.prefix)

    def add_peer(self, network: Network, gateway: Gateway, new: NewPeerRow) -> Peer:
        """Add a peer to `network`, with the next number of `gateway` there.

        Raises Conflict when the name or the key is taken.
        """
        number = self._next_number(network, gateway.number)
        with taken(
            peers_name=f"peer {new.name!a} exists already in network {network.name!a} "
            f"of org {self.org.slug!a}",
            peers_public_key="this public key belongs to another peer",
        ):
            row = self._rows(
                self._insert(
                    tables.peers,
                    network_id=network.id,
                    gateway_id=gateway.id,
                    gateway_number=gateway.number,
                    number=number,
                    name=new.name,
                    owner=new.owner,
                    public_key=new.public_key.raw,
                    created_at=new.created_at,
                    expires_at=new.expires_at,
                )
            )[0]
        peer = rows.peer_of(row, prefix=network.prefix)
        self._record.put(Kind.PEER, peer)
        return peer

    def rekey_peer(self, network: Network, peer: Peer, key: PublicKey) -> Peer:
        """Give `peer` the public key `key`; raises Conflict when it is another's."""
        with taken(peers_public_key="this public key belongs to another peer"):
            return self._change_peer(network, peer, public_key=key.raw)

    def renew_peer(self, network: Network, peer: Peer, *, expires_at: int) -> Peer:
        """Let the time of `peer` be over at `expires_at`."""
        return self._change_peer(network, peer, expires_at=expires_at)

    def _change_peer(self, network: Network, peer: Peer, **values: object) -> Peer:
        row = self._rows(self._update(tables.peers, peer.id, **values))[0]
        changed = rows.peer_of(row, prefix=network.prefix)
        self._record.put(Kind.PEER, changed)
        return changed

    def remove_peer(self, network: Network, peer: Peer) -> None:
        """Remove `peer` and the machines on it; its number is not given out again."""
        machines = self.machines(network=network)
        self._record_gone(network, [one for one in machines if one.peer_id == peer.id])
        self.set_seal(peer, None)
        self._execute(self._delete(tables.peers, peer.id))
        self._record.delete(Kind.PEER, peer.id)

    def seals(self, *, network: Network) -> list[Seal]:
        """Return the sealed preshared keys of the peers of `network`, by id."""
        found = self._rows(
            self._select(tables.seals, tables.seals.c.network_id == network.id).order_by(
                tables.seals.c.id
            )
        )
        return [rows.seal_of(row) for row in found]

    def sealed_ids(self, peers: Iterable[Peer]) -> frozenset[int]:
        """Return the ids of those of `peers` that have a preshared key."""
        among = tables.seals.c.peer_id.in_([peer.id for peer in peers])
        return frozenset(row["peer_id"] for row in self._rows(self._select(tables.seals, among)))

    def seal(self, peer: Peer) -> Seal | None:
        """Return the sealed preshared key of `peer`, None if it has none."""
        found = self._rows(self._select(tables.seals, tables.seals.c.peer_id == peer.id))
        return rows.seal_of(found[0]) if found else None

    def set_seal(self, peer: Peer, sealed: SealedKey | None) -> None:
        """Give `peer` this sealed preshared key in the place of its last one; None: no key."""
        last = self.seal(peer)
        if last is not None:
            self._execute(self._delete(tables.seals, last.id))
            self._record.delete(Kind.SEAL, last.id)
        if sealed is not None:
            row = self._rows(
                self._insert(
                    tables.seals,
                    network_id=peer.network_id,
                    peer_id=peer.id,
                    sealed=sealed.raw,
                )
            )[0]
            self._record.put(Kind.SEAL, rows.seal_of(row))

    def count_peers(self) -> int:
        """Count the peers of the org."""
        return self._count(tables.peers)

    # Apps and machines

    def apps(self, *, network: Network) -> list[App]:
        """Return the apps of `network` by name."""
        found = self._page(tables.apps, network=network)
        return [rows.app_of(row, prefix=network.prefix) for row in found]

    def app(self, network: Network, name: str) -> App:
        """Return the app `name` of `network`; raises NotFound."""
        row = self._named(tables.apps, name, what="app", within=network)
        return rows.app_of(row, prefix=network.prefix)

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
        self._record.put(Kind.APP, changed)
        return changed

    def remove_app(self, network: Network, app: App) -> None:
        """Remove `app` and its machines."""
        self._record_gone(network, self.machines(network=network, app=app))
        self._execute(self._delete(tables.apps, app.id))
        self._record.delete(Kind.APP, app.id)

    def machines(self, *, network: Network, app: App | None = None) -> list[Machine]:
        """Return the machines of `network`, or of one of its apps, by name."""
        found = [rows.machine_of(row) for row in self._page(tables.machines, network=network)]
        return [machine for machine in found if app is None or machine.app_id == app.id]

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
        found = self._rows(self._select(tables.machines, tables.machines.c.id == machine_id))
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
            self._record.put(Kind.MACHINE, written)
        return written

    def set_machine_state(self, machine: Machine, state: MachineState) -> Machine:
        """Start or stop `machine`; nothing changes when it is so already."""
        if machine.state == state:
            return machine
        row = self._rows(self._update(tables.machines, machine.id, state=state))[0]
        changed = rows.machine_of(row)
        self._record.put(Kind.MACHINE, changed)
        return changed

    def remove_machine(self, machine: Machine) -> None:
        """Remove `machine`."""
        self.set_check(machine, None)
        self._execute(self._delete(tables.machines, machine.id))
        self._record.delete(Kind.MACHINE, machine.id)

    def checks(self, *, network: Network) -> list[Check]:
        """Return the checks of the machines of `network`, by id."""
        within = self._select(tables.checks, tables.checks.c.network_id == network.id)
        return [rows.check_of(row) for row in self._rows(within.order_by(tables.checks.c.id))]

    def check(self, machine: Machine) -> Check | None:
        """Return the check of `machine`, None if it has none."""
        found = self._rows(self._select(tables.checks, tables.checks.c.machine_id == machine.id))
        return rows.check_of(found[0]) if found else None

    def set_check(self, machine: Machine, new: NewCheckRow | None) -> Check | None:
        """Give `machine` this check in the place of its last one; None: none.

        Nothing changes when it is so already.
        """
        last = self.check(machine)
        if new is None:
            if last is not None:
                self._execute(self._delete(tables.checks, last.id))
                self._record.delete(Kind.CHECK, last.id)
            return None
        values = {**asdict(new), "target": str(new.target)}
        place = {"network_id": machine.network_id, "machine_id": machine.id}
        if last is None:
            row = self._rows(self._insert(tables.checks, **place, **values))[0]
        else:
            row = self._rows(self._update(tables.checks, last.id, **values))[0]
        check = rows.check_of(row)
        if check != last:
            self._record.put(Kind.CHECK, check)
        return check

    def _record_gone(self, network: Network, machines: Iterable[Machine]) -> None:
        """Record that `machines` go, and their checks: the database takes them away by itself."""
        ids = {machine.id for machine in machines}
        for check in self.checks(network=network):
            if check.machine_id in ids:
                self._record.delete(Kind.CHECK, check.id)
        for id_ in sorted(ids):
            self._record.delete(Kind.MACHINE, id_)

    # The four statements

    def _select(self, table: Table, *where: ColumnElement[bool]) -> Select[*tuple[object, ...]]:
        return select(table).where(table.c.org_id == self.org.id, *where)

    def _insert(self, table: Table, **values: object) -> Insert:
        return insert(table).values(org_id=self.org.id, **values).returning(table)

    def _update(self, table: Table, row_id: int, **values: object) -> Update:
        return (
            update(table)
            .where(table.c.org_id == self.org.id, table.c.id == row_id)
            .values(**values)
            .returning(table)
        )

    def _delete(self, table: Table, row_id: int) -> Delete:
        return delete(table).where(table.c.org_id == self.org.id, table.c.id == row_id)

    # What the methods above share

    @property
    def _record(self) -> Recorder:
        if self._recorder is None:
            raise TypeError("a change within Store.reading(), expected Store.writing()")
        return self._recorder

    def _page(
        self,
        table: Table,
        *,
        network: Network | None,
        after: tuple[str, int] = ("", 0),
        limit: int = _EVERYTHING,
    ) -> Sequence[RowMapping]:
        within = () if network is None else (table.c.network_id == network.id,)
        return self._rows(
            self._select(table, tuple_(table.c.name, table.c.id) > after, *within)
            .order_by(table.c.name, table.c.id)
            .limit(limit)
        )

    def _named(self, table: Table, name: str, *, what: str, within: Network | None) -> RowMapping:
        scope = () if within is None else (table.c.network_id == within.id,)
        found = self._rows(self._select(table, table.c.name == name, *scope))
        if not found:
            place = f"network {within.name!a} of " if within else ""
            raise NotFound(
                f"no {what} {name!a} in {place}org {self.org.slug!a}: "
                f"wgctl {what} list --org {self.org.slug} shows what there is"
            )
        return found[0]

    def _spend(self, number: int) -> bool:
        network_prefix(self.pool, number)
        try:
            with self._connection.begin_nested():
                self._execute(insert(tables.spent_network_ids).values(number=number))
        except IntegrityError:
            return False
        return True

    def _next_number(self, network: Network, host: int) -> int:
        """Return the next number below `host`, a gateway's or that of service addresses.

        Both begin at 2, and none is given out twice.
        """
        counters = tables.address_counters
        counted = self._connection.execute(
            update(counters)
            .where(
                counters.c.org_id == self.org.id,
                counters.c.network_id == network.id,
                counters.c.gateway_number == host,
            )
            .values(next_number=counters.c.next_number + 1)
            .returning(counters.c.next_number)
        ).scalar_one_or_none()
        if counted is not None:
            return int(counted) - 1
        self._execute(
            self._insert(
                counters,
                network_id=network.id,
                gateway_number=host,
                next_number=FIRST_PEER + 1,
            )
        )
        return FIRST_PEER

    def _rows(self, statement: Executable) -> Sequence[RowMapping]:
        return self._connection.execute(statement).mappings().all()

    def _execute(self, statement: Insert | Delete) -> None:
        self._connection.execute(statement)

    def _count(self, table: Table, *where: ColumnElement[bool]) -> int:
        found: int = self._connection.execute(
            select(func.count()).select_from(table).where(table.c.org_id == self.org.id, *where)
        ).scalar_one()
        return found
