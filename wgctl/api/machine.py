"""Routes of machines."""

from fastapi import APIRouter

from peers.names import Label
from wgctl.api.context import Now, Seen, StoreOf
from wgctl.api.door import needs
from wgctl.api.shapes import check_row, machine_details, machine_shape, port_of
from wgctl.core.access import Scope
from wgctl.core.health_shape import Check
from wgctl.core.schema import Machine, MachineDetails, NewMachine, NewState, Page
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
) -> MachineDetails:
    """Return one machine, and how its health changed of late."""
    return machine_details(org, machines.shown(store, org, network, machine), seen)


@router.patch(_MACHINE, dependencies=[needs(Scope.MACHINE_WRITE)])
def set_machine_state(  # each is a part of the request
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


@router.put(f"{_MACHINE}/check", dependencies=[needs(Scope.MACHINE_WRITE)])
def set_machine_check(  # each is a part of the request
    store: StoreOf, seen: Seen, org: str, machine: str, new: Check, network: str = FIRST_NETWORK
) -> Machine:
    """Probe a machine so from now on."""
    facts = machines.set_check(store, org, network, machine, check_row(new))
    return machine_shape(org, facts, seen)


@router.delete(f"{_MACHINE}/check", dependencies=[needs(Scope.MACHINE_WRITE)])
def remove_machine_check(
    store: StoreOf, seen: Seen, org: str, machine: str, network: str = FIRST_NETWORK
) -> Machine:
    """Probe a machine no more."""
    facts = machines.set_check(store, org, network, machine, None)
    return machine_shape(org, facts, seen)


@router.delete(_MACHINE, dependencies=[needs(Scope.MACHINE_WRITE)], status_code=204)
def remove_machine(store: StoreOf, org: str, machine: str, network: str = FIRST_NETWORK) -> None:
    """Remove a machine."""
    machines.remove(store, org, network, machine)
