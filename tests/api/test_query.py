import pytest

from tests.api.asking import Door, refusal
from tests.store.samples import add_peer
from wgctl.store.store import Store


def test_a_misspelt_parameter_is_refused_and_nothing_done(operators: Door, store: Store) -> None:
    """A removal from network `ci` would else be one from the network `default`."""
    add_peer(store, "acme", 1)
    detail = refusal(operators.delete("/v1/orgs/acme/peers/peer-1?netwrok=ci"), 400, "invalid")

    assert detail == "unknown parameter 'netwrok', expected network"
    assert operators.get("/v1/orgs/acme/peers/peer-1").status_code == 200


def test_a_route_without_parameters_takes_none(operators: Door) -> None:
    detail = refusal(operators.get("/v1/status?verbose=1"), 400, "invalid")

    assert detail == "unknown parameter 'verbose', expected none"


def test_a_parameter_that_comes_twice_is_refused(operators: Door) -> None:
    detail = refusal(operators.get("/v1/orgs?limit=1&limit=2"), 400, "invalid")

    assert detail == "parameter 'limit' 2 times, expected once"


@pytest.mark.parametrize("name", ["\n", "\u00e9", "%00"])
def test_a_name_is_said_so_that_it_can_be_printed(operators: Door, name: str) -> None:
    refusal(operators.request("GET", "/v1/orgs", params={name: "x"}), 400, "invalid")
