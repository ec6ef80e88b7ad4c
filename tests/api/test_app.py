import pytest

from tests.api.asking import Door, refusal
from tests.store.samples import add_peer
from wgctl.store.store import Store

_APPS = "/v1/orgs/acme/apps"


def test_an_app_is_added_shown_listed_and_removed(operators: Door) -> None:
    added = operators.post(_APPS, json={"name": "web"})
    expected = {
        "name": "web",
        "org": "acme",
        "network": "default",
        "machines": 0,
        "started": 0,
        "service_address": None,
        "created_at": "2027-01-15T08:00:00Z",
    }

    assert (added.status_code, added.json()) == (201, expected)
    assert operators.get(f"{_APPS}/web").json() == expected
    assert operators.get(_APPS).json() == {"items": [expected], "next": None}
    assert operators.delete(f"{_APPS}/web").status_code == 204
    refusal(operators.get(f"{_APPS}/web"), 404, "not-found")


def test_an_app_is_given_a_service_address_and_loses_it(operators: Door) -> None:
    added = operators.post(_APPS, json={"name": "web", "flycast": True}).json()
    given = operators.patch(f"{_APPS}/web", json={"flycast": True})
    taken = operators.patch(f"{_APPS}/web", json={"flycast": False})

    assert added["service_address"].endswith(":1::2")
    assert (given.status_code, given.json()) == (200, added)
    assert taken.json()["service_address"] is None
    refusal(operators.patch(f"{_APPS}/web", json={}), 400, "invalid")
    refusal(operators.patch(f"{_APPS}/none", json={"flycast": True}), 404, "not-found")


def test_an_app_counts_its_machines(operators: Door, store: Store) -> None:
    add_peer(store, "acme", 1)
    operators.post(_APPS, json={"name": "web"})
    for name in ("one", "two"):
        body = {"app": "web", "peer": "peer-1", "name": name}
        operators.post("/v1/orgs/acme/machines", json=body)
    operators.patch("/v1/orgs/acme/machines/one", json={"state": "stopped"})
    shown = operators.get(f"{_APPS}/web").json()

    assert (shown["machines"], shown["started"]) == (2, 1)


def test_a_taken_name_is_a_conflict_in_its_network_alone(operators: Door) -> None:
    operators.post("/v1/orgs/acme/networks", json={"name": "lab"})
    operators.post(_APPS, json={"name": "web"})
    refusal(operators.post(_APPS, json={"name": "web"}), 409, "conflict")
    other = operators.post(_APPS, json={"name": "web", "network": "lab"})

    assert other.status_code == 201
    found = operators.get(_APPS, params={"network": "lab"}).json()["items"]
    assert [(app["name"], app["network"]) for app in found] == [("web", "lab")]


@pytest.mark.parametrize(
    "body", [{}, {"name": "internal"}, {"name": "a.b"}, {"name": "web", "colour": 1}]
)
def test_a_malformed_app_is_refused(operators: Door, body: dict[str, object]) -> None:
    refusal(operators.post(_APPS, json=body), 400, "invalid")


def test_what_is_not_there_is_not_found(operators: Door) -> None:
    refusal(operators.post(_APPS, json={"name": "web", "network": "none"}), 404, "not-found")
    refusal(operators.get(_APPS, params={"network": "none"}), 404, "not-found")
    refusal(operators.get("/v1/orgs/none/apps"), 404, "not-found")
    refusal(operators.get(f"{_APPS}/none"), 404, "not-found")
    refusal(operators.delete(f"{_APPS}/none"), 404, "not-found")
