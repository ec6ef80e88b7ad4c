"""Builds an application whose every route declares the scope that it needs.

Knows no route itself: see `operators`, `nodes` and `internal`; and nobody: see `caller`.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.params import Depends as DependsParam
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from wgctl import __version__
from wgctl.api.caller import CallerOf, Identified, Identify, by_door
from wgctl.api.problems import answer_with_problems
from wgctl.api.query import parameters_of, require_known
from wgctl.core.access import Asker, Scope
from wgctl.core.errors import Denied
from wgctl.core.shape import finish

__all__ = ["build", "needs", "routes"]


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
    """Return a router of one noun, to be filled; what is no coroutine runs in another thread.

    There alone: FastAPI would take a thread once more to look at what was returned, at 0.3 ms.
    """
    return APIRouter(route_class=_Route)


class _Route(APIRoute):
    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        super().__init__(path, _in_a_thread(endpoint), **more)


def _in_a_thread(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    if iscoroutinefunction(endpoint):
        return endpoint

    @wraps(endpoint)
    async def asked(**values: object) -> object:
        return await run_in_threadpool(endpoint, **values)

    return asked


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
    app = FastAPI(
        title="wgctl",
        version=__version__,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.add_middleware(Identified, identify=identified or by_door(asker))
    for name, value in state.items():
        setattr(app.state, name, value)
    answer_with_problems(app)
    finish()
    for router in routers:
        _require_scopes(router)
        app.include_router(router, prefix="/v1")
    return app


def _require_scopes(router: APIRouter) -> None:
    for route in router.routes:
        found = route.dependencies if isinstance(route, APIRoute) else []
        declared = [d.dependency for d in found if isinstance(d.dependency, _Needs)]
        if len(declared) != 1:
            raise TypeError(f"{route} declares {len(declared)} scopes, expected one")
        if isinstance(route, APIRoute):
            declared[0].parameters = parameters_of(route)
            route.openapi_extra = {"x-scope": declared[0].scope}
