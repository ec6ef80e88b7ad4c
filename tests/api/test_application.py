import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import Response
from fastapi.exceptions import HTTPException
from starlette.routing import Match
from structlog.testing import capture_logs

from tests.api.asking import Door, refusal, served
from tests.patience import HANG_S
from wgctl.api.application import Application, Table
from wgctl.api.caller import by_door
from wgctl.api.context import Context
from wgctl.api.operators import operators_app
from wgctl.api.problems import answer_with_problems
from wgctl.api.route import Route
from wgctl.core.access import Asker
from wgctl.core.errors import Denied, NotFound, Unavailable, Unidentified


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


@pytest.mark.parametrize(
    "part",
    ["{thing}.json", "x-{thing}", "{thing}{other}", "{thing:path}", "{n:int}", "{n:str}", "{", "}"],
)
def test_a_path_with_more_than_a_name_in_a_part_does_not_start(part: str) -> None:
    with pytest.raises(TypeError, match="expected a name alone"):
        Table([_route(f"/things/{part}")])


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


def test_a_refusal_that_comes_while_another_is_answered_is_answered_in_its_place() -> None:
    async def denied(_request: Any, _error: Exception) -> Response:
        raise Unavailable("the disk is full")

    app = _application(Denied("not you"))
    app.add_exception_handler(Denied, denied)
    with Door(app) as door:
        assert refusal(door.get("/thing"), 503, "unavailable") == "the disk is full"


def test_who_hangs_up_in_the_middle_of_a_body_leaves_no_word_in_the_log(
    context: Context, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Else whoever reaches the door could fill the journal."""
    head = b"POST /v1/orgs HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"

    async def scene() -> None:
        async with served(operators_app(context), tmp_path / "s") as server:
            _, writer = await asyncio.open_unix_connection(tmp_path / "s")
            writer.write(head + b"{")
            async with asyncio.timeout(HANG_S):
                while not server.server_state.tasks:  # noqa: ASYNC110  # uvicorn tells of none
                    await asyncio.sleep(0)
                asked = set(server.server_state.tasks)
                writer.transport.abort()
                await asyncio.wait(asked)

    with capture_logs() as logs:
        asyncio.run(scene())
    assert logs == []
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


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
