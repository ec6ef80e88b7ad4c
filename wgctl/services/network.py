"""Networks of an org: adding one with an id that was never used, listing, removing.

Draws ids; whether one is free is the store's last word.
"""

import secrets
from collections.abc import Callable

from peers.names import Label
from wgctl.core.allocate import DRAWS, draw_network_id
from wgctl.core.errors import Conflict, Exhausted
from wgctl.core.model import Network
from wgctl.store.org import OrgDoor
from wgctl.store.store import Store

__all__ = ["add", "add_with", "listed", "remove", "shown"]


def add(store: Store, org: str, name: Label, *, now: int) -> Network:
    """Add the network `name` to `org`.

    Raises Conflict when the name is taken, Exhausted when the pool is full.
    """
    with store.writing() as deployment:
        return add_with(deployment.owned_by(org), name, now=now, random_bits=secrets.randbits)


def add_with(door: OrgDoor, name: Label, *, now: int, random_bits: Callable[[int], int]) -> Network:
    """Add the network `name` within a transaction that has begun."""
    for _ in range(DRAWS):
        number = draw_network_id(door.pool, random_bits=random_bits)
        network = door.add_network(name, number=number, now=now)
        if network is not None:
            return network
    raise Exhausted(
        f"no free network id found in {door.pool} after {DRAWS} draws: the pool is full"
    )


def listed(store: Store, org: str) -> list[Network]:
    """Return the networks of `org` by name; raises NotFound without that org."""
    with store.reading() as deployment:
        return deployment.owned_by(org).networks()


def shown(store: Store, org: str, name: str) -> Network:
    """Return the network `name` of `org`; raises NotFound."""
    with store.reading() as deployment:
        return deployment.owned_by(org).network(name)


def remove(store: Store, org: str, name: str) -> None:
    """Remove an empty network, or `default` last of all.

    Raises Conflict while the network has peers or apps, so that a slip of a name costs nothing.
    """
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        network = door.network(name)
        peers, apps = len(door.peers(network=network)), len(door.apps(network=network))
        if peers or apps:
            raise Conflict(
                f"network {name!a} of org {org!a} has {peers} peers and {apps} apps: "
                "remove them first"
            )
        door.remove_network(network)
