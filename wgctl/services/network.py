"""Networks of an org: adding one with an id that was never used, listing, removing.

Takes ids as they come; whether one is free is the store's last word.
"""

from peers.names import Label
from wgctl.core.errors import Conflict
from wgctl.core.model import Network
from wgctl.services.condition import Condition, always
from wgctl.store.deployment import Deployment
from wgctl.store.store import Store

__all__ = ["add", "add_with", "listed", "remove", "shown"]


def add(store: Store, org: str, name: Label, *, now: int) -> Network:
    """Add the network `name` to `org`.

    Raises Conflict when the name is taken, Exhausted when the pool is full.
    """
    with store.writing() as deployment:
        return add_with(deployment, org, name, now=now)


def add_with(deployment: Deployment, org: str, name: Label, *, now: int) -> Network:
    """Add the network `name` to `org` within a transaction that has begun."""
    door = deployment.owned_by(org)
    while True:
        network = door.add_network(name, number=deployment.next_network_id(), now=now)
        if network is not None:
            return network


def listed(store: Store, org: str) -> list[Network]:
    """Return the networks of `org` by name; raises NotFound without that org."""
    with store.reading() as deployment:
        return deployment.owned_by(org).networks()


def shown(store: Store, org: str, name: str) -> Network:
    """Return the network `name` of `org`; raises NotFound."""
    with store.reading() as deployment:
        return deployment.owned_by(org).network(name)


def remove(store: Store, org: str, name: str, *, check: Condition[Network] = always) -> None:
    """Remove an empty network, or `default` last of all.

    Raises Conflict while the network has peers or apps, so that a slip of a name costs nothing.
    """
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        network = door.network(name)
        check(network)
        peers, apps = door.count_peers(network=network), door.count_apps(network=network)
        if peers or apps:
            raise Conflict(
                f"network {name!a} of org {org!a} has {peers} peers and {apps} apps: "
                "remove them first"
            )
        door.remove_network(network)
