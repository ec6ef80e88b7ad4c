import asyncio
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request

from tests.api.asking import Door, refusal
from tests.services.minting import mint
from tests.store.samples import NOW
from wgctl.api.caller import CallerOf, Identified, by_door, by_token
from wgctl.api.door import build, needs
from wgctl.core.access import Asker, Caller, Scope
from wgctl.core.errors import Unavailable, Unidentified
from wgctl.services.entry import NOT_VALID
from wgctl.store.store import Store

router = APIRouter()


@router.get("/thing", dependencies=[needs(Scope.ORG_READ)])
def thing(caller: CallerOf) -> list[str | None]:
    return [caller.asker, caller.origin, caller.doing]


@router.post("/thing", dependencies=[needs(Scope.ORG_WRITE)])
def change(body: dict[str, int]) -> int:
    return len(body)


async def _nobody(_request: Request) -> Caller:
    raise Unidentified("the token is not valid")


async def _busy(_request: Request) -> Caller:
    raise Unavailable("the store is away")


@pytest.mark.parametrize(("uid", "origin"), [(0, "uid 0"), (1000, "uid 1000"), (None, "")])
def test_the_door_is_the_proof(uid: int | None, origin: str) -> None:
    with Door(build(Asker.OPERATOR, [router]), uid=uid) as door:
        assert door.get("/v1/thing").json() == ["operator", origin, "org:read"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/thing"), ("GET", "/v1/nowhere"), ("PUT", "/v1/thing")]
)
def test_who_is_unknown_is_told_that_and_nothing_of_what_there_is(method: str, path: str) -> None:
    with Door(build(Asker.BEARER, [router], identified=_nobody)) as door:
        response = door.request(method, path)

    assert refusal(response, 401, "unidentified") == "the token is not valid"
    assert response.headers["www-authenticate"] == "Bearer"


def test_who_is_unknown_has_no_body_read() -> None:
    with Door(build(Asker.BEARER, [router], identified=_nobody)) as door:
        refusal(door.send("/v1/thing", b"{" * 100_000, "application/json"), 401, "unidentified")


def test_another_refusal_is_told_as_what_it_is() -> None:
    with Door(build(Asker.BEARER, [router], identified=_busy)) as door:
        refusal(door.get("/v1/thing"), 503, "unavailable")


def test_another_protocol_is_not_served() -> None:
    async def never(_scope: Any = None, _receive: Any = None, _send: Any = None) -> Any:
        raise AssertionError

    guard = Identified(never, identify=by_door(Asker.OPERATOR))
    with pytest.raises(Unidentified, match="websocket is not spoken here"):
        asyncio.run(guard({"type": "websocket"}, never, never))


def _bearers(store: Store) -> FastAPI:
    return build(Asker.BEARER, [router], identified=by_token(store, lambda: NOW))


def test_a_token_is_the_proof_for_who_comes_from_elsewhere(store: Store) -> None:
    text = mint(store, "acme", "cli").render()
    with Door(_bearers(store)) as door:
        for scheme in ("Bearer", "bearer"):
            response = door.request(
                "GET", "/v1/thing", headers=[("authorization", f"{scheme} {text}")]
            )
            assert response.json() == ["bearer", "127.0.0.1", "org:read"]


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer x", "Bearer {}x"]
)
def test_what_is_no_good_token_is_refused_in_one_shape(store: Store, given: str) -> None:
    text = mint(store, "acme", "cli").render()
    with Door(_bearers(store)) as door:
        headers = [("authorization", given.format(text))]
        response = door.request("GET", "/v1/thing", headers=headers)

    assert refusal(response, 401, "unidentified") == NOT_VALID


def test_two_tokens_are_none_and_a_header_of_a_proxy_says_nothing(store: Store) -> None:
    text = mint(store, "acme", "cli").render()
    with Door(_bearers(store)) as door:
        two = [("authorization", f"Bearer {text}")] * 2
        refusal(door.request("GET", "/v1/thing", headers=two), 401, "unidentified")
        forwarded = [*two[:1], ("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")]
        response = door.request("GET", "/v1/thing", headers=forwarded)

    assert response.json()[1] == "127.0.0.1"
