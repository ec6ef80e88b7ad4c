"""A route that finds its parameters as they were declared, and does not look again how they were.

FastAPI reads the signature of a route and describes it in the document. For each request it would
go through all of it anew, prepared for much that no route here has: that takes longer than most
routes do. Here a signature becomes a list of steps, once; one that needs more does not start.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from email.message import Message
from functools import lru_cache, partial
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, get_origin

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import HTTPException, RequestValidationError, ResponseValidationError
from fastapi.routing import APIRoute

if TYPE_CHECKING:
    from wgctl.api.context import Context

__all__ = ["Route"]

_ABSENT = object()
_OK = 200
_INVALID = 400


class Route(APIRoute):
    """A route that takes JSON and answers with JSON, or with a response that it makes itself.

    One that is no coroutine runs in another thread, where what it returns becomes JSON too: what is
    asked by GET in one of as many as the loop has, and whatever else in that of the application's
    `Changes`. To reach a thread and come back takes longer than to read a few rows by their keys:
    what does no more is a coroutine, and so is whatever a route depends on.
    """

    answer: Callable[[Request], Coroutine[Any, Any, Response]]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request; raises TypeError for a signature that needs more."""
        steps = _Steps(self)
        run = _runner(self)

        async def handle(request: Request) -> Response:
            asked = _Asked(request)
            made = await run(request, await steps.values(asked))
            if isinstance(made, Response):
                return made
            told = Response(made, asked.status or self.status_code or _OK, None, "application/json")
            told.raw_headers += asked.response.raw_headers
            return told

        self.answer = handle
        return handle


_Run = Callable[[Request, dict[str, Any]], Awaitable[Response | bytes]]


def _runner(route: APIRoute) -> _Run:
    """Return what runs `route` with the values of its parameters, and makes JSON of its result."""
    run, rendered = route.endpoint, _rendering(route)

    def done(values: dict[str, Any]) -> Response | bytes:
        try:
            return rendered(run(**values))
        except StopIteration as error:  # No future takes one: nobody would hear of it.
            raise RuntimeError("a route ended an iteration that it did not begin") from error

    async def at_once(_request: Request, values: dict[str, Any]) -> Response | bytes:
        return rendered(await run(**values))

    async def aside(_request: Request, values: dict[str, Any]) -> Response | bytes:
        # Starlette's own way to another thread takes half as long again.
        return await asyncio.get_running_loop().run_in_executor(None, done, values)

    async def in_turn(request: Request, values: dict[str, Any]) -> Response | bytes:
        context: Context = request.app.state.context
        return await context.changes.run(partial(done, values))

    if iscoroutinefunction(run):
        return at_once
    return aside if route.methods == {"GET"} else in_turn


def _rendering(route: APIRoute) -> Callable[[object], Response | bytes]:
    field_of = route.response_field

    def rendered(made: object) -> Response | bytes:
        if isinstance(made, Response):
            return made
        if field_of is None:
            return b""
        value, errors = field_of.validate(made, loc=("response",))
        if errors:
            raise ResponseValidationError(errors)
        return field_of.serialize_json(value)

    return rendered


class _Asked:
    """One request: what its steps came to so far, and what was wrong with its parameters."""

    def __init__(self, request: Request) -> None:
        self.request = request
        # Takes the headers and the status that the answer is to have.
        self.response = Response()
        self.response.raw_headers.clear()
        self.response.status_code = 0
        self.results: list[Any] = []
        self.errors: list[Mapping[str, Any]] = []

    @property
    def status(self) -> int:
        """The status that the route has chosen; 0: none."""
        return self.response.status_code


class _Field(Protocol):
    """A parameter, as FastAPI has it."""

    name: str

    def validate(
        self, value: Any, values: dict[str, Any] = ..., *, loc: tuple[int | str, ...] = ...
    ) -> tuple[Any, list[dict[str, Any]]]:
        """Return the value that `value` stands for, and what is wrong with it."""


class _Parameter(NamedTuple):
    """What a request is to bring: where it is, by which name, and what it is when it is absent."""

    field: _Field
    place: str
    alias: str
    default: Any

    def taken(self, given: Any, errors: list[Mapping[str, Any]]) -> Any:
        """Return the value of what was `given`, if anything was; add to `errors` what is wrong."""
        where = (self.place, self.alias) if self.alias else (self.place,)
        if given is _ABSENT:
            if self.default is _ABSENT:
                errors.append({"loc": where, "msg": "Field required"})
            return self.default
        value, wrong = self.field.validate(given, loc=where)
        errors.extend(wrong)
        return value


