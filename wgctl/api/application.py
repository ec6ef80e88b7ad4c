"""An application whose requests go straight to their route, and whose refusals are all answered.

FastAPI and Starlette lead a request through nine layers, each of which wraps what it is asked with
and what it sends, and try one route after the other. Nothing here needs them. What a route is asked
with is `route`; what a refusal says, `problems`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from wgctl.api.caller import Identify
from wgctl.api.route import Route
from wgctl.core.errors import Refusal, Unidentified

__all__ = ["Application", "Table"]

_NOT_FOUND, _NOT_ALLOWED = 404, 405


class Application(FastAPI):
    """One that knows who asks before it looks for the route, and reads a body only after that.

    What is added as middleware stands before it.
    """

    def __init__(self, routes: Sequence[Route], *, identify: Identify, **more: Any) -> None:
        """Serve `routes` to whom `identify` knows; `more` is FastAPI's.

        Raises TypeError for paths that `Table` does not take.
        """
        super().__init__(**more)
        self.router.routes += routes
        self._identify = identify
        self._table = Table(routes)

    def build_middleware_stack(self) -> ASGIApp:
        """Return what serves a request; Starlette calls it once, for the first."""
        app: ASGIApp = self._serve
        for layer, args, kwargs in reversed(self.user_middleware):
            app = layer(app, *args, **kwargs)
        return ServerErrorMiddleware(app, handler=self.exception_handlers.get(Exception))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise Unidentified(f"{scope['type']} is not spoken here, expected http")
        request = Request(scope, receive, send)
        try:
            request.state.caller = await self._identify(request)
            route, scope["path_params"] = self._table.find(request.method, scope["path"])
            response = await route.answer(request)
        except ClientDisconnect:  # In the middle of a body: nobody is there to be answered.
            return
        except Exception as error:  # noqa: BLE001  # those that nobody foresaw are raised again
            try:
                response = await self._refused(request, error)
            except Refusal as other:  # What answers may write to a store, which may refuse.
                response = await self._refused(request, other)
        await response(scope, receive, send)

    async def _refused(self, request: Request, error: Exception) -> Response:
        """Return the answer for who has asked so that `error` was raised; raise what has none."""
        kinds = (kind for kind in type(error).__mro__ if kind is not Exception)
        found = next(filter(None, map(self.exception_handlers.get, kinds)), None)
        if found is None:
            raise error
        made = found(request, error)
        return await made if isawaitable(made) else made


@dataclass(slots=True)
class _Place:
    """What may follow on a part of a path, by its text, or whatever it is; and what ends there.

    `routes` are by their method.
    """

    ahead: dict[str, "_Place"] = field(default_factory=dict)
    whatever: "_Place | None" = None
    routes: dict[str, Route] = field(default_factory=dict)


class Table:
    """Which route a method and a path lead to, found part by part of the path."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Take `routes`; raises TypeError when a path may lead to two of them.

        So it may as well where a name that an asker chooses stands beside a word of ours. And for a
        name that is not a whole part of its path, or any text: `{name}.json`, `{name:int}`.
        """
        self._first = _Place()
        for route in routes:
            self._add(route)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return a route, and what `path` has for its names; raises HTTPException: 404 or 405."""
        place, given = self._first, []
        for part in path.split("/"):
            ahead = place.ahead.get(part)
            if ahead is None:
                ahead = place.whatever
                if ahead is None or not part:
                    raise HTTPException(_NOT_FOUND)
                given.append(part)
            place = ahead
        route = place.routes.get(method)
        if route is None:
            raise HTTPException(_NOT_ALLOWED if place.routes else _NOT_FOUND)
        return route, dict(zip(route.param_convertors, given, strict=True))

    def _add(self, route: Route) -> None:
        place = self._first
        for part in route.path.split("/"):
            if "{" in part or "}" in part:
                if part not in {f"{{{name}}}" for name in route.param_convertors}:
                    raise TypeError(f"{route.path}: {part!r}, expected a name alone: {{name}}")
                place.whatever = place.whatever or _Place()
                ahead = place.whatever
            else:
                ahead = place.ahead.setdefault(part, _Place())
            if place.ahead and place.whatever is not None:
                raise TypeError(f"{route.path}: at {part!r} some path leads to two routes")
            place = ahead
        for method in route.methods or ():
            if place.routes.setdefault(method, route) is not route:
                raise TypeError(f"{method} {route.path}: there are two routes of it")
