"""Orgs: adding one with its first network, listing, removing.

What is inside an org is the business of the other nouns.
"""

from dataclasses import dataclass

from peers.names import Label
from wgctl.core.model import Org
from wgctl.services import network as networks
from wgctl.services.condition import Condition, always
from wgctl.store.org import OrgDoor
from wgctl.store.store import Store

__all__ = ["FIRST_NETWORK", "OrgFacts", "add", "listed", "remove", "shown"]

FIRST_NETWORK = Label("default")
"""The network that every org has from the start."""


@dataclass(frozen=True, slots=True)
class OrgFacts:
    """An org and how much it owns."""

    org: Org
    networks: int
    peers: int


def add(store: Store, slug: Label, *, now: int) -> OrgFacts:
    """Add the org `slug` and its network `default`; raises Conflict when it exists."""
    with store.writing() as deployment:
        org = deployment.add_org(slug, now=now)
        networks.add_with(deployment, slug, FIRST_NETWORK, now=now)
    return OrgFacts(org=org, networks=1, peers=0)


def listed(store: Store, *, after: str, limit: int) -> list[OrgFacts]:
    """Return up to `limit` orgs by slug, from the first one past `after`."""
    with store.reading() as deployment:
        return [
            _facts(deployment.owned_by(org.slug))
            for org in deployment.orgs(after=after, limit=limit)
        ]


def shown(store: Store, slug: str) -> OrgFacts:
    """Return the org `slug`; raises NotFound."""
    with store.reading() as deployment:
        return _facts(deployment.owned_by(slug))


def remove(store: Store, slug: str, *, check: Condition[OrgFacts] = always) -> frozenset[int]:
    """Remove the org `slug` and all that it owns; return the ids that its peers had.

    Raises NotFound.
    """
    with store.writing() as deployment:
        door = deployment.owned_by(slug)
        check(_facts(door))
        peers = door.peers()
        deployment.remove_org(slug)
        return frozenset(peer.id for peer in peers)


def _facts(door: OrgDoor) -> OrgFacts:
    return OrgFacts(org=door.org, networks=len(door.networks()), peers=door.count_peers())
