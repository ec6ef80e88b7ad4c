"""Routes of apps."""

from fastapi import APIRouter

from peers.names import Label
from wgctl.api.context import Now, StoreOf
from wgctl.api.door import needs
from wgctl.api.shapes import app_shape
from wgctl.core.access import Scope
from wgctl.core.schema import App, AppChange, NewApp, Page
from wgctl.services import app as apps
from wgctl.services.org import FIRST_NETWORK

__all__ = ["router"]

router = APIRouter()


@router.get("/orgs/{org}/apps", dependencies=[needs(Scope.APP_READ)])
def list_apps(store: StoreOf, org: str, network: str | None = None) -> Page[App]:
    """Return the apps of one network or of all, by network and name."""
    found = apps.listed(store, org, network=network)
    return Page(items=[app_shape(org, facts) for facts in found])


@router.post("/orgs/{org}/apps", dependencies=[needs(Scope.APP_WRITE)], status_code=201)
def add_app(store: StoreOf, now: Now, org: str, new: NewApp) -> App:
    """Add an app."""
    facts = apps.add(store, org, new.network, Label(new.name), now=now, flycast=new.flycast)
    return app_shape(org, facts)


@router.get("/orgs/{org}/apps/{app}", dependencies=[needs(Scope.APP_READ)])
def show_app(store: StoreOf, org: str, app: str, network: str = FIRST_NETWORK) -> App:
    """Return one app."""
    return app_shape(org, apps.shown(store, org, network, app))


@router.patch("/orgs/{org}/apps/{app}", dependencies=[needs(Scope.APP_WRITE)])
def change_app(
    store: StoreOf, org: str, app: str, new: AppChange, network: str = FIRST_NETWORK
) -> App:
    """Give an app a service address, or take it away."""
    return app_shape(org, apps.set_flycast(store, org, network, app, flycast=new.flycast))


@router.delete("/orgs/{org}/apps/{app}", dependencies=[needs(Scope.APP_WRITE)], status_code=204)
def remove_app(store: StoreOf, org: str, app: str, network: str = FIRST_NETWORK) -> None:
    """Remove an app and its machines."""
    apps.remove(store, org, network, app)
