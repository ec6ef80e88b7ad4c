"""Routes of tokens. A token's text is in one answer alone: that to the request that makes it."""

from fastapi import Response

from peers.names import Label
from wgctl.api.access_shapes import minted_shape, token_shape
from wgctl.api.context import Now, StoreOf
from wgctl.api.door import needs, routes
from wgctl.api.etag import Expected, Told
from wgctl.api.pages import Cursor, Limit, page
from wgctl.core.access import Scope
from wgctl.core.access_schema import MintedToken, NewToken, Token
from wgctl.core.schema import Page
from wgctl.services import token as tokens

__all__ = ["router"]

router = routes()

_TOKEN = "/orgs/{org}/tokens/{token}"  # noqa: S105 - a path, no secret


@router.get("/orgs/{org}/tokens", dependencies=[needs(Scope.TOKEN_READ)])
def list_tokens(store: StoreOf, org: str, cursor: Cursor = "", limit: Limit = 100) -> Page[Token]:
    """Return the tokens of an org by name, or those of one's own."""
    found = tokens.listed(store, org, after=cursor, limit=limit + 1)
    return page(
        found,
        limit=limit,
        shape=lambda facts: token_shape(org, facts),
        cursor=lambda facts: facts.token.name,
    )


@router.post("/orgs/{org}/tokens", dependencies=[needs(Scope.TOKEN_WRITE)], status_code=201)
def add_token(store: StoreOf, now: Now, org: str, new: NewToken, response: Response) -> MintedToken:
    """Make a token, whose text is shown this once."""
    wanted = tokens.NewToken(
        name=Label(new.name),
        kind=new.kind,
        expires_in_s=new.expires_in_s,
        owner=new.owner,
        networks=None if new.networks is None else tuple(new.networks),
        peer=None if new.peer is None else (new.peer.network, new.peer.name),
        uses=new.uses,
        tags=tuple(map(Label, new.tags)),
    )
    facts, bearer = tokens.add(store, org, wanted, now=now)
    response.headers["cache-control"] = "no-store"
    return minted_shape(org, facts, bearer)


@router.get(_TOKEN, dependencies=[needs(Scope.TOKEN_READ)])
def show_token(store: StoreOf, org: str, token: str, etag: Told) -> Token:
    """Return one token, without its text."""
    return etag.told(token_shape(org, tokens.shown(store, org, token)))


@router.delete(_TOKEN, dependencies=[needs(Scope.TOKEN_WRITE)], status_code=204)
def revoke_token(store: StoreOf, org: str, token: str, etag: Expected) -> None:
    """Revoke a token, and every narrower one that was made of it."""
    tokens.revoke(store, org, token, check=etag.check(lambda facts: token_shape(org, facts)))
