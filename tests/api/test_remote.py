import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request

from peers.names import Label
from tests.api.asking import Door, context_of, refusal
from tests.services.minting import mint
from tests.store import samples
from wgctl.api.caller import by_token
from wgctl.api.context import Context
from wgctl.api.document import describe
from wgctl.api.door import build
from wgctl.api.examples import NAMES, SHAPES
from wgctl.api.limits import MOST_BYTES
from wgctl.api.operators import ROUTERS
from wgctl.api.remote import remote_app
from wgctl.core.access import Asker, Caller, Extent, Scope
from wgctl.core.model import MemberRole, TokenKind
from wgctl.services import app as apps
from wgctl.services import machine as machines
from wgctl.services import member as members
from wgctl.services import network as networks
from wgctl.services import peer as peers
from wgctl.services.entry import caller_with
from wgctl.services.machine import NewMachine
from wgctl.store.store import Store


@pytest.fixture
def token(store: Store) -> dict[str, str]:
    return {"authorization": f"Bearer {mint(store, 'acme', 'laptop').render()}"}


def _door(context: Context) -> Door:
    return Door(remote_app(context, clock=lambda: 0.0))


def test_who_has_a_token_sees_their_org_and_no_other(
    context: Context, token: dict[str, str]
) -> None:
    with _door(context) as door:
        listed = door.request("GET", "/v1/orgs", headers=token)
        other = door.request("GET", "/v1/orgs/globex", headers=token)

    assert [org["slug"] for org in listed.json()["items"]] == ["acme"]
    refusal(other, 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/orgs"), ("GET", "/v1/nothing"), ("POST", "/v1/orgs")]
)
@pytest.mark.parametrize("body", [None, "[" * 100_000])
def test_nobody_is_told_what_there_is_and_nothing_of_theirs_is_read(
    context: Context, method: str, path: str, body: str | None
) -> None:
    with _door(context) as door:
        if body is None:
            response = door.request(method, path)
        else:
            response = door.send(path, body, "application/json")

    refusal(response, 401, "unidentified")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("uid", [0, None])
def test_nobody_is_an_operator_for_where_they_come_from(context: Context, uid: int | None) -> None:
    with Door(remote_app(context, clock=lambda: 0.0), uid=uid) as door:
        for headers in ({}, {"x-forwarded-for": "127.0.0.1"}, {"host": "localhost"}):
            response = door.request("GET", "/v1/orgs", headers=headers)
            refusal(response, 401, "unidentified")


@pytest.mark.parametrize("path", ["/v1/status", "/v1/store"])
def test_what_is_the_whole_deployments_is_not_a_tokens(
    context: Context, token: dict[str, str], path: str
) -> None:
    with _door(context) as door:
        refusal(door.request("GET", path, headers=token), 403, "denied")


def test_everybody_who_is_known_may_read_the_document(
    context: Context, token: dict[str, str]
) -> None:
    with _door(context) as door:
        assert door.request("GET", "/v1/openapi.json", headers=token).status_code == 200


def test_the_limits_hold_before_anybody_is_known(context: Context) -> None:
    with _door(context) as door:
        long = door.send("/v1/orgs", "x" * (MOST_BYTES + 1), "application/json")
        tried = [door.get("/v1/orgs").status_code for _ in range(45)]

    refusal(long, 413, "too-large")
    assert set(tried) == {401, 429}


# Every route x caller x org, as the document has routes and the table of access has scopes.


_KINDS: dict[str, dict[str, Any]] = {
    "admin": {"role": MemberRole.ADMIN},
    "member": {"role": MemberRole.MEMBER},
    "viewer": {"role": MemberRole.VIEWER},
    "of an operator": {},
    "read-only": {"kind": TokenKind.READ_ONLY},
    "network": {"kind": TokenKind.NETWORK, "networks": (Label("default"),)},
    "enrol": {"kind": TokenKind.ENROL, "uses": 1},
    "peer": {"kind": TokenKind.PEER, "peer": ("default", "alice-laptop")},
}

_HIDDEN = "hidden"
"""What is in names of the other org alone."""


def _furnish(store: Store, org: str, *more: str) -> None:
    """Give `org` a thing for each name in the examples' paths, and others by the names `more`."""
    numbers = itertools.count(1_000 if more else 1)
    for name in (NAMES["peer"], *more):
        new = samples.new_peer(next(numbers))
        peers.add(store, org, replace(new, name=Label(name)), now=samples.NOW)
    for name in (NAMES["app"], *more):
        apps.add(store, org, "default", Label(name), now=samples.NOW)
    for name in (NAMES["machine"], *more):
        one = NewMachine(
            network=Label("default"),
            app=Label(NAMES["app"]),
            peer=Label(NAMES["peer"]),
            name=Label(name),
            region=None,
            process_group=Label("app"),
            ports=(),
            metadata={},
        )
        machines.add(store, org, one, now=samples.NOW)
    for name in more:
        networks.add(store, org, Label(name), now=samples.NOW)
    for name in (NAMES["member"], *more):
        members.add(store, org, Label(name), MemberRole.MEMBER, networks=None, now=samples.NOW)
    for name in (NAMES["token"], *more):
        mint(store, org, name)


@dataclass
class Matrix:
    """A store with two furnished orgs, a token of the first for each kind of caller, the API."""

    template: Path
    tokens: dict[str, str]
    app: FastAPI
    document: Any

    def operations(self) -> list[tuple[str, str, Any]]:
        return [
            (method.upper(), path, operation)
            for path, methods in self.document["paths"].items()
            for method, operation in methods.items()
        ]

    @contextmanager
    def opened(self, folder: Path) -> Iterator[tuple[Store, Door]]:
        """Give a copy of the store, and the API over it."""
        for store in samples.opened(self.template, folder):
            self.app.state.context = context_of(store)
            with Door(self.app) as door:
                yield store, door


