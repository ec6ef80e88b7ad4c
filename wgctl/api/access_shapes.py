"""Members, tokens and callers as the JSON shapes of `wgctl.core.access_schema`."""

from wgctl.api.shapes import maybe_moment, moment
from wgctl.core import access_schema as schema
from wgctl.core.access import Caller, Scope
from wgctl.core.bearer import Bearer
from wgctl.services.member import MemberFacts, Removal
from wgctl.services.token import TokenFacts

__all__ = ["caller_shape", "member_shape", "minted_shape", "removal_shape", "token_shape"]


def caller_shape(caller: Caller) -> schema.CallerReply:
    """Return who one is as JSON shows it."""
    found = {scope: caller.extent(scope) for scope in Scope}
    ends = [] if caller.token is None else [caller.token.expires_at, caller.narrowing.expires_at]
    return schema.CallerReply(
        caller=caller.name,
        org=None if caller.org is None else caller.org.slug,
        member=None if caller.member is None else caller.member.name,
        role=None if caller.member is None else caller.member.role,
        token=None if caller.token is None else caller.token.name,
        networks=None if caller.networks is None else sorted(caller.networks),
        expires_at=maybe_moment(min((end for end in ends if end is not None), default=None)),
        scopes={scope: extent for scope, extent in found.items() if extent is not None},
    )


def member_shape(org: str, facts: MemberFacts) -> schema.Member:
    """Return a member as JSON shows it."""
    member = facts.member
    return schema.Member(
        name=member.name,
        org=org,
        role=member.role,
        networks=None if member.networks is None else list(member.networks),
        peers=facts.peers,
        tokens=facts.tokens,
        created_at=moment(member.created_at),
    )


def removal_shape(removal: Removal, *, dry_run: bool) -> schema.Removal:
    """Return what goes with a member as JSON shows it."""
    return schema.Removal(
        member=removal.member.name,
        dry_run=dry_run,
        peers=[
            schema.GonePeer(network=network.name, name=peer.name, address=peer.address)
            for network, peer in removal.peers
        ],
        machines=[
            schema.PlacedName(network=network.name, name=name) for network, name in removal.machines
        ],
        tokens=[token.name for token in removal.tokens],
        left_to_do=list(removal.left_to_do),
    )


def token_shape(org: str, facts: TokenFacts) -> schema.Token:
    """Return a token as JSON shows it, without its text."""
    token = facts.token
    return schema.Token(
        name=token.name,
        org=org,
        kind=token.kind,
        owner=token.owner,
        added_by=token.added_by,
        networks=None if token.networks is None else list(token.networks),
        peer=None if facts.peer is None else facts.peer.name,
        uses_left=token.uses_left,
        tags=list(token.tags),
        created_at=moment(token.created_at),
        expires_at=moment(token.expires_at),
        last_used_at=maybe_moment(facts.last_used_at),
    )


def minted_shape(org: str, facts: TokenFacts, bearer: Bearer) -> schema.MintedToken:
    """Return a token as it was made, with its text."""
    return schema.MintedToken(**dict(token_shape(org, facts)), token=bearer.render())
