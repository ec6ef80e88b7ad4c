import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request

from peers.names import Label
from tests.api.asking import Door, refusal
from tests.patience import HANG_S
from tests.services.minting import mint
from tests.store.samples import NOW, add_peer, engine
from wgctl.api.caller import CallerOf, Identify, by_token
from wgctl.api.context import Context
from wgctl.api.document import describe
from wgctl.api.door import build, needs
from wgctl.api.examples import NAMES, SHAPES
from wgctl.api.operators import ROUTERS
from wgctl.core.access import ROLES, Asker, Caller, Extent, Scope
from wgctl.core.errors import Unavailable, Unidentified
from wgctl.core.model import MemberRole, TokenKind
from wgctl.services import app as apps
from wgctl.services import member as members
from wgctl.services import network as networks
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


class _Counted(ThreadPoolExecutor):
    """A thread that begins with nothing before `begin`, and how often it was given something."""

    def __init__(self) -> None:
        super().__init__(1)
        self._begun = threading.Event()
        super().submit(self._begun.wait, HANG_S)
        self.times = 0

    def begin(self) -> None:
        self._begun.set()

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        self.times += 1
        return super().submit(*args, **kwargs)


_ORIGINS = [f"192.0.2.{number}" for number in range(30)]


def _at_once(
    identify: Identify, text: str, *, leaves: int | None = None
) -> tuple[list[Caller | BaseException], int]:
    """Return what each of `_ORIGINS` gets, that come with `text` at once, and how many looks.

    The one at `leaves` goes during the first.
    """
    headers = [(b"authorization", f"Bearer {text}".encode())]
    scopes = [{"type": "http", "client": (at, 1), "headers": headers} for at in _ORIGINS]
    counted = _Counted()

    async def ask() -> list[Caller | BaseException]:
        asyncio.get_running_loop().set_default_executor(counted)
        asked = [asyncio.ensure_future(identify(Request(scope))) for scope in scopes]
        await _as_far_as_they_can()
        if leaves is not None:
            asked[leaves].cancel()
            await _as_far_as_they_can()
        counted.begin()
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(ask()), counted.times


async def _as_far_as_they_can() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("is_good", [True, False])
def test_a_token_is_looked_at_once_for_all_that_come_with_it_at_once(
    store: Store, *, is_good: bool
) -> None:
    text = mint(store, "acme", "cli").render() + ("" if is_good else "x")
    found, looks = _at_once(by_token(store, lambda: NOW), text)

    assert looks == 1
    if is_good:
        assert [one.origin for one in found if isinstance(one, Caller)] == _ORIGINS
    else:
        refusals = [one for one in found if isinstance(one, Unidentified)]
        assert [str(one) for one in refusals] == [NOT_VALID] * len(_ORIGINS)
        # Each is raised by itself: one that all shared would grow with each.
        assert len({id(one) for one in refusals}) == len(_ORIGINS)


def test_a_refusal_is_shared_by_who_waited_for_it_and_by_nobody_later(store: Store) -> None:
    text = mint(store, "acme", "cli").render()
    identify = by_token(store, lambda: NOW)
    with engine(store.path).begin() as connection:
        connection.exec_driver_sql("ALTER TABLE tokens RENAME TO away")
    away, _ = _at_once(identify, text)
    with engine(store.path).begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO tokens")
    back, looks = _at_once(identify, text)

    assert {type(one) for one in away} == {Unavailable}
    assert ({type(one) for one in back}, looks) == ({Caller}, 1)


@pytest.mark.parametrize("is_good", [True, False])
@pytest.mark.parametrize("leaves", [0, 1])
def test_who_leaves_during_a_look_takes_nobody_along(
    store: Store, *, leaves: int, is_good: bool
) -> None:
    """Whether it looked, or waited for who does."""
    text = mint(store, "acme", "cli").render() + ("" if is_good else "x")
    found, looks = _at_once(by_token(store, lambda: NOW), text, leaves=leaves)

    assert isinstance(found.pop(leaves), asyncio.CancelledError)
    assert {type(one) for one in found} == {Caller if is_good else Unidentified}
    assert looks == (2 if leaves == 0 else 1)


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


