import threading
from typing import Self

import pytest
from fastapi import APIRouter, FastAPI
from pydantic import ConfigDict, model_validator

from tests.api.asking import Door, refusal
from wgctl.api.door import build, needs, routes
from wgctl.core.access import Asker, Scope
from wgctl.core.shape import Shape


def _router(*scopes: Scope) -> APIRouter:
    router = APIRouter()

    @router.get("/thing", dependencies=[needs(scope) for scope in scopes])
    def thing() -> str:
        return "done"

    return router


@pytest.mark.parametrize("scopes", [(), (Scope.ORG_READ, Scope.ORG_WRITE)])
def test_a_route_without_one_scope_does_not_start(scopes: tuple[Scope, ...]) -> None:
    with pytest.raises(TypeError, match=f"declares {len(scopes)} scopes, expected one"):
        build(Asker.OPERATOR, [_router(*scopes)])


def test_what_is_mounted_or_included_beside_does_not_start() -> None:
    mounted, including = APIRouter(), APIRouter()
    mounted.mount("/more", FastAPI())
    including.include_router(_router(Scope.ORG_READ))

    for router in (mounted, including):
        with pytest.raises(TypeError, match="declares 0 scopes"):
            build(Asker.OPERATOR, [router])


@pytest.mark.parametrize("asker", [Asker.OPERATOR, Asker.NODE, Asker.PEER])
@pytest.mark.parametrize("scope", [Scope.ORG_READ, Scope.FEED_READ, Scope.SELF_READ])
def test_an_asker_without_the_scope_is_denied(asker: Asker, scope: Scope) -> None:
    """Even a route that was put into the wrong application answers nobody there."""
    doors = {Scope.ORG_READ: Asker.OPERATOR, Scope.FEED_READ: Asker.NODE}
    with Door(build(asker, [_router(scope)])) as client:
        response = client.get("/v1/thing")

    if doors.get(scope, Asker.PEER) is asker:
        assert (response.status_code, response.json()) == (200, "done")
    else:
        assert refusal(response, 403, "denied") == f"{asker} may not {scope}"


def test_what_may_wait_for_the_disk_does_not_hold_the_loop_and_takes_one_thread() -> None:
    router, seen = routes(), list[int]()

    class Told(Shape):
        """Notes where it was looked at on its way out."""

        model_config = ConfigDict(revalidate_instances="always")
        number: int

        @model_validator(mode="after")
        def _note(self) -> Self:
            seen.append(threading.get_ident())
            return self

    @router.get("/thing", dependencies=[needs(Scope.ORG_READ)])
    def thing() -> Told:
        return Told(number=1)

    with Door(build(Asker.OPERATOR, [router])) as client:
        response = client.get("/v1/thing")

    assert (response.json(), response.headers["content-type"]) == (
        {"number": 1},
        "application/json",
    )
    assert len(set(seen)) == 1
    assert threading.get_ident() not in seen


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc", "/openapi.json", "/v1/thing/", "/thing"])
def test_nothing_is_served_beside_the_routes(path: str) -> None:
    with Door(build(Asker.OPERATOR, [_router(Scope.ORG_READ)])) as client:
        refusal(client.get(path), 404, "not-found")


def test_what_routes_work_with_is_in_the_applications_state() -> None:
    app = build(Asker.PEER, [], identify="x")

    assert app.state.identify == "x"
