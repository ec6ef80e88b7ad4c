"""Routes of members, and of who one is oneself."""

from typing import Annotated

from fastapi import Query

from peers.names import Label
from wgctl.api.access_shapes import caller_shape, member_shape, removal_shape
from wgctl.api.caller import CallerOf
from wgctl.api.context import ContextOf, Now, StoreOf
from wgctl.api.door import needs, routes
from wgctl.api.etag import Expected, Told
from wgctl.api.pages import Cursor, Limit, page
from wgctl.core.access import Scope
from wgctl.core.access_schema import CallerReply, Member, MemberChange, NewMember, Removal
from wgctl.core.schema import Page
from wgctl.services import member as members

__all__ = ["router"]

router = routes()

_MEMBER = "/orgs/{org}/members/{member}"


@router.get("/caller", dependencies=[needs(Scope.CALLER_READ)])
def show_caller(caller: CallerOf) -> CallerReply:
    """Return who one is, and what one may do."""
    return caller_shape(caller)


@router.get("/orgs/{org}/members", dependencies=[needs(Scope.MEMBER_READ)])
def list_members(store: StoreOf, org: str, cursor: Cursor = "", limit: Limit = 100) -> Page[Member]:
    """Return the members of an org by name."""
    return page(
        members.listed(store, org, after=cursor, limit=limit + 1),
        limit=limit,
        shape=lambda facts: member_shape(org, facts),
        cursor=lambda facts: facts.member.name,
    )


@router.post("/orgs/{org}/members", dependencies=[needs(Scope.MEMBER_WRITE)], status_code=201)
def add_member(store: StoreOf, now: Now, org: str, new: NewMember) -> Member:
    """Add a member."""
    facts = members.add(store, org, Label(new.name), new.role, networks=new.networks, now=now)
    return member_shape(org, facts)


@router.get(_MEMBER, dependencies=[needs(Scope.MEMBER_READ)])
def show_member(store: StoreOf, org: str, member: str, etag: Told) -> Member:
    """Return one member."""
    return etag.told(member_shape(org, members.shown(store, org, member)))


@router.patch(_MEMBER, dependencies=[needs(Scope.MEMBER_WRITE)])
def change_member(
    store: StoreOf, org: str, member: str, new: MemberChange, etag: Expected
) -> Member:
    """Give a member another role, or other networks; what is left out stays as it is."""
    narrowed = "networks" in new.model_fields_set
    facts = members.change(
        store,
        org,
        member,
        role=new.role,
        networks=new.networks if narrowed else members.UNCHANGED,
        check=etag.check(lambda found: member_shape(org, found)),
    )
    return etag.told(member_shape(org, facts))


@router.delete(_MEMBER, dependencies=[needs(Scope.MEMBER_WRITE)])
def remove_member(  # each is a part of the request
    store: StoreOf,
    context: ContextOf,
    org: str,
    member: str,
    etag: Expected,
    *,
    dry_run: Annotated[bool, Query()] = False,
) -> Removal:
    """Remove a member and all that is theirs, or say what would go."""
    removal = members.remove(
        store,
        org,
        member,
        dry_run=dry_run,
        check=etag.check(lambda facts: member_shape(org, facts)),
    )
    if not dry_run:
        gone = [peer.id for _, peer in removal.peers]
        context.changes.once_kept(lambda: context.observations.forget(gone))
    return removal_shape(removal, dry_run=dry_run)
