from ipaddress import IPv6Address, IPv6Network

import pytest

from tests.api.asking import Door, refusal
from tests.store.samples import add_peer
from wgctl.store.store import Store

_NETWORKS = "/v1/orgs/acme/networks"


def test_a_network_is_added_shown_listed_and_removed(operators: Door, store: Store) -> None:
    added = operators.post(_NETWORKS, json={"name": "lab"})
    lab = added.json()

    assert added.status_code == 201
    assert lab.keys() == {"org", "name", "prefix", "resolver", "created_at"}
    assert (lab["org"], lab["name"]) == ("acme", "lab")
    assert IPv6Network(lab["prefix"]).subnet_of(store.pool)
    assert IPv6Address(lab["resolver"]) == IPv6Network(lab["prefix"])[3]
    assert operators.get(f"{_NETWORKS}/lab").json() == lab
    assert [item["name"] for item in operators.get(_NETWORKS).json()["items"]] == ["default", "lab"]
    assert operators.delete(f"{_NETWORKS}/lab").status_code == 204
    refusal(operators.get(f"{_NETWORKS}/lab"), 404, "not-found")


def test_a_taken_name_is_a_conflict(operators: Door) -> None:
    refusal(operators.post(_NETWORKS, json={"name": "default"}), 409, "conflict")


def test_a_network_with_peers_is_not_removed(operators: Door, store: Store) -> None:
    add_peer(store, "acme", 1)

    assert "1 peers" in refusal(operators.delete(f"{_NETWORKS}/default"), 409, "conflict")


@pytest.mark.parametrize("body", [{}, {"name": "vm"}, {"name": 5}, {"name": "a", "prefix": "x"}])
def test_a_malformed_network_is_refused(operators: Door, body: dict[str, object]) -> None:
    refusal(operators.post(_NETWORKS, json=body), 400, "invalid")


@pytest.mark.parametrize("path", ["/v1/orgs/none/networks", f"{_NETWORKS}/none"])
def test_what_is_not_there_is_not_found(operators: Door, path: str) -> None:
    refusal(operators.get(path), 404, "not-found")
    if path.endswith("networks"):
        refusal(operators.post(path, json={"name": "lab"}), 404, "not-found")
    else:
        refusal(operators.delete(path), 404, "not-found")
