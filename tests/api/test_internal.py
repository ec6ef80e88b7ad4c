import asyncio
from ipaddress import IPv6Address

import httpx2
import pytest

from tests.api.asking import refusal
from wgctl.api.internal import HOST, PORT, internal_app
from wgctl.core.schema import SelfReply

_PEER = IPv6Address("fdaa:0:1:10::2")
_SERVER = "fdaa:0:1::3"
_HEADERS = {"host": HOST, "wgctl-request": "1"}
_REPLY = SelfReply(org="acme", network="default", peer="laptop", address=_PEER)


def _ask(
    path: str = "/v1/self",
    *,
    client: str = str(_PEER),
    server: str = _SERVER,
    headers: dict[str, str] = _HEADERS,
    method: str = "GET",
) -> httpx2.Response:
    """Ask as `client`, to the address `server`: both are what the kernel says of a connection."""
    app = internal_app(lambda address: _REPLY if address == _PEER else None)
    transport = httpx2.ASGITransport(app=app, client=(client, 40_000))

    async def ask() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=transport) as asking:
            return await asking.request(method, f"http://[{server}]:{PORT}{path}", headers=headers)

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
