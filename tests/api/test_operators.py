import pytest

from tests.api.asking import Door, refusal
from tests.store.samples import add_peer, key
from wgctl.store.store import Store

_ROUTES = [
    ("GET", "/v1/orgs"),
    ("GET", "/v1/orgs/acme"),
    ("GET", "/v1/orgs/acme/networks"),
    ("GET", "/v1/orgs/acme/networks/default"),
    ("GET", "/v1/orgs/acme/peers"),
    ("GET", "/v1/orgs/acme/peers/peer-1"),
    ("GET", "/v1/orgs/acme/apps"),
    ("GET", "/v1/orgs/acme/machines"),
    ("GET", "/v1/gateways"),
    ("GET", "/v1/gateways/ams-16"),
    ("GET", "/v1/status"),
]


@pytest.mark.parametrize(("method", "path"), _ROUTES)
def test_operators_reach_every_noun(operators: Door, store: Store, method: str, path: str) -> None:
    add_peer(store, "acme", 1)

    assert operators.request(method, path).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/feed"), ("POST", "/v1/reports"), ("GET", "/v1/self")]
)
def test_what_is_a_roles_or_a_peers_is_not_here(operators: Door, method: str, path: str) -> None:
    refusal(operators.request(method, path), 404, "not-found")


def test_a_gateway_cannot_be_registered_here(operators: Door) -> None:
    refusal(operators.post("/v1/gateways", json={}), 405, "method-not-allowed")


def test_no_answer_holds_a_private_key(operators: Door, store: Store) -> None:
    """Law 1: the controller never has one."""
    add_peer(store, "acme", 1)
    body = {"name": "laptop", "public_key": str(key(2))}
    enrolled = operators.post("/v1/orgs/acme/peers", json=body)
    answers = [enrolled, *(operators.request(method, path) for method, path in _ROUTES)]

    assert enrolled.status_code == 201
    assert not any('"private' in answer.text for answer in answers)


def test_a_private_key_that_is_sent_is_refused_and_not_said_again(operators: Door) -> None:
    secret = str(key(77))
    body = {"name": "laptop", "public_key": str(key(2)), "private_key": secret}
    detail = refusal(operators.post("/v1/orgs/acme/peers", json=body), 400, "invalid")

    assert "private_key" in detail
    assert secret not in detail