async def _identify(request: Request) -> Caller:
    """Identify as https does, by the store that the application has by now."""
    context: Context = request.app.state.context
    return await by_token(context.store, context.now)(request)


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    path = samples.furnish(tmp_path_factory.mktemp("matrix"))
    store = Store(path)
    _furnish(store, "acme")
    _furnish(store, "globex", f"{_HIDDEN}-1", f"{_HIDDEN}-2")
    tokens = {}
    for number, (title, asked) in enumerate(_KINDS.items()):
        rest = dict(asked)
        if (role := rest.pop("role", None)) is not None:
            rest["owner"] = f"owner-{number}"
            members.add(store, "acme", Label(rest["owner"]), role, networks=None, now=samples.NOW)
        tokens[title] = mint(store, "acme", f"token-{number}", **rest).render()
    app = build(Asker.BEARER, ROUTERS, identified=_identify, context=context_of(store))
    store.close()
    return Matrix(path, tokens, app, describe(app))


def _body(operation: Any) -> Any:
    """Return the example of what the operation takes, None if it takes nothing."""
    taken = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return None if taken is None else SHAPES[taken["schema"]["$ref"].rpartition("/")[2]]


def _ask(
    door: Door, method: str, path: str, operation: Any, *, org: str, token: str | None
) -> httpx2.Response:
    return door.request(
        method,
        path.format(**{**NAMES, "org": org}),
        json=_body(operation),
        headers={} if token is None else {"authorization": f"Bearer {token}"},
    )


def _names_anothers(path: str, operation: Any) -> bool:
    """Whether the request is about a thing that has an owner, who is none of the callers."""
    in_path = path.count("{") > path.count("{org}") + path.count("{network}")
    return in_path or "owner" in (_body(operation) or {})


def _is_of(response: httpx2.Response, extent: Extent | None, *, named: bool) -> bool:
    """Whether the answer is what `extent` gives, of a thing of another's if `named`."""
    if extent is None:
        return response.status_code == 403
    if extent is Extent.OWN and named:
        return response.status_code in {403, 404}
    return response.status_code < 500 and response.status_code not in {401, 403, 404}


@pytest.mark.parametrize("title", _KINDS)
def test_every_route_gives_what_the_table_says(matrix: Matrix, title: str, tmp_path: Path) -> None:
    token = matrix.tokens[title]
    wrong = []
    for number, (method, path, operation) in enumerate(matrix.operations()):
        folder = tmp_path / str(number)
        folder.mkdir()
        with matrix.opened(folder) as (store, door):
            caller = caller_with(store, token, origin="", now=samples.NOW)
            extent = caller.extent(Scope(operation["x-scope"]))
            own = _ask(door, method, path, operation, org="acme", token=token)
            named = _names_anothers(path, operation)
            if not _is_of(own, extent, named=named) or _HIDDEN in own.text:
                wrong.append((method, path, extent, own.status_code, own.text[:200]))

    assert wrong == []


@pytest.mark.parametrize("title", _KINDS)
def test_another_org_is_as_one_that_is_not_there(
    matrix: Matrix, title: str, tmp_path: Path
) -> None:
    token = matrix.tokens[title]
    wrong = []
    with matrix.opened(tmp_path) as (store, door):
        caller = caller_with(store, token, origin="", now=samples.NOW)
        for method, path, operation in matrix.operations():
            if "{org}" not in path:
                continue
            expected = 403 if caller.extent(Scope(operation["x-scope"])) is None else 404
            answers = [
                _ask(door, method, path, operation, org=org, token=token)
                for org in ("globex", "absent")
            ]
            told = {
                (one.status_code, one.text.replace(org, "ORG"))
                for one, org in zip(answers, ("globex", "absent"), strict=True)
            }
            if len(told) > 1 or answers[0].status_code != expected:
                wrong.append((method, path, expected, told))

    assert wrong == []


@pytest.mark.parametrize("token", [None, "wgctl_x", "x" * 5000, "\x7f"])
def test_nobody_is_told_anything_by_any_route(
    matrix: Matrix, token: str | None, tmp_path: Path
) -> None:
    with matrix.opened(tmp_path) as (_, door):
        answers = {
            (method, path): _ask(door, method, path, operation, org="acme", token=token)
            for method, path, operation in matrix.operations()
        }

    assert {answer.status_code for answer in answers.values()} == {401}
    assert len({answer.text for answer in answers.values()}) == 1


@pytest.mark.parametrize("title", ["admin", "member", "viewer", "read-only", "network"])
def test_a_list_filter_leads_to_no_other_org(matrix: Matrix, title: str, tmp_path: Path) -> None:
    token = {"authorization": f"Bearer {matrix.tokens[title]}"}
    filters = [
        (path, parameter["name"])
        for method, path, operation in matrix.operations()
        for parameter in operation.get("parameters", [])
        if (method, parameter["in"]) == ("GET", "query") and parameter["name"] in NAMES
    ]
    with matrix.opened(tmp_path) as (_, door):
        answers = {
            (path, name): door.request(
                "GET", path.format(**NAMES), params={name: f"{_HIDDEN}-1"}, headers=token
            ).status_code
            for path, name in filters
        }

    assert len(answers) >= 5
    assert answers == dict.fromkeys(answers, 404)
