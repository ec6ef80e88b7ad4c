import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv6Address

import httpx2
import pytest
from fastapi import FastAPI

from tests.api.asking import refusal
from wgctl.api.internal import HOST, PORT, Desk, internal_app
from wgctl.core.errors import Conflict, NotFound, Unavailable
from wgctl.core.lease_schema import NewLease
from wgctl.core.model import MachineState
from wgctl.core.schema import Lease, Machine, SelfReply

_PEER = IPv6Address("fdaa:0:1:10::2")
_ELSEWHERE = IPv6Address("fdaa:0:2:10::2")
_PEERS = {*(_PEER + number for number in range(3)), _ELSEWHERE}
_SERVER = "fdaa:0:1::3"
_HEADERS = {"host": HOST, "wgctl-request": "1", "content-type": "application/json"}
_NEW = json.dumps({"app": "web", "name": "one", "holder": "0" * 32})
_MACHINE = Machine(
    name="one",
    app="web",
    org="acme",
    network="default",
    peer="laptop",
    address=_PEER,
    region="ams",
    process_group="app",
    ports=[],
    metadata={},
    state=MachineState.STARTED,
    check=None,
    health=None,
    lease=Lease(ttl_s=15, ends_at=None, healthy=None),
    created_at=datetime.fromtimestamp(0, UTC),
)
_REPLY = SelfReply(org="acme", network="default", peer="laptop", address=_PEER)


@dataclass
class _Desk:
    """Notes what it is asked for, and refuses what it is told to."""

    said: list[tuple[object, ...]] = field(default_factory=list)
    refusal: Exception | None = None

    def note(self, *said: object) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.said.append(said)

    async def announce(self, asker: SelfReply, new: NewLease) -> Machine:
        self.note("announce", asker.peer, new.name, new.ttl_s)
        return _MACHINE

    @property
    def desk(self) -> Desk:
        return Desk(
            self.announce,
            lambda asker, name, renewal: self.note("renew", asker.peer, name, renewal.healthy),
            lambda asker, name, holder: self.note("withdraw", asker.peer, name, holder),
        )


def _app(desk: _Desk | None = None, *, clock: Callable[[], float] = lambda: 0.0) -> FastAPI:
    return internal_app(
        lambda address: _REPLY if address in _PEERS else None, (desk or _Desk()).desk, clock=clock
    )


def _ask(  # each is a fact of one request
    path: str = "/v1/self",
    *,
    client: str = str(_PEER),
    server: str = _SERVER,
    headers: dict[str, str] = _HEADERS,
    method: str = "GET",
    content: str | AsyncIterator[bytes] | None = None,
    app: FastAPI | None = None,
) -> httpx2.Response:
    """Ask as `client`, to the address `server`: both are what the kernel says of a connection."""
    transport = httpx2.ASGITransport(app=app or _app(), client=(client, 40_000))

    async def ask() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=transport) as asking:
            return await asking.request(
                method, f"http://[{server}]:{PORT}{path}", headers=headers, content=content
            )

    return asyncio.run(ask())


@pytest.mark.parametrize("host", ["_api.internal", "_api.internal:4280"])
def test_a_peer_is_told_who_it_is(host: str) -> None:
    response = _ask(headers=_HEADERS | {"host": host})

    assert (response.status_code, response.json()) == (
        200,
        {"org": "acme", "network": "default", "peer": "laptop", "address": str(_PEER)},
    )


@pytest.mark.parametrize(
    "host", ["evil.example", "_api.internal:80", "_api.internal.evil.example", f"[{_SERVER}]:4280"]
)
def test_a_rebound_name_is_denied(host: str) -> None:
    """A browser that was led here by DNS sends the name that its page came from."""
    response = _ask(headers=_HEADERS | {"host": host})

    assert "names another host" in refusal(response, 403, "denied")


@pytest.mark.parametrize("value", [None, "", "0", "1, 1", "true"])
def test_a_request_without_the_header_is_denied(value: str | None) -> None:
    """A page of another origin cannot send it without a preflight, which nothing answers."""
    headers = {"host": HOST} | ({} if value is None else {"wgctl-request": value})

    assert "Wgctl-Request: 1" in refusal(_ask(headers=headers), 403, "denied")


def test_a_preflight_is_not_answered() -> None:
    response = _ask(method="OPTIONS", headers={"host": HOST, "origin": "http://evil.example"})

    refusal(response, 405, "method-not-allowed")
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    ("client", "server"),
    [
        ("fdaa:0:1:10::9", _SERVER),
        (str(_PEER), "fdaa:0:2::3"),
        (str(_PEER), "fdaa:0:1::4"),
        ("::1", "::1"),
        ("fe80::1%eth0", _SERVER),
    ],
    ids=["a stranger", "another network's ::3", "another address", "this host", "link-local"],
)
def test_who_is_no_peer_of_the_network_that_was_asked_is_denied(client: str, server: str) -> None:
    detail = refusal(_ask(client=client, server=server), 403, "denied")

    assert detail == "the request comes from no peer of this network"


