"""Routes of apps."""

from functools import partial

from peers.names import Label
from wgctl.api.context import Now, StoreOf
from wgctl.api.door import needs, routes
from wgctl.api.etag import Expected, Told
from wgctl.api.pages import Cursor, Limit, page, parse_names
from wgctl.api.shapes import app_shape
from wgctl.core.access import Scope
from wgctl.core.schema import App, AppChange, NewApp, Page
from wgctl.services import app as apps
from wgctl.services.org import FIRST_NETWORK

__all__ = ["router"]

router = routes()

_APP = "/orgs/{org}/apps/{app}"


@router.get("/orgs/{org}/apps", dependencies=[needs(Scope.APP_READ)])
def list_apps(
    store: StoreOf,
    org: str,
    network: str | None = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Page[App]:
    """Return the apps of one network or of all, by network and name."""
    after = parse_names(cursor)
    found = apps.listed(store, org, network=network, after=after, limit=limit + 1)
    return page(
        found,
        limit=limit,
        shape=lambda facts: app_shape(org, facts),
        cursor=lambda facts: f"{facts.network.name}.{facts.app.name}",
    )


@router.post("/orgs/{org}/apps", dependencies=[needs(Scope.APP_WRITE)], status_code=201)
def add_app(store: StoreOf, now: Now, org: str, new: NewApp) -> App:
    """Add an app."""
    facts = apps.add(store, org, new.network, Label(new.name), now=now, flycast=new.flycast)
    return app_shape(org, facts)


@router.get(_APP, dependencies=[needs(Scope.APP_READ)])
def show_app(store: StoreOf, org: str, app: str, etag: Told, network: str = FIRST_NETWORK) -> App:
    """Return one app."""
    return etag.told(app_shape(org, apps.shown(store, org, network, app)))


@router.patch(_APP, dependencies=[needs(Scope.APP_WRITE)])
def change_app(  # each is a part of the request
    store: StoreOf,
    org: str,
    app: str,
    new: AppChange,
    etag: Expected,
    network: str = FIRST_NETWORK,
) -> App:
    """Give an app a service address, or take it away; nothing else of it changes."""
    check = etag.check(partial(app_shape, org))
    facts = apps.set_flycast(store, org, network, app, flycast=new.flycast, check=check)
    return etag.told(app_shape(org, facts))


@router.delete(_APP, dependencies=[needs(Scope.APP_WRITE)], status_code=204)
def remove_app(
    store: StoreOf, org: str, app: str, etag: Expected, network: str = FIRST_NETWORK
) -> None:
    """Remove an app and its machines."""
    check = etag.check(partial(app_shape, org))
    apps.remove(store, org, network, app, check=check)
