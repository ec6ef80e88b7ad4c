"""Routes of machines."""

from fastapi import APIRouter

from peers.names import Label
from wgctl.api.context import Now, Seen, StoreOf
from wgctl.api.door import needs
from wgctl.api.shapes import machine_shape, port_of
from wgctl.core.access import Scope
from wgctl.core.schema import Machine, NewMachine, NewState, Page
from wgctl.services import machine as machines
from wgctl.services.org import FIRST_NETWORK

__all__ = ["router"]

router = APIRouter()

_MACHINE = "/orgs/{org}/machines/{machine}"


@router.get("/orgs/{org}/machines", dependencies=[needs(Scope.MACHINE_READ)])
def list_machines(
    store: StoreOf, seen: Seen, org: str, network: str | None = None, app: str | None = None
) -> Page[Machine]:
    """Return the machines of one network, of one app or of all, by network and name."""
    found = machines.listed(store, org, network=network, app=app)
    return Page(items=[machine_shape(org, facts, seen) for facts in found])


@router.post("/orgs/{org}/machines", dependencies=[needs(Scope.MACHINE_WRITE)], status_code=201)
def add_machine(store: StoreOf, seen: Seen, now: Now, org: str, new: NewMachine) -> Machine:
    """Add a started machine of an app, on a peer of the same network."""
    wanted = machines.NewMachine(
        network=Label(new.network),
        app=Label(new.app),
        peer=Label(new.peer),
        name=None if new.name is None else Label(new.name),
        region=None if new.region is None else Label(new.region),
        process_group=Label(new.process_group),
        ports=tuple(port_of(port) for port in new.ports),
        metadata=dict(new.metadata),
    )
    return machine_shape(org, machines.add(store, org, wanted, now=now), seen)


@router.get(_MACHINE, dependencies=[needs(Scope.MACHINE_READ)])
def show_machine(
    store: StoreOf, seen: Seen, org: str, machine: str, network: str = FIRST_NETWORK
) -> Machine:
    """Return one machine."""
    return machine_shape(org, machines.shown(store, org, network, machine), seen)


@router.patch(_MACHINE, dependencies=[needs(Scope.MACHINE_WRITE)])
def set_machine_state(
    store: StoreOf,
    seen: Seen,
    org: str,
    machine: str,
    new: NewState,
    network: str = FIRST_NETWORK,
) -> Machine:
    """Start or stop a machine."""
    facts = machines.set_state(store, org, network, machine, new.state)
    return machine_shape(org, facts, seen)


@router.delete(_MACHINE, dependencies=[needs(Scope.MACHINE_WRITE)], status_code=204)
def remove_machine(store: StoreOf, org: str, machine: str, network: str = FIRST_NETWORK) -> None:
    """Remove a machine."""
    machines.remove(store, org, network, machine)