@pytest.mark.parametrize("path", ["/v1/orgs", "/v1/feed", "/v1/status", "/docs", "/"])
def test_nothing_else_is_here(path: str) -> None:
    refusal(_ask(path), 404, "not-found")


def test_a_peer_announces_renews_and_withdraws_in_its_own_name() -> None:
    desk = _Desk()
    app = _app(desk)
    lease = "/v1/machines/one/lease"
    announced = _ask("/v1/machines", method="POST", content=_NEW, app=app)
    renewed = _ask(lease, method="PUT", content=f'{{"holder": "{"0" * 32}"}}', app=app)
    ill = f'{{"holder": "{"0" * 32}", "healthy": false}}'

    assert (announced.status_code, announced.json()["name"]) == (201, "one")
    assert (renewed.status_code, renewed.content) == (204, b"")
    assert _ask(lease, method="PUT", content=ill, app=app).status_code == 204
    assert _ask(f"{lease}?holder=x", method="DELETE", app=app).status_code == 204
    assert desk.said == [
        ("announce", "laptop", "one", 15),
        ("renew", "laptop", "one", True),
        ("renew", "laptop", "one", False),
        ("withdraw", "laptop", "one", "x"),
    ]


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (NotFound("none"), 404, "not-found"),
        (Conflict("taken"), 409, "conflict"),
        (Unavailable("down"), 503, "unavailable"),
    ],
)
def test_what_the_desk_refuses_is_told(error: Exception, status: int, name: str) -> None:
    response = _ask("/v1/machines", method="POST", content=_NEW, app=_app(_Desk(refusal=error)))

    assert refusal(response, status, name) == str(error)


def test_a_stranger_announces_nothing() -> None:
    desk = _Desk()
    for headers, client in ((_HEADERS, "fdaa:0:1:10::9"), ({"host": HOST}, str(_PEER))):
        response = _ask(
            *("/v1/machines",), method="POST", content=_NEW, app=_app(desk),
            headers=headers, client=client,
        )  # fmt: skip
        refusal(response, 403, "denied")

    assert desk.said == []


def test_a_body_that_is_too_long_or_of_no_length_is_refused() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield _NEW.encode()

    desk = _Desk()
    bodies: list[tuple[str | AsyncIterator[bytes], int, str]] = [
        (_NEW + " " * 32_768, 413, "too-large"),
        (chunks(), 411, "length-required"),
    ]
    for content, status, name in bodies:
        response = _ask("/v1/machines", method="POST", content=content, app=_app(desk))
        refusal(response, status, name)

    assert desk.said == []


def test_the_longest_announcement_fits() -> None:
    word = "x" * 15
    ports = [
        {"name": f"{word[:13]}{number}", "number": 65535, "protocol": "udp"}
        for number in range(10, 74)
    ]
    facts = {f"{'k' * 61}{number}": "v" * 63 for number in range(10, 74)}
    new = json.loads(_NEW) | {"name": "n" * 63, "ports": ports, "metadata": facts}
    response = _ask("/v1/machines", method="POST", content=json.dumps(new, indent=2))

    assert response.status_code == 201


def test_a_peer_that_asks_too_often_waits_and_holds_up_nobody() -> None:
    """An announcement counts as much as eight other requests."""
    now = 0.0
    app = _app(clock=lambda: now)
    statuses = [
        _ask("/v1/machines", method="POST", content=_NEW, app=app).status_code for _ in range(76)
    ]

    assert statuses == [201] * 75 + [503]
    now = 1.0
    assert _ask(app=app).status_code == 200


def test_the_peers_of_a_network_announce_no_more_together_than_it_may() -> None:
    """Each is a commit of the controller, which other networks need too."""
    now = 0.0
    app = _app(clock=lambda: now)

    def announce(client: IPv6Address, server: str = _SERVER) -> int:
        path = "/v1/machines"
        response = _ask(
            path, method="POST", content=_NEW, client=str(client), server=server, app=app
        )
        return response.status_code

    statuses = [announce(_PEER + number) for number in range(3) for _ in range(51)]

    assert statuses == [201] * 150 + [503] * 3
    assert announce(_ELSEWHERE, "fdaa:0:2::3") == 201
    assert _ask(client=str(_PEER + 2), app=app).status_code == 200
    now = 1.0
    assert [announce(_PEER) for _ in range(6)] == [201] * 5 + [503]
