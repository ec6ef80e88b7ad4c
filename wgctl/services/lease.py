"""Leases: machines that a peer announces by itself, and that end when it no longer says so.

How long each lease still has is kept where renewals arrive, in `wgctl.core.lease`: a renewal is no
change of the store, only a lease's start and its end are.
"""

from collections.abc import Iterable
from ipaddress import IPv6Address

from wgctl.core.errors import Conflict, Exhausted, NotFound
from wgctl.core.model import App, Machine, Network, Peer
from wgctl.services.machine import MachineFacts, NewMachine, row_of
from wgctl.store.org import OrgDoor
from wgctl.store.rows import NewMachineRow
from wgctl.store.store import Store

__all__ = ["MOST_OF_A_PEER", "announce", "end"]

MOST_OF_A_PEER = 64
"""How many machines one peer may have announced at a time: a peer must not fill the store."""


def announce(
    store: Store, org: str, address: IPv6Address, new: NewMachine, *, lease_s: int, now: int
) -> MachineFacts:
    """Add the machine that the peer at `address` announces, with a lease of `lease_s`.

    The peer's own machine of that name and app becomes what `new` says: whoever starts again need
    not wait for the end of a lease. Raises NotFound for the app or the peer, Conflict when the
    name is taken, Exhausted for more than MOST_OF_A_PEER.
    """
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        network = door.network(new.network)
        peer, app = door.peer(network, new.peer), _app(door, network, new.app)
        if peer.address != address:
            raise NotFound(f"no peer {new.peer!a} at {address}, expected it at {peer.address}")
        row = row_of(deployment, peer, new, lease_s=lease_s, now=now)
        known = door.find_machine(network, row.name)
        if known is None:
            machine = _add(door, app, peer, row)
        else:
            machine = door.rewrite_machine(_own(known, app, peer), row)
        return MachineFacts(machine, network, app, peer, door.check(machine))


def end(store: Store, ended: Iterable[tuple[str, int]]) -> None:
    """Remove the machines whose leases have ended, each given by its org's slug and its id.

    One that is gone already, or has no lease, is passed over.
    """
    with store.writing() as deployment:
        for slug, machine_id in ended:
            try:
                door = deployment.owned_by(slug)
            except NotFound:
                continue
            machine = door.machine_with_id(machine_id)
            if machine is not None and machine.lease_s is not None:
                door.remove_machine(machine)


def _app(door: OrgDoor, network: Network, name: str) -> App:
    try:
        return door.app(network, name)
    except NotFound as error:
        raise NotFound(
            f"no app {name!a} in network {network.name!a} of org {door.org.slug!a}: an operator "
            f"adds it first, with wgctl app add {name} --org {door.org.slug} "
            f"--network {network.name}"
        ) from error


def _add(door: OrgDoor, app: App, peer: Peer, row: NewMachineRow) -> Machine:
    if door.count_leases(peer) >= MOST_OF_A_PEER:
        raise Exhausted(
            f"peer {peer.name!a} has announced {MOST_OF_A_PEER} machines, expected no more: end "
            "one, or wait for the end of its lease"
        )
    return door.add_machine(app, peer, row)


def _own(machine: Machine, app: App, peer: Peer) -> Machine:
    """Return `machine`, which `peer` announced for `app`; raises Conflict for any other."""
    if machine.lease_s is None or (machine.app_id, machine.peer_id) != (app.id, peer.id):
        raise Conflict(
            f"machine {machine.name!a} exists already, and is none that peer {peer.name!a} "
            f"announced for app {app.name!a}: choose another name"
        )
    return machine
