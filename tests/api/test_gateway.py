import pytest

from tests.api.asking import Door, refusal
from tests.store.samples import NOW, key
from wgctl.api.context import Context
from wgctl.core.model import Role
from wgctl.services.observe import RoleFacts

_FRA = {
    "region": "fra",
    "endpoint": "vpn.example.com:51820",
    "public_key": str(key(5)),
    "mtu_bytes": 1380,
    "forwards": True,
}


def test_a_registered_gateway_is_shown_and_listed(nodes: Door, operators: Door) -> None:
    registered = nodes.post("/v1/gateways", json=_FRA)
    expected = _FRA | {
        "name": "fra-17",
        "number": 17,
        "created_at": "2027-01-15T08:00:00Z",
        "reported_at": None,
    }

    assert (registered.status_code, registered.json()) == (200, expected)
    assert operators.get("/v1/gateways/fra-17").json() == expected
    assert [found["name"] for found in operators.get("/v1/gateways").json()["items"]] == [
        "ams-16",
        "fra-17",
    ]


def test_a_gateway_that_registers_again_refreshes_its_record(nodes: Door) -> None:
    first = nodes.post("/v1/gateways", json=_FRA).json()
    second = nodes.post("/v1/gateways", json=_FRA | {"endpoint": "[2001:db8::1]:4500"})

    assert second.json() == first | {"endpoint": "[2001:db8::1]:4500"}


def test_the_last_report_is_shown(operators: Door, context: Context) -> None:
    facts = RoleFacts(role=Role.GATEWAY, revision=1, started_at=NOW, reported_at=NOW + 5)
    context.observations.note(facts, [])

    assert operators.get("/v1/gateways/ams-16").json()["reported_at"] == "2027-01-15T08:00:05Z"


@pytest.mark.parametrize(
    "change",
    [
        {"region": "Fra"},
        {"endpoint": "vpn.example.com"},
        {"public_key": "x"},
        {"mtu_bytes": 100},
        {"forwards": "yes"},
        {"number": 20},
    ],
)
def test_a_malformed_registration_is_refused(
    nodes: Door, operators: Door, change: dict[str, object]
) -> None:
    (place,) = change
    detail = refusal(nodes.post("/v1/gateways", json=_FRA | change), 400, "invalid")

    assert detail.startswith(f"{place}: ")
    assert len(operators.get("/v1/gateways").json()["items"]) == 1


def test_a_missing_gateway_is_not_found(operators: Door) -> None:
    refusal(operators.get("/v1/gateways/none"), 404, "not-found")
