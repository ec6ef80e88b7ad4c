"""Tokens: making one, which is shown once, listing, revoking.

What one may be used for is `wgctl.core.access`; how its text is made, `wgctl.core.bearer`.
"""

import secrets
from dataclasses import dataclass

from peers.names import Label
from wgctl.core.access import Extent, Scope, may_tag
from wgctl.core.bearer import SECRET_BYTES, Bearer
from wgctl.core.errors import Denied, Invalid
from wgctl.core.model import Peer, Token, TokenKind
from wgctl.services.condition import Condition, always
from wgctl.store.org import OrgDoor
from wgctl.store.rows import NewTokenRow
from wgctl.store.scoped import EVERYTHING
from wgctl.store.store import Store

__all__ = ["NewToken", "TokenFacts", "add", "listed", "revoke", "shown"]


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that is asked for.

    `owner` None: who asks. `networks` None: every one. `peer` is the one that a token of kind
    `peer` is for, by network and name; `uses` how often one of kind `enrol` can be used, and `tags`
    those of the peers that it adds.
    """

    name: Label
    kind: TokenKind
    expires_in_s: int
    owner: str | None = None
    networks: tuple[str, ...] | None = None
    peer: tuple[str, str] | None = None
    uses: int | None = None
    tags: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """A token, when it was last used, and the peer that it is for."""

    token: Token
    last_used_at: int | None
    peer: Peer | None


def add(store: Store, org: str, new: NewToken, *, now: int) -> tuple[TokenFacts, Bearer]:
    """Make a token and return it with its text, which is kept nowhere.

    Raises Invalid for what does not go with its kind, NotFound for an owner, network or peer that
    is not there, Denied for an owner whom the caller may not make it for and for tags that they may
    not give, Conflict for the name.
    """
    _require_sense(new)
    bearer, proof = Bearer.make(
        seed=secrets.token_bytes(SECRET_BYTES), secret=secrets.token_bytes(SECRET_BYTES)
    )
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        peer = None if new.peer is None else door.peer(door.network(new.peer[0]), new.peer[1])
        if peer is not None:
            door.require_own(peer.owner, f"peer {peer.name!a}")
        if not may_tag(door.caller, frozenset(new.tags)):
            raise Denied(f"{door.caller.title} may not give tags, expected an admin")
        names = None if new.networks is None else sorted(set(new.networks))
        row = NewTokenRow(
            name=new.name,
            kind=new.kind,
            owner=door.owner_for(new.owner),
            added_by=door.caller.name,
            networks=None if names is None else tuple(door.network(name).name for name in names),
            only_peer_id=None if peer is None else peer.id,
            uses_left=(new.uses or 1) if new.kind is TokenKind.ENROL else None,
            created_at=now,
            expires_at=now + new.expires_in_s,
            proof=proof,
            tags=tuple(sorted(set(new.tags))),
        )
        return TokenFacts(door.add_token(row), None, peer), bearer


def listed(store: Store, org: str, *, after: str = "", limit: int = EVERYTHING) -> list[TokenFacts]:
    """Return up to `limit` tokens of `org` by name, past the name `after`.

    All, or those of the caller if no others are in reach.
    """
    with store.reading() as deployment:
        door = deployment.owned_by(org)
        caller = door.caller
        own = caller.extent(Scope.TOKEN_READ) is Extent.OWN
        owner = caller.name if own else None
        found = door.tokens(owner=owner, after=after, limit=limit)
        return [_facts(door, token) for token in found]


def shown(store: Store, org: str, name: str) -> TokenFacts:
    """Return the token `name`; raises NotFound."""
    with store.reading() as deployment:
        door = deployment.owned_by(org)
        token = door.token(name)
        door.require_own(token.owner, f"token {token.name!a}")
        return _facts(door, token)


def revoke(store: Store, org: str, name: str, *, check: Condition[TokenFacts] = always) -> Token:
    """Revoke the token `name`, and with it every narrower one that was made of it."""
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        token = door.token(name)
        check(_facts(door, token))
        door.remove_token(token)
        return token


def _require_sense(new: NewToken) -> None:
    if new.kind is TokenKind.PEER and new.peer is None:
        raise Invalid("a token of kind peer: expected the peer that it is for")
    if new.kind is not TokenKind.PEER and new.peer is not None:
        raise Invalid(f"a token of kind {new.kind}: a peer is named for kind peer alone")
    if new.kind is TokenKind.NETWORK and not new.networks:
        raise Invalid("a token of kind network: expected the networks that it is for")
    if new.uses is not None and new.kind is not TokenKind.ENROL:
        raise Invalid(f"a token of kind {new.kind}: uses are counted for kind enrol alone")
    if new.tags and new.kind is not TokenKind.ENROL:
        raise Invalid(f"a token of kind {new.kind}: tags are given by kind enrol alone")


def _facts(door: OrgDoor, token: Token) -> TokenFacts:
    peer = None
    if token.only_peer_id is not None:
        peer = door.find_peer_with_id(token.only_peer_id)
    return TokenFacts(token, door.last_used(token), peer)
