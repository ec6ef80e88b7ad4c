"""Apps of a network: adding, listing, giving a service address, removing.

What runs as an app is `wgctl.services.machine`.
"""

from dataclasses import dataclass, replace

from peers.names import Label
from wgctl.core.model import App, Network
from wgctl.services.condition import Condition, always
from wgctl.services.listing import START, through
from wgctl.store.org import OrgDoor
from wgctl.store.scoped import EVERYTHING
from wgctl.store.store import Store

__all__ = ["AppFacts", "add", "listed", "remove", "set_flycast", "shown"]


@dataclass(frozen=True, slots=True)
class AppFacts:
    """An app, its network, and how many machines it has."""

    app: App
    network: Network
    machines: int
    started: int


def add(
    store: Store, org: str, network: str, name: Label, *, now: int, flycast: bool = False
) -> AppFacts:
    """Add the app `name` to a network of `org`; raises Conflict when it exists.

    `flycast`: with a service address, as `set_flycast` gives it.
    """
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        found = door.network(network)
        app = door.set_service(found, door.add_app(found, name, now=now), has=flycast)
        return AppFacts(app, found, machines=0, started=0)


def listed(
    store: Store,
    org: str,
    *,
    network: str | None,
    after: tuple[str, str] = START,
    limit: int = EVERYTHING,
) -> list[AppFacts]:
    """Return up to `limit` apps by network and name, past the names `after`.

    Of `org`, or of one network.
    """
    with store.reading() as deployment:
        door = deployment.owned_by(org)
        within = door.networks() if network is None else [door.network(network)]

        def find(network: Network, past: str, most: int) -> list[App]:
            return door.apps(network=network, after=past, limit=most)

        found = through(within, find, after=after, limit=limit)
        return [_facts(door, network, app) for network, app in found]


def shown(store: Store, org: str, network: str, name: str) -> AppFacts:
    """Return the app `name`; raises NotFound."""
    with store.reading() as deployment:
        door = deployment.owned_by(org)
        found = door.network(network)
        return _facts(door, found, door.app(found, name))


def set_flycast(
    store: Store,
    org: str,
    network: str,
    name: str,
    *,
    flycast: bool,
    check: Condition[AppFacts] = always,
) -> AppFacts:
    """Give the app `name` a service address, or take it away; raises NotFound.

    An address that was taken away is not given out again, to this app neither.
    """
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        found = door.network(network)
        app = door.app(found, name)
        facts = _facts(door, found, app)
        check(facts)
        return replace(facts, app=door.set_service(found, app, has=flycast))


def remove(
    store: Store, org: str, network: str, name: str, *, check: Condition[AppFacts] = always
) -> None:
    """Remove the app `name` and its machines; raises NotFound."""
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        found = door.network(network)
        app = door.app(found, name)
        check(_facts(door, found, app))
        door.remove_app(found, app)


def _facts(door: OrgDoor, network: Network, app: App) -> AppFacts:
    count = door.count_machines(app)
    return AppFacts(app, network, machines=count.machines, started=count.started)
