"""Routes of gateways: reading for operators, a host's own record for its role."""

from peers.names import Label
from wgctl.api.context import Now, Seen, StoreOf
from wgctl.api.door import needs, routes
from wgctl.api.etag import Told
from wgctl.api.pages import Cursor, Limit, page_after
from wgctl.api.shapes import gateway_shape
from wgctl.api.speaker import SpeakingFor
from wgctl.core.access import Scope
from wgctl.core.model import Role
from wgctl.core.schema import Gateway, NewGateway, Page
from wgctl.services import gateway as gateways

__all__ = ["node_router", "router"]

router = routes()
node_router = routes()


@router.get("/gateways", dependencies=[needs(Scope.GATEWAY_READ)])
def list_gateways(
    store: StoreOf, seen: Seen, cursor: Cursor = "", limit: Limit = 100
) -> Page[Gateway]:
    """Return gateways by number."""
    reported = seen.role(Role.GATEWAY)
    return page_after(
        cursor,
        gateways.listed(store),
        limit=limit,
        shape=lambda found: gateway_shape(found, reported),
        cursor=lambda found: (f"{found.number:05}",),
    )


@router.get("/gateways/{gateway}", dependencies=[needs(Scope.GATEWAY_READ)])
async def show_gateway(store: StoreOf, seen: Seen, gateway: str, etag: Told) -> Gateway:
    """Return one gateway."""
    return etag.told(gateway_shape(gateways.shown(store, gateway), seen.role(Role.GATEWAY)))


@node_router.post("/gateways", dependencies=[needs(Scope.NODE_WRITE)])
def register_gateway(
    store: StoreOf, seen: Seen, now: Now, speaking_for: SpeakingFor, new: NewGateway
) -> Gateway:
    """Add the gateway with this public key, or bring its record up to date."""
    speaking_for(Role.GATEWAY)
    facts = gateways.GatewayFacts(
        region=Label(new.region),
        endpoint=new.endpoint,
        public_key=new.public_key,
        mtu_bytes=new.mtu_bytes,
        forwards=new.forwards,
    )
    gateway = gateways.register(store, facts, now=now)
    return gateway_shape(gateway, seen.role(Role.GATEWAY))
