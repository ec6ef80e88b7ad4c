"""Machines: registering an instance of an app on a peer, starting, stopping, removing.

Starts and stops no process: a stopped machine is one that its app's name does not answer with.
"""

import secrets
from dataclasses import dataclass

from peers.names import Label
from wgctl.core.errors import NotFound
from wgctl.core.model import App, Check, Machine, MachineState, Network, Peer, Port
from wgctl.services.condition import Condition, always
from wgctl.services.listing import START, through
from wgctl.store.deployment import Deployment
from wgctl.store.org import OrgDoor
from wgctl.store.rows import NewCheckRow, NewMachineRow
from wgctl.store.scoped import EVERYTHING
from wgctl.store.store import Store

__all__ = [
    "MachineFacts",
    "NewMachine",
    "add",
    "listed",
    "remove",
    "row_of",
    "set_check",
    "set_state",
    "shown",
]


@dataclass(frozen=True, slots=True)
class NewMachine:
    """A machine that is asked for; None means that one is chosen for it."""

    network: Label
    app: Label
    peer: Label
    name: Label | None
    region: Label | None
    process_group: Label
    ports: tuple[Port, ...]
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """A machine with its network, its app, and the peer that it runs on.

    `check` None: it is not probed.
    """

    machine: Machine
    network: Network
    app: App
    peer: Peer
    check: Check | None = None


def add(store: Store, org: str, new: NewMachine, *, now: int) -> MachineFacts:
    """Add a started machine; raises NotFound for app or peer, Conflict for a taken name."""
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        network = door.network(new.network)
        app, peer = door.app(network, new.app), door.peer(network, new.peer)
        row = row_of(deployment, peer, new, lease_s=None, now=now)
        return MachineFacts(door.add_machine(app, peer, row), network, app, peer)


def row_of(
    deployment: Deployment, peer: Peer, new: NewMachine, *, lease_s: int | None, now: int
) -> NewMachineRow:
    """Return the row of a machine on `peer`, with what is to be chosen for it."""
    return NewMachineRow(
        name=new.name or _new_name(),
        region=new.region or deployment.gateway_of(peer).region,
        process_group=new.process_group,
        ports=new.ports,
        metadata=new.metadata,
        created_at=now,
        lease_s=lease_s,
    )


def listed(
    store: Store,
    org: str,
    *,
    network: str | None,
    app: str | None,
    after: tuple[str, str] = START,
    limit: int = EVERYTHING,
) -> list[MachineFacts]:
    """Return up to `limit` machines by network and name, past the names `after`.

    Of `org`, of one network or of one app; raises NotFound for an app that is not there.
    """
    with store.reading() as deployment:
        door = deployment.owned_by(org)
        within = door.networks() if network is None else [door.network(network)]
        apps: dict[int, App] = {}
        if app is not None:
            apps = {one.id: known for one in within if (known := door.find_app(one, app))}
            if not apps:
                place = f"org {org!a}" if network is None else f"network {network!a} of org {org!a}"
                raise NotFound(f"no app {app!a} in {place}: wgctl app list shows what there is")
            within = [one for one in within if one.id in apps]

        def find(network: Network, past: str, most: int) -> list[Machine]:
            of = apps.get(network.id)
            return door.machines(network=network, app=of, after=past, limit=most)

        found = through(within, find, after=after, limit=limit)
        return [_facts(door, network, machine) for network, machine in found]


def shown(store: Store, org: str, network: str, name: str) -> MachineFacts:
    """Return the machine `name`; raises NotFound."""
    with store.reading() as deployment:
        door = deployment.owned_by(org)
        found = door.network(network)
        return _facts(door, found, door.machine(found, name))


def set_state(
    store: Store,
    org: str,
    network: str,
    name: str,
    state: MachineState,
    *,
    check: Condition[MachineFacts] = always,
) -> MachineFacts:
    """Start or stop the machine `name`; raises NotFound."""
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        found = door.network(network)
        machine = door.machine(found, name)
        check(_facts(door, found, machine))
        return _facts(door, found, door.set_machine_state(machine, state))


def set_check(
    store: Store,
    org: str,
    network: str,
    name: str,
    new: NewCheckRow | None,
    *,
    check: Condition[MachineFacts] = always,
) -> MachineFacts:
    """Probe the machine `name` so, and no more as before; None: not at all. Raises NotFound."""
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        found = door.network(network)
        machine = door.machine(found, name)
        check(_facts(door, found, machine))
        door.set_check(machine, new)
        return _facts(door, found, machine)


def remove(
    store: Store, org: str, network: str, name: str, *, check: Condition[MachineFacts] = always
) -> None:
    """Remove the machine `name`; raises NotFound."""
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        found = door.network(network)
        machine = door.machine(found, name)
        check(_facts(door, found, machine))
        door.remove_machine(machine)


def _facts(door: OrgDoor, network: Network, machine: Machine) -> MachineFacts:
    app = door.app_with_id(network, machine.app_id)
    peer = door.peer_with_id(network, machine.peer_id)
    return MachineFacts(machine, network, app, peer, door.check(machine))


def _new_name() -> Label:
    """Return 14 hexadecimal digits, as long as Fly's machine ids."""
    return Label(secrets.token_hex(7))
