"""Routes of peers."""

from collections.abc import Callable

from fastapi import Response

from peers.names import Label
from wgctl.api.context import Context, ContextOf, Now, Seen, StoreOf
from wgctl.api.door import needs, routes
from wgctl.api.etag import Expected, Told
from wgctl.api.pages import Cursor, Limit, page, parse_cursor
from wgctl.api.shapes import enrolment_shape, gateway_shape, peer_shape
from wgctl.core.access import Scope
from wgctl.core.model import Role
from wgctl.core.schema import Enrolment, Gateway, LabelText, NewKey, NewPeer, Page, Peer, SealedTo
from wgctl.services import peer as peers
from wgctl.services.org import FIRST_NETWORK
from wgctl.services.peer import PeerFacts

__all__ = ["router"]

router = routes()

_PEER = "/orgs/{org}/peers/{peer}"


@router.get("/orgs/{org}/peers", dependencies=[needs(Scope.PEER_READ)])
def list_peers(  # each is a part of the request
    store: StoreOf,
    context: ContextOf,
    org: str,
    network: str | None = None,
    tag: LabelText | None = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Page[Peer]:
    """Return peers by name, of one network or of all, with one tag or whichever."""
    after = parse_cursor(cursor)
    found = peers.listed(store, org, network=network, tag=tag, after=after, limit=limit + 1)
    return page(
        found,
        limit=limit,
        shape=_shaping(context, org),
        cursor=lambda facts: f"{facts.peer.name}.{facts.peer.id}",
    )


@router.post(
    "/orgs/{org}/peers",
    dependencies=[needs(Scope.PEER_ENROL)],
    status_code=201,
    responses={200: {"description": "the same request again: the same peer", "model": Enrolment}},
)
def add_peer(  # each is a part of the request
    store: StoreOf, seen: Seen, now: Now, org: str, new: NewPeer, response: Response
) -> Enrolment:
    """Add a peer by its public key."""
    wanted = peers.NewPeer(
        network=Label(new.network),
        name=Label(new.name),
        public_key=new.public_key,
        expires_in_s=new.expires_in_s,
        ephemeral=new.ephemeral,
        tags=tuple(map(Label, new.tags)),
        needs_forwarding=new.needs_forwarding,
        preshared_key=_sealed_to(new.preshared_key),
        owner=new.owner,
    )
    facts, is_new = peers.add(store, org, wanted, now=now)
    if not is_new:
        response.status_code = 200
    return enrolment_shape(org, facts, seen, now=now)


@router.get(_PEER, dependencies=[needs(Scope.PEER_READ)])
async def show_peer(  # each is a part of the request
    store: StoreOf,
    context: ContextOf,
    org: str,
    peer: str,
    etag: Told,
    network: str = FIRST_NETWORK,
) -> Peer:
    """Return one peer, with what its gateway saw of it."""
    return etag.told(_shaping(context, org)(peers.shown(store, org, network, peer)))


@router.get(f"{_PEER}/gateway", dependencies=[needs(Scope.PEER_READ)])
async def show_gateway_of_peer(
    store: StoreOf, seen: Seen, org: str, peer: str, network: str = FIRST_NETWORK
) -> Gateway:
    """Return the gateway that a peer connects to."""
    facts = peers.shown(store, org, network, peer)
    return gateway_shape(facts.gateway, seen.role(Role.GATEWAY))


@router.get("/orgs/{org}/networks/{network}/gateway", dependencies=[needs(Scope.PEER_ENROL)])
def show_offered_gateway(  # each is a part of the request
    store: StoreOf, seen: Seen, org: str, network: str, *, needs_forwarding: bool = False
) -> Gateway:
    """Return the gateway that a peer would get if it were added now."""
    found = peers.offered_gateway(store, org, network, needs_forwarding=needs_forwarding)
    return gateway_shape(found, seen.role(Role.GATEWAY))


@router.put(f"{_PEER}/key", dependencies=[needs(Scope.PEER_REKEY)])
def rekey_peer(  # each is a part of the request
    store: StoreOf,
    context: ContextOf,
    org: str,
    peer: str,
    new: NewKey,
    etag: Expected,
    network: str = FIRST_NETWORK,
) -> Enrolment:
    """Give a peer another public key."""
    key = peers.NewKey(
        public_key=new.public_key,
        needs_forwarding=new.needs_forwarding,
        preshared_key=_sealed_to(new.preshared_key),
        expires_in_s=new.expires_in_s,
    )
    now, check = context.now(), etag.check(_shaping(context, org))
    facts = peers.rekey(store, org, network, peer, key, now=now, check=check)
    made = enrolment_shape(org, facts, context.observations, now=now)
    etag.told(made.peer)
    return made


@router.delete(_PEER, dependencies=[needs(Scope.PEER_REMOVE)], status_code=204)
def remove_peer(  # each is a part of the request
    store: StoreOf,
    context: ContextOf,
    org: str,
    peer: str,
    etag: Expected,
    network: str = FIRST_NETWORK,
) -> None:
    """Remove a peer and the machines on it."""
    check = etag.check(_shaping(context, org))
    removed = peers.remove(store, org, network, peer, check=check)
    context.changes.once_kept(lambda: context.observations.forget([removed.id]))


def _shaping(context: Context, org: str) -> Callable[[PeerFacts], Peer]:
    now = context.now()
    return lambda facts: peer_shape(org, facts, context.observations, now=now)


def _sealed_to(shape: SealedTo | None) -> peers.SealedTo | None:
    return None if shape is None else peers.SealedTo(shape.gateway_key, shape.sealed)
