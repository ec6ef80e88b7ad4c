"""What a route is asked with is found as FastAPI would find it, which its document rests on."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Cookie, Depends, FastAPI, Header, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from tests.api.asking import Door
from wgctl.api.context import Context
from wgctl.api.problems import answer_with_problems
from wgctl.api.route import Route
from wgctl.core.errors import Denied


class Thing(BaseModel, extra="forbid"):
    name: str
    size: int = 1


calls: list[str] = []


async def counted(request: Request) -> int:
    calls.append("counted")
    return len(request.headers.getlist("x-count"))


async def refined(count: Annotated[int, Depends(counted)], least: Annotated[int, Query()]) -> int:
    calls.append("refined")
    return count + least


async def guarded(request: Request) -> None:
    calls.append("guarded")
    if "x-denied" in request.headers:
        raise Denied("not with this header")


def change(  # each is a part of the request
    response: Response,
    place: str,
    new: Thing,
    count: Annotated[int, Depends(counted)],
    refined: Annotated[int, Depends(refined)],
    limit: Annotated[int, Query(ge=1)] = 5,
    marked: Annotated[str | None, Header(alias="x-marked")] = None,
) -> Thing:
    calls.append(f"{place} {count} {refined} {limit} {marked} {new}")
    response.headers["etag"] = '"1"'
    if marked == "found":
        response.status_code = 200
    return new


async def own(place: int) -> Response:
    return Response(f"{place}", status_code=202, headers={"x-own": "yes"})


async def nothing(response: Response) -> None:
    response.headers["etag"] = '"2"'


def _door(kind: type[APIRoute], context: Context) -> Door:
    app = FastAPI(openapi_url=None)
    app.state.context = context
    answer_with_problems(app)
    guard = [Depends(guarded)]
    app.router.routes += [
        kind("/things/{place}", change, methods=["POST"], status_code=201, dependencies=guard),
        kind("/own/{place}", own, methods=["GET"]),
        kind("/nothing", nothing, methods=["DELETE"], status_code=204),
    ]
    return Door(app)


@pytest.fixture
def ask(context: Context) -> Callable[..., list[object]]:
    """Ask both kinds of route; give what FastAPI's own came to, which ours must come to too."""

    def asked(method: str, path: str, **more: Any) -> list[object]:
        found = []
        for kind in (APIRoute, Route):
            calls.clear()
            with _door(kind, context) as door:
                answer = door.request(method, path, **more)
            headers = sorted(answer.headers.items())
            found.append([answer.status_code, answer.content, headers, list(calls)])
        assert found[0] == found[1]
        return found[0]

    return asked


JSON = {"content-type": "application/json"}
GOOD = b'{"name": "a"}'


@pytest.mark.parametrize(
    ("query", "headers", "body", "status"),
    [
        ("?least=2", JSON, GOOD, 201),
        ("?least=2", {**JSON, "x-marked": "found"}, GOOD, 200),
        ("?least=2&limit=7", {"content-type": "application/merge+json; charset=x"}, GOOD, 201),
        ("?least=2", JSON | {"x-denied": "1"}, GOOD, 403),
        ("?least=two", JSON | {"x-denied": "1"}, GOOD, 403),
        ("?least=2", JSON | {"x-denied": "1"}, b"{", 400),
        ("", JSON, GOOD, 400),
        ("?least=two", JSON, GOOD, 400),
        ("?least=two&limit=0", JSON, b"[]", 400),
        ("?least=2&limit=0", JSON, b'{"size": []}', 400),
        ("?least=2", JSON, b"", 400),
        ("?least=2", JSON, b"null", 400),
        ("?least=2", JSON, b'{"name": "a", "more": 1}', 400),
        ("?least=2", JSON, b'{"name": NaN}', 400),
        ("?least=2", JSON, b'{"name": "\xff"}', 400),
        ("?least=2", JSON, b"[" * 100_000, 400),
        ("?least=2", JSON, b'{"size": ' + b"1" * 5_000 + b"}", 400),
        ("?least=2", {"content-type": "text/plain"}, GOOD, 400),
        ("?least=2", {"content-type": "json"}, GOOD, 400),
        ("?least=2", {}, GOOD, 400),
    ],
)
def test_it_is_asked_as_fastapi_would(
    ask: Callable[..., list[object]],
    query: str,
    headers: dict[str, str],
    body: bytes,
    status: int,
) -> None:
    answer = ask("POST", f"/things/here{query}", headers=headers, content=body)

    assert answer[0] == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/own/7", 202), ("GET", "/own/x", 400), ("DELETE", "/nothing", 204)],
)
def test_it_answers_as_fastapi_would(
    ask: Callable[..., list[object]], method: str, path: str, status: int
) -> None:
    assert ask(method, path)[0] == status


def test_what_several_depend_on_is_called_once(ask: Callable[..., list[object]]) -> None:
    headers = [*JSON.items(), ("x-count", "1"), ("x-count", "2")]
    answer = ask("POST", "/things/here?least=3", headers=headers, content=GOOD)

    assert answer[3] == ["guarded", "counted", "refined", "here 2 5 5 None name='a' size=1"]


def _of_another_shape() -> Thing:
    return {"name": 1}  # type: ignore[return-value]  # what it is about


def _at_an_end() -> Thing:
    return next(iter(()))


@pytest.mark.parametrize("broken", [_of_another_shape, _at_an_end])
def test_what_is_no_answer_is_told_as_a_fault(broken: Callable[[], Thing]) -> None:
    app = FastAPI()
    answer_with_problems(app)
    app.router.routes.append(Route("/thing", broken))
    with Door(app, fails=True) as door:
        assert door.get("/thing").status_code == 500


def _waiting() -> int:
    return 1


async def _taking(thing: Thing) -> Thing:
    return thing


async def _with_a_thread(_count: Annotated[int, Depends(_waiting)]) -> None: ...
async def _with_a_cookie(_one: Annotated[str, Cookie()]) -> None: ...
async def _with_tasks(_tasks: BackgroundTasks) -> None: ...
async def _with_two_bodies(one: Thing, other: Thing) -> None: ...
async def _with_a_body_below(_thing: Annotated[Thing, Depends(_taking)]) -> None: ...
async def _with_many_of_a_name(_names: Annotated[list[str], Query()]) -> None: ...


@pytest.mark.parametrize(
    "endpoint",
    [
        *(_with_a_thread, _with_a_cookie, _with_tasks, _with_two_bodies),
        *(_with_a_body_below, _with_many_of_a_name),
    ],
)
def test_a_signature_that_needs_more_does_not_start(endpoint: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match=r"expected (a coroutine|the route)|asks for more|2 bodies"):
        Route("/thing", endpoint)
