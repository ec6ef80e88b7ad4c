import asyncio
import re
from typing import Any

import pytest
from fastapi import Response
from fastapi.exceptions import HTTPException
from starlette.routing import Match

from tests.api.asking import Door, refusal
from wgctl.api.application import Application, Table
from wgctl.api.caller import by_door
from wgctl.api.context import Context
from wgctl.api.operators import operators_app
from wgctl.api.problems import answer_with_problems
from wgctl.api.route import Route
from wgctl.core.access import Asker
from wgctl.core.errors import NotFound, Unidentified


async def _thing() -> Response:
    return Response("thing")


def _route(path: str, *methods: str) -> Route:
    return Route(path, _thing, methods=list(methods or ("GET",)))


_APART = [
    _route("/v1/things", "GET", "POST"),
    _route("/v1/things/{thing}"),
    _route("/v1/things/{thing}/part"),
    _route("/v1/things/{other}", "DELETE"),
]


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "/v1/things", (0, {})),
        ("POST", "/v1/things", (0, {})),
        ("GET", "/v1/things/a", (1, {"thing": "a"})),
        ("GET", "/v1/things/things", (1, {"thing": "things"})),
        ("GET", "/v1/things/{thing}", (1, {"thing": "{thing}"})),
        ("GET", "/v1/things/a/part", (2, {"thing": "a"})),
        ("DELETE", "/v1/things/\n", (3, {"other": "\n"})),
        ("PUT", "/v1/things/a", 405),
        ("get", "/v1/things/a", 405),
        ("HEAD", "/v1/things", 405),
        *(
            ("GET", path, 404)
            for path in ("", "/", "/v1", "/v1/", "/v1/things/", "/v1/things//part", "//v1/things")
        ),
        *(("PUT", path, 404) for path in ("/v1/things/a/", "/v1/things/a/part/b", "v1/things")),
    ],
)
def test_a_path_leads_to_one_route_or_none(
    method: str, path: str, found: tuple[int, dict[str, str]] | int
) -> None:
    table = Table(_APART)
    if isinstance(found, int):
        with pytest.raises(HTTPException) as refused:
            table.find(method, path)
        assert refused.value.status_code == found
    else:
        assert table.find(method, path) == (_APART[found[0]], found[1])


def test_each_route_is_found_where_starlette_would_find_it(context: Context) -> None:
    routes = [route for route in operators_app(context).routes if isinstance(route, Route)]
    table = Table(routes)
    assert len(routes) > 40
    for route in routes:
        for method in route.methods or ():
            path = re.sub("{[a-z]+}", "some-thing", route.path)
            scope = {"type": "http", "method": method, "path": path}
            first = next(one for one in routes if one.matches(scope)[0] is Match.FULL)

            assert table.find(method, path) == (first, first.matches(scope)[1]["path_params"])


@pytest.mark.parametrize(
    "paths",
    [
        ("/things/{thing}", "/things/{other}"),
        ("/things/{thing}", "/things/new"),
        ("/things/new/part", "/things/{thing}"),
    ],
)
def test_a_path_that_leads_to_two_routes_does_not_start(paths: tuple[str, ...]) -> None:
    with pytest.raises(TypeError, match="two routes"):
        Table([_route(path) for path in paths])


def _application(error: Exception) -> Application:
    async def fail() -> None:
        raise error

    routes = [Route("/thing", fail, methods=["GET"])]
    app = Application(routes, identify=by_door(Asker.OPERATOR))
    answer_with_problems(app)
    return app


def test_a_refusal_is_answered_as_its_nearest_kind_is() -> None:
    app = _application(NotFound("no such thing"))
    with Door(app) as door:
        refusal(door.get("/thing"), 404, "not-found")

    async def told(_request: Any, _error: Exception) -> Response:
        return Response("instead", status_code=410)

    app.add_exception_handler(NotFound, told)
    with Door(app) as door:
        assert door.get("/thing").status_code == 410


def test_what_nobody_foresaw_is_answered_and_raised_for_the_server_to_hear_of_it() -> None:
    app = _application(ZeroDivisionError("inside"))
    with Door(app, fails=True) as door:
        refusal(door.get("/thing"), 500, "internal")
    with Door(app) as door, pytest.raises(ZeroDivisionError):
        door.get("/thing")


def test_another_protocol_is_not_served() -> None:
    async def never() -> Any:
        raise AssertionError

    app = _application(ZeroDivisionError())
    with pytest.raises(Unidentified, match="websocket is not spoken here"):
        asyncio.run(app({"type": "websocket"}, never, never))  # type: ignore[arg-type]
