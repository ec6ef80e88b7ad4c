import pytest

from tests.api.asking import Door, refusal
from tests.store.samples import key


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/orgs"),
        ("POST", "/v1/orgs"),
        ("GET", "/v1/orgs/acme"),
        ("DELETE", "/v1/orgs/acme"),
        ("GET", "/v1/orgs/acme/networks"),
        ("GET", "/v1/orgs/acme/peers"),
        ("POST", "/v1/orgs/acme/peers"),
        ("GET", "/v1/orgs/acme/apps"),
        ("GET", "/v1/orgs/acme/machines"),
        ("GET", "/v1/gateways/ams-16"),
        ("GET", "/v1/status"),
        ("GET", "/v1/self"),
    ],
)
def test_a_role_does_not_reach_what_is_the_operators(nodes: Door, method: str, path: str) -> None:
    """The process that parses strangers' packets must not manage anything."""
    refusal(nodes.request(method, path), 404, "not-found")


def test_a_role_cannot_list_gateways(nodes: Door) -> None:
    refusal(nodes.get("/v1/gateways"), 405, "method-not-allowed")


def test_a_role_registers_and_reports(nodes: Door) -> None:
    gateway = {
        "region": "fra",
        "endpoint": "203.0.113.9:51820",
        "public_key": str(key(5)),
        "mtu_bytes": 1420,
        "forwards": False,
    }
    report = {"role": "resolver", "revision": 1, "started_at": 1}

    assert nodes.post("/v1/gateways", json=gateway).json()["name"] == "fra-17"
    assert nodes.post("/v1/reports", json=report).status_code == 204
