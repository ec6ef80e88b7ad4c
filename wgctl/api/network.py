"""Routes of networks."""

from functools import partial

from peers.names import Label
from wgctl.api.context import Now, StoreOf
from wgctl.api.door import needs, routes
from wgctl.api.etag import Expected, Told
from wgctl.api.pages import Cursor, Limit, page_after
from wgctl.api.shapes import network_shape
from wgctl.core.access import Scope
from wgctl.core.schema import Network, NewNetwork, Page
from wgctl.services import network as networks

__all__ = ["router"]

router = routes()


@router.get("/orgs/{org}/networks", dependencies=[needs(Scope.NETWORK_READ)])
def list_networks(
    store: StoreOf, org: str, cursor: Cursor = "", limit: Limit = 100
) -> Page[Network]:
    """Return the networks of an org by name."""
    return page_after(
        cursor,
        networks.listed(store, org),
        limit=limit,
        shape=lambda network: network_shape(org, network),
        cursor=lambda network: (network.name,),
    )


@router.post("/orgs/{org}/networks", dependencies=[needs(Scope.NETWORK_WRITE)], status_code=201)
def add_network(store: StoreOf, now: Now, org: str, new: NewNetwork) -> Network:
    """Add a network, with a prefix that was never given out."""
    return network_shape(org, networks.add(store, org, Label(new.name), now=now))


@router.get("/orgs/{org}/networks/{network}", dependencies=[needs(Scope.NETWORK_READ)])
async def show_network(store: StoreOf, org: str, network: str, etag: Told) -> Network:
    """Return one network."""
    return etag.told(network_shape(org, networks.shown(store, org, network)))


@router.delete(
    "/orgs/{org}/networks/{network}", dependencies=[needs(Scope.NETWORK_WRITE)], status_code=204
)
def remove_network(store: StoreOf, org: str, network: str, etag: Expected) -> None:
    """Remove an empty network."""
    check = etag.check(partial(network_shape, org))
    networks.remove(store, org, network, check=check)