_ORGS = ("acme", "globex", "nowhere")


@pytest.fixture(scope="module")
def everything() -> FastAPI:
    """All routes, for who comes with a token."""

    async def identify(request: Request) -> Caller:
        return await by_token(request.app.state.context.store, lambda: NOW)(request)

    return build(Asker.BEARER, ROUTERS, identified=identify)


@pytest.fixture
def world(store: Store, context: Context, everything: FastAPI) -> Iterator[Door]:
    """All routes over a store where each example's name stands for something in both orgs."""
    add_peer(store, "acme", 1)
    for slug in ("acme", "globex"):
        members.add(store, slug, Label("bob"), MemberRole.ADMIN, networks=None, now=NOW)
        apps.add(store, slug, "default", Label("web"), now=NOW)
        mint(store, slug, "ci")
    everything.state.context = context
    with Door(everything) as door:
        yield door


def _operations(app: FastAPI) -> list[tuple[str, str, Scope, object]]:
    """Return method, path, scope and an example of the body of every operation."""
    found = []
    for path, methods in describe(app)["paths"].items():
        for method, told in methods.items():
            body = told.get("requestBody", {}).get("content", {}).get("application/json", {})
            name = body.get("schema", {}).get("$ref", "").rpartition("/")[2]
            found.append((method.upper(), path, Scope(told["x-scope"]), SHAPES.get(name)))
    return found


@pytest.mark.parametrize("role", MemberRole)
@pytest.mark.parametrize("slug", _ORGS)
def test_every_route_answers_each_role_as_the_table_says(
    world: Door, everything: FastAPI, store: Store, role: MemberRole, slug: str
) -> None:
    """By each name in the path, of the own org, another, and none."""
    members.add(store, "acme", Label("zoe"), role, networks=None, now=NOW)
    text = mint(store, "acme", "zoe-cli", owner="zoe", kind=TokenKind.ORG).render()
    names = {**NAMES, "org": slug, "member": "bob", "token": "ci"}
    operations = _operations(everything)
    assert len(operations) > 40
    for method, path, scope, body in operations:
        if method == "DELETE" and path.endswith("{member}"):
            continue  # It would take the only other admin; `test_member` has it.
        response = world.request(
            method,
            path.format(**names),
            json=body,
            headers=[("authorization", f"Bearer {text}")],
        )
        asked = (method, path, response.text)
        if ROLES[role].get(scope) is None:
            refusal(response, 403, "denied")
        elif "{org}" in path and slug != "acme":
            refusal(response, 404, "not-found")
        else:
            own_alone = ROLES[role][scope] is Extent.OWN
            assert response.status_code not in ({401} if own_alone else {401, 403}), asked
            assert response.status_code < 500, asked


def test_no_list_and_no_filter_tells_of_another_org(world: Door, store: Store) -> None:
    add_peer(store, "globex", 7)
    members.add(store, "acme", Label("zoe"), MemberRole.ADMIN, networks=None, now=NOW)
    headers = [("authorization", f"Bearer {mint(store, 'acme', 'z', owner='zoe').render()}")]
    for path in ("/v1/orgs", "/v1/orgs/acme/peers", "/v1/orgs/acme/members", "/v1/caller"):
        assert "globex" not in world.request("GET", path, headers=headers).text
        assert "peer-7" not in world.request("GET", path, headers=headers).text
    lab = {"network": "lab"}
    networks.add(store, "globex", Label("lab"), now=NOW)
    for noun in ("peers", "apps", "machines"):
        asked = world.request("GET", f"/v1/orgs/acme/{noun}", params=lab, headers=headers)
        refusal(asked, 404, "not-found")


@pytest.mark.parametrize("slug", _ORGS)
def test_nobody_learns_from_any_route_what_there_is(
    world: Door, everything: FastAPI, slug: str
) -> None:
    answers = set()
    for method, path, _, body in _operations(everything):
        response = world.request(method, path.format(**{**NAMES, "org": slug}), json=body)
        answers.add((response.status_code, response.text))

    assert len(answers) == 1
    assert next(iter(answers))[0] == 401
