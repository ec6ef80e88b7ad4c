"""Routes of orgs."""

from peers.names import Label
from wgctl.api.context import ContextOf, Now, StoreOf
from wgctl.api.door import needs, routes
from wgctl.api.etag import Expected, Told
from wgctl.api.pages import Cursor, Limit, page
from wgctl.api.shapes import org_shape
from wgctl.core.access import Scope
from wgctl.core.schema import NewOrg, Org, Page
from wgctl.services import org as orgs

__all__ = ["router"]

router = routes()


@router.get("/orgs", dependencies=[needs(Scope.ORG_READ)])
def list_orgs(store: StoreOf, cursor: Cursor = "", limit: Limit = 100) -> Page[Org]:
    """Return orgs by slug."""
    found = orgs.listed(store, after=cursor, limit=limit + 1)
    return page(found, limit=limit, shape=org_shape, cursor=lambda facts: facts.org.slug)


@router.post("/orgs", dependencies=[needs(Scope.ORG_WRITE)], status_code=201)
def add_org(store: StoreOf, now: Now, new: NewOrg) -> Org:
    """Add an org, with its network `default`."""
    return org_shape(orgs.add(store, Label(new.slug), now=now))


@router.get("/orgs/{org}", dependencies=[needs(Scope.ORG_READ)])
def show_org(store: StoreOf, org: str, etag: Told) -> Org:
    """Return one org."""
    return etag.told(org_shape(orgs.shown(store, org)))


@router.delete("/orgs/{org}", dependencies=[needs(Scope.ORG_WRITE)], status_code=204)
def remove_org(store: StoreOf, context: ContextOf, org: str, etag: Expected) -> None:
    """Remove an org and all that it owns."""
    gone = orgs.remove(store, org, check=etag.check(org_shape))
    context.changes.once_kept(lambda: context.observations.forget(gone))
