"""Builds an application whose every route declares the scope that it needs.

Knows no route itself: see `operators`, `nodes` and `internal`; and nobody: see `caller`.
"""

from collections.abc import Iterable
from dataclasses import replace

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.params import Depends as DependsParam
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig
from starlette.routing import BaseRoute

from wgctl import __version__
from wgctl.api.application import Application
from wgctl.api.caller import CallerOf, Identify, by_door
from wgctl.api.problems import answer_with_problems
from wgctl.api.query import parameters_of, require_known
from wgctl.api.route import Route
from wgctl.core.access import Asker, Scope
from wgctl.core.errors import Denied
from wgctl.core.shape import finish

__all__ = ["build", "needs", "routes"]

# Else each request is looked at for whether OpenTelemetry has somebody to tell.
_TOLD_TO_NOBODY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
}


class _Needs:
    """The declaration of a route's scope, checked at each request."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.parameters: frozenset[str] = frozenset()

    async def __call__(self, request: Request, caller: CallerOf) -> None:
        if caller.extent(self.scope) is None:
            raise Denied(f"{caller.title} may not {self.scope}")
        request.state.caller = replace(caller, doing=self.scope)
        require_known(request, self.parameters)


def needs(scope: Scope) -> DependsParam:
    """Declare, in a route's `dependencies`, that it needs `scope`."""
    dependency: DependsParam = Depends(_Needs(scope))
    return dependency


def routes() -> APIRouter:
    """Return a router of one noun, to be filled with what `Route` says how to run."""
    return APIRouter(route_class=Route)


def build(
    asker: Asker,
    routers: Iterable[APIRouter],
    *,
    identified: Identify | None = None,
    **state: object,
) -> FastAPI:
    """Return an application for `asker` with the routes of `routers`.

    `identified` says who a request comes from; None: the door is proof enough. What the routes work
    with is in `state`, by the names that their dependencies look for. Raises TypeError when a route
    declares no scope, or more than one.
    """
    finish()
    app = Application(
        [_served(route) for router in routers for route in router.routes],
        identify=identified or by_door(asker),
        title="wgctl",
        version=__version__,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=_TOLD_TO_NOBODY,
    )
    for name, value in state.items():
        setattr(app.state, name, value)
    answer_with_problems(app)
    return app


def _served(route: BaseRoute) -> Route:
    """Return `route` as an application has it: below /v1, of shapes that are finished."""
    found = route.dependencies if isinstance(route, APIRoute) else []
    declared = [d.dependency for d in found if isinstance(d.dependency, _Needs)]
    if not isinstance(route, APIRoute) or len(declared) != 1:
        raise TypeError(f"{route} declares {len(declared)} scopes, expected one")
    served = Route(
        f"/v1{route.path}",
        route.endpoint,
        methods=route.methods,
        dependencies=route.dependencies,
        status_code=route.status_code,
        response_model=route.response_model,
        response_class=route.response_class,
        responses=route.responses,
        openapi_extra={"x-scope": declared[0].scope},
        generate_unique_id_function=lambda named: named.name,
    )
    declared[0].parameters = parameters_of(served)
    return served
