"""Routes of machines."""

from functools import partial

from peers.names import Label
from wgctl.api.context import Now, Seen, StoreOf
from wgctl.api.door import needs, routes
from wgctl.api.etag import Expected, Told
from wgctl.api.pages import Cursor, Limit, page, parse_names
from wgctl.api.shapes import check_row, machine_details, machine_shape, port_of
from wgctl.core.access import Scope
from wgctl.core.health_shape import Check
from wgctl.core.schema import Machine, MachineDetails, NewMachine, NewState, Page
from wgctl.services import machine as machines
from wgctl.services.org import FIRST_NETWORK

__all__ = ["router"]

router = routes()

_MACHINE = "/orgs/{org}/machines/{machine}"


@router.get("/orgs/{org}/machines", dependencies=[needs(Scope.MACHINE_READ)])
def list_machines(  # each is a part of the request
    store: StoreOf,
    seen: Seen,
    org: str,
    network: str | None = None,
    app: str | None = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Page[Machine]:
    """Return the machines of one network, of one app or of all, by network and name."""
    after = parse_names(cursor)
    found = machines.listed(store, org, network=network, app=app, after=after, limit=limit + 1)
    return page(
        found,
        limit=limit,
        shape=lambda facts: machine_shape(org, facts, seen),
        cursor=lambda facts: f"{facts.network.name}.{facts.machine.name}",
    )


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
async def show_machine(  # each is a part of the request
    store: StoreOf, seen: Seen, org: str, machine: str, etag: Told, network: str = FIRST_NETWORK
) -> MachineDetails:
    """Return one machine, and how its health changed of late."""
    return etag.told(machine_details(org, machines.shown(store, org, network, machine), seen))


@router.patch(_MACHINE, dependencies=[needs(Scope.MACHINE_WRITE)])
def set_machine_state(  # each is a part of the request
    store: StoreOf,
    seen: Seen,
    org: str,
    machine: str,
    new: NewState,
    etag: Expected,
    network: str = FIRST_NETWORK,
) -> Machine:
    """Start or stop a machine; nothing else of it changes."""
    check = etag.check(partial(machine_shape, org, seen=seen))
    facts = machines.set_state(store, org, network, machine, new.state, check=check)
    return etag.told(machine_shape(org, facts, seen))


@router.put(f"{_MACHINE}/check", dependencies=[needs(Scope.MACHINE_WRITE)])
def set_machine_check(  # each is a part of the request
    store: StoreOf,
    seen: Seen,
    org: str,
    machine: str,
    new: Check,
    etag: Expected,
    network: str = FIRST_NETWORK,
) -> Machine:
    """Probe a machine so from now on."""
    check = etag.check(partial(machine_shape, org, seen=seen))
    facts = machines.set_check(store, org, network, machine, check_row(new), check=check)
    return etag.told(machine_shape(org, facts, seen))


@router.delete(f"{_MACHINE}/check", dependencies=[needs(Scope.MACHINE_WRITE)])
def remove_machine_check(  # each is a part of the request
    store: StoreOf, seen: Seen, org: str, machine: str, etag: Expected, network: str = FIRST_NETWORK
) -> Machine:
    """Probe a machine no more."""
    check = etag.check(partial(machine_shape, org, seen=seen))
    facts = machines.set_check(store, org, network, machine, None, check=check)
    return etag.told(machine_shape(org, facts, seen))


@router.delete(_MACHINE, dependencies=[needs(Scope.MACHINE_WRITE)], status_code=204)
def remove_machine(  # each is a part of the request
    store: StoreOf, seen: Seen, org: str, machine: str, etag: Expected, network: str = FIRST_NETWORK
) -> None:
    """Remove a machine."""
    check = etag.check(partial(machine_shape, org, seen=seen))
    machines.remove(store, org, network, machine, check=check)
