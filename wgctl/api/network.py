"""Routes of networks."""

from fastapi import APIRouter

from peers.names import Label
from wgctl.api.context import Now, StoreOf
from wgctl.api.door import needs
from wgctl.api.shapes import network_shape
from wgctl.core.access import Scope
from wgctl.core.schema import Network, NewNetwork, Page
from wgctl.services import network as networks

__all__ = ["router"]

router = APIRouter()


@router.get("/orgs/{org}/networks", dependencies=[needs(Scope.NETWORK_READ)])
def list_networks(store: StoreOf, org: str) -> Page[Network]:
    """Return every network of an org by name."""
    return Page(items=[network_shape(org, network) for network in networks.listed(store, org)])


@router.post("/orgs/{org}/networks", dependencies=[needs(Scope.NETWORK_WRITE)], status_code=201)
def add_network(store: StoreOf, now: Now, org: str, new: NewNetwork) -> Network:
    """Add a network, with a prefix that was never given out."""
    return network_shape(org, networks.add(store, org, Label(new.name), now=now))


@router.get("/orgs/{org}/networks/{network}", dependencies=[needs(Scope.NETWORK_READ)])
def show_network(store: StoreOf, org: str, network: str) -> Network:
    """Return one network."""
    return network_shape(org, networks.shown(store, org, network))


@router.delete(
    "/orgs/{org}/networks/{network}", dependencies=[needs(Scope.NETWORK_WRITE)], status_code=204
)
def remove_network(store: StoreOf, org: str, network: str) -> None:
    """Remove an empty network."""
    networks.remove(store, org, network)