@dataclass(slots=True)
class _Step:
    """A function, and where each of its parameters comes from."""

    call: Callable[..., Any]
    parameters: list[_Parameter] = field(default_factory=list)
    results: list[tuple[str, int]] = field(default_factory=list)
    needed: list[int] = field(default_factory=list)
    request: str | None = None
    response: str | None = None

    def values(self, asked: _Asked) -> dict[str, Any] | None:
        """Return what it is called with; None when something is wrong with that."""
        wrong = len(asked.errors)
        values = {name: asked.results[at] for name, at in self.results}
        for one in self.parameters:
            given = _SOURCES[one.place](asked.request).get(one.alias, _ABSENT)
            values[one.field.name] = one.taken(given, asked.errors)
        if self.request is not None:
            values[self.request] = asked.request
        if self.response is not None:
            values[self.response] = asked.response
        met = all(asked.results[at] is not _ABSENT for at in self.needed)
        return values if met and len(asked.errors) == wrong else None


_SOURCES: Mapping[str, Callable[[Request], Mapping[str, str]]] = {
    "path": lambda request: request.path_params,
    "query": lambda request: request.query_params,
    "header": lambda request: request.headers,
}


class _Steps:
    """What is called before a route is, in the order in which FastAPI would."""

    def __init__(self, route: APIRoute) -> None:
        self._steps: list[_Step] = []
        self._known: dict[Callable[..., Any], int] = {}
        dependant = route.dependant
        self._last = self._step(dependant)
        self._body = [_Parameter(one, "body", "", _default(one)) for one in dependant.body_params]
        if len(self._body) > 1:
            raise TypeError(f"{route.path} takes {len(self._body)} bodies, expected one")

    async def values(self, asked: _Asked) -> dict[str, Any]:
        """Return what the route is called with; raises RequestValidationError."""
        body = await _json_of(asked.request) if self._body else _ABSENT
        for step in self._steps:
            values = step.values(asked)
            asked.results.append(_ABSENT if values is None else await step.call(**values))
        values = self._last.values(asked) or {}
        for one in self._body:
            values[one.field.name] = one.taken(body, asked.errors)
        if asked.errors:
            raise RequestValidationError(asked.errors)
        return values

    def _step(self, dependant: Dependant) -> _Step:
        call = dependant.call
        if call is None or _asks_for_more(dependant):
            raise TypeError(f"{call} asks for more than what a request brings as text or JSON")
        step = _Step(
            call, request=dependant.request_param_name, response=dependant.response_param_name
        )
        for before in dependant.dependencies:
            at = self._place(before)
            step.needed.append(at)
            if before.name is not None:
                step.results.append((before.name, at))
        for place, fields in (
            ("path", dependant.path_params),
            ("query", dependant.query_params),
            ("header", dependant.header_params),
        ):
            step.parameters += [_Parameter(one, place, one.alias, _default(one)) for one in fields]
        return step

    def _place(self, dependant: Dependant) -> int:
        """Return the place of the result of `dependant`; one that may be shared is called once."""
        call = dependant.call
        if call is not None and dependant.use_cache and call in self._known:
            return self._known[call]
        step = self._step(dependant)
        if dependant.body_params:
            raise TypeError(f"{step.call} takes a body, expected the route to take it")
        if not iscoroutinefunction(step.call) and not iscoroutinefunction(type(step.call).__call__):
            raise TypeError(f"{step.call} is depended on, expected a coroutine")
        self._steps.append(step)
        at = self._known[step.call] = len(self._steps) - 1
        return at


def _asks_for_more(dependant: Dependant) -> bool:
    return bool(
        dependant.cookie_params
        or dependant.websocket_param_name
        or dependant.http_connection_param_name
        or dependant.background_tasks_param_name
        or dependant.security_scopes_param_name
        or any(
            get_origin(one.field_info.annotation) in {list, set, frozenset, tuple}
            for one in (*dependant.query_params, *dependant.header_params)
        )
    )


def _default(one: Any) -> Any:
    return _ABSENT if one.field_info.is_required() else one.default


async def _json_of(request: Request) -> Any:
    """Return what the body says; as bytes if it is not said to be JSON."""
    body = await request.body()
    if not body:
        return _ABSENT
    if not _is_json(request.headers.get("content-type", "")):
        return body
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        where = {"loc": ("body", error.pos), "msg": "JSON decode error"}
        raise RequestValidationError([where]) from error
    except (ValueError, RecursionError) as error:
        raise HTTPException(_INVALID, "There was an error parsing the body") from error


@lru_cache(maxsize=64)
def _is_json(content_type: str) -> bool:
    message = Message()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    is_application = message.get_content_maintype() == "application"
    return is_application and (subtype == "json" or subtype.endswith("+json"))
