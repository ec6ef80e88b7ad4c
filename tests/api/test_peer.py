from ipaddress import IPv6Network

import pytest

from peers.keys import PublicKey
from tests.api.asking import Door, refusal, walked
from tests.store.samples import NOW, add_peer, key, register, sealed_to
from wgctl.api.context import Context
from wgctl.core.model import Observation, Role
from wgctl.services.observe import RoleFacts
from wgctl.store.store import Store

_PEERS = "/v1/orgs/acme/peers"
_LAPTOP = {"name": "laptop", "public_key": str(key(1))}


def test_a_peer_is_added_with_all_that_its_tunnel_needs(operators: Door) -> None:
    response = operators.post(_PEERS, json=_LAPTOP | {"expires_in_s": 60})
    peer, tunnel = response.json()["peer"], response.json()["tunnel"]
    network = operators.get("/v1/orgs/acme/networks/default").json()
    gateway = operators.get("/v1/gateways/ams-16").json()

    assert response.status_code == 201
    assert tunnel == {
        "address": str(IPv6Network(network["prefix"])[(16 << 64) + 2]),
        "prefix": network["prefix"],
        "resolver": network["resolver"],
        "gateway_key": gateway["public_key"],
        "endpoint": gateway["endpoint"],
        "mtu_bytes": 1420,
    }
    assert peer == {
        "name": "laptop",
        "org": "acme",
        "network": "default",
        "owner": "operator",
        "public_key": str(key(1)),
        "address": tunnel["address"],
        "gateway": "ams-16",
        "created_at": "2027-01-15T08:00:00Z",
        "expires_at": "2027-01-15T08:01:00Z",
        "ephemeral": False,
        "tags": [],
        "online": False,
        "last_handshake": None,
        "received_bytes": 0,
        "sent_bytes": 0,
        "endpoint": None,
        "preshared_key": False,
    }


def test_a_peer_that_is_to_leave_says_so(operators: Door) -> None:
    operators.post(_PEERS, json=_LAPTOP | {"expires_in_s": 60, "ephemeral": True})

    assert operators.get(f"{_PEERS}/laptop").json()["ephemeral"] is True


def test_tags_are_shown_and_lists_are_of_one(operators: Door) -> None:
    operators.post(_PEERS, json=_LAPTOP | {"tags": ["prod", "ci", "ci"]})
    operators.post(_PEERS, json={"name": "other", "public_key": str(key(2))})
    listed = {
        tag: [peer["name"] for peer in operators.get(f"{_PEERS}?tag={tag}").json()["items"]]
        for tag in ("ci", "prod", "c", "none")
    }

    assert operators.get(f"{_PEERS}/laptop").json()["tags"] == ["ci", "prod"]
    assert listed == {"ci": ["laptop"], "prod": ["laptop"], "c": [], "none": []}


def test_the_same_request_again_is_200_and_the_same_peer(operators: Door) -> None:
    first, second = (operators.post(_PEERS, json=_LAPTOP) for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert len(operators.get(_PEERS).json()["items"]) == 1


@pytest.mark.parametrize(
    ("change", "status", "name", "said"),
    [
        ({"public_key": str(key(2))}, 409, "conflict", "wgctl peer rekey"),
        ({"name": "other"}, 400, "invalid", "already in use"),
        ({"name": "other", "public_key": "A" * 43 + "="}, 400, "invalid", "low order"),
        ({"name": "other", "public_key": "AAAA"}, 400, "invalid", "3 bytes, expected 32"),
        ({"name": "x", "public_key": str(key(2)), "network": "none"}, 404, "not-found", "'none'"),
        (
            {"name": "other", "public_key": str(key(2)), "needs_forwarding": True},
            *(400, "invalid", "no upstreams"),
        ),
        ({"name": "a\n[Peer]", "public_key": str(key(2))}, 400, "invalid", "name: "),
        ({"owner": "root"}, 404, "not-found", "no member 'root'"),
        ({"org_id": 2}, 400, "invalid", "org_id: Extra inputs"),
        ({"name": "x", "ephemeral": True}, 400, "invalid", "expected expires_in_s too"),
        ({"ephemeral": "yes", "expires_in_s": 1}, 400, "invalid", "ephemeral: "),
        ({"tags": ['a"b']}, 400, "invalid", "tags.0: "),
        ({"expires_in_s": -1}, 400, "invalid", "expires_in_s: "),
        ({"expires_in_s": 10**30}, 400, "invalid", "expires_in_s: "),
    ],
)
def test_a_refused_peer_is_told_why_and_nothing_is_added(
    operators: Door, change: dict[str, object], status: int, name: str, said: str
) -> None:
    operators.post(_PEERS, json=_LAPTOP)
    before = operators.get(_PEERS).json()
    detail = refusal(operators.post(_PEERS, json=_LAPTOP | change), status, name)

    assert said in detail
    assert operators.get(_PEERS).json() == before


def test_full_dns_is_given_where_a_gateway_forwards(operators: Door, store: Store) -> None:
    register(store, forwards=True)
    response = operators.post(_PEERS, json=_LAPTOP | {"needs_forwarding": True})

    assert response.status_code == 201


def test_what_the_gateway_saw_is_shown(operators: Door, store: Store, context: Context) -> None:
    peer = add_peer(store, "acme", 1).peer
    facts = RoleFacts(role=Role.GATEWAY, revision=1, started_at=NOW, reported_at=NOW)
    seen = Observation(peer.id, "[2001:db8::1]:5", NOW - 9, received_bytes=7, sent_bytes=8)
    context.observations.note(facts, [seen])
    shown = operators.get(f"{_PEERS}/peer-1").json()

    assert shown["online"] is True
    assert shown["last_handshake"] == "2027-01-15T07:59:51Z"
    assert (shown["received_bytes"], shown["sent_bytes"]) == (7, 8)
    assert shown["endpoint"] == "[2001:db8::1]:5"
    assert operators.get(_PEERS).json()["items"] == [shown]


def test_a_rekeyed_peer_keeps_its_address(operators: Door) -> None:
    before = operators.post(_PEERS, json=_LAPTOP).json()
    after = operators.put(f"{_PEERS}/laptop/key", json={"public_key": str(key(9))})

    assert after.status_code == 200
    assert after.json()["tunnel"] == before["tunnel"]
    assert after.json()["peer"] == before["peer"] | {"public_key": str(key(9))}


def _sealed(number: int, gateway: str) -> dict[str, str]:
    sealed = sealed_to(PublicKey.parse(gateway), number)
    return {"gateway_key": gateway, "sealed": str(sealed.sealed)}


def test_a_preshared_key_goes_to_the_gateway_alone_and_comes_back_to_nobody(
    operators: Door,
) -> None:
    offered = operators.get("/v1/orgs/acme/networks/default/gateway").json()
    sealed = _sealed(1, offered["public_key"])

    added = operators.post(_PEERS, json=_LAPTOP | {"preshared_key": sealed})

    assert added.status_code == 201
    assert offered == operators.get("/v1/gateways/ams-16").json()
    assert offered == operators.get(f"{_PEERS}/laptop/gateway").json()
    for path in (_PEERS, f"{_PEERS}/laptop"):
        assert sealed["sealed"] not in operators.get(path).text
    assert sealed["sealed"] not in added.text


def test_a_preshared_key_for_another_gateway_is_a_conflict(operators: Door) -> None:
    operators.post(_PEERS, json=_LAPTOP)
    stale = {"preshared_key": _sealed(2, str(key(77)))}

    added = operators.post(_PEERS, json={"name": "x", "public_key": str(key(2))} | stale)
    rekeyed = operators.put(f"{_PEERS}/laptop/key", json={"public_key": str(key(2))} | stale)

    refusal(added, 409, "conflict")
    refusal(rekeyed, 409, "conflict")


@pytest.mark.parametrize(
    "bad",
    [
        {"gateway_key": str(key(77)), "sealed": "AAAA"},
        {"gateway_key": "AAAA", "sealed": "A" * 107 + "="},
        {"gateway_key": str(key(77))},
        {"gateway_key": str(key(77)), "sealed": "A" * 107 + "=", "key": "x"},
        "A" * 43 + "=",
    ],
)
def test_what_is_no_sealed_key_is_refused(operators: Door, bad: object) -> None:
    refusal(operators.post(_PEERS, json=_LAPTOP | {"preshared_key": bad}), 400, "invalid")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/orgs/acme/networks/none/gateway", 404),
        ("/v1/orgs/none/networks/default/gateway", 404),
        (f"{_PEERS}/nobody/gateway", 404),
        ("/v1/orgs/acme/networks/default/gateway?needs_forwarding=true", 400),
    ],
)
def test_a_gateway_is_offered_only_where_a_peer_could_be(
    operators: Door, path: str, status: int
) -> None:
    refusal(operators.get(path), status, {404: "not-found", 400: "invalid"}[status])


@pytest.mark.parametrize(
    ("path", "body", "status", "name"),
    [
        ("none/key", {"public_key": str(key(9))}, 404, "not-found"),
        ("laptop/key", {"public_key": str(key(2))}, 400, "invalid"),
        ("laptop/key", {"public_key": "x"}, 400, "invalid"),
        ("laptop/key", {}, 400, "invalid"),
        ("laptop/key", {"public_key": str(key(9)), "name": "x"}, 400, "invalid"),
        ("laptop/key", {"public_key": str(key(9)), "needs_forwarding": True}, 400, "invalid"),
        ("laptop/key?network=none", {"public_key": str(key(9))}, 404, "not-found"),
    ],
)
def test_a_refused_key_leaves_the_old_one(
    operators: Door, path: str, body: dict[str, object], status: int, name: str
) -> None:
    operators.post(_PEERS, json=_LAPTOP)
    operators.post(_PEERS, json={"name": "other", "public_key": str(key(2))})
    refusal(operators.put(f"{_PEERS}/{path}", json=body), status, name)

    assert operators.get(f"{_PEERS}/laptop").json()["public_key"] == str(key(1))


def test_a_removed_peer_is_gone(operators: Door) -> None:
    operators.post(_PEERS, json=_LAPTOP)

    assert operators.delete(f"{_PEERS}/laptop").status_code == 204
    refusal(operators.delete(f"{_PEERS}/laptop"), 404, "not-found")
    refusal(operators.get(f"{_PEERS}/laptop"), 404, "not-found")


def test_a_peer_of_another_org_or_network_is_not_found(operators: Door) -> None:
    operators.post(_PEERS, json=_LAPTOP)
    operators.post("/v1/orgs/acme/networks", json={"name": "lab"})

    for path in ("/v1/orgs/globex/peers/laptop", f"{_PEERS}/laptop?network=lab"):
        refusal(operators.get(path), 404, "not-found")
        refusal(operators.delete(path), 404, "not-found")


@pytest.mark.parametrize("limit", [1, 3, 4, 100])
def test_pages_of_peers_hold_each_once(operators: Door, store: Store, limit: int) -> None:
    operators.post("/v1/orgs/acme/networks", json={"name": "lab"})
    for number in range(4):
        add_peer(store, "acme", number)
        body = {"name": f"peer-{number}", "network": "lab", "public_key": str(key(50 + number))}
        operators.post(_PEERS, json=body)
    keys = [peer["public_key"] for peer in walked(operators, _PEERS, limit=limit)]

    assert len(keys) == 8
    assert set(keys) == {str(key(number)) for number in (0, 1, 2, 3, 50, 51, 52, 53)}


def test_a_list_of_one_network_has_its_peers_alone(operators: Door, store: Store) -> None:
    operators.post("/v1/orgs/acme/networks", json={"name": "lab"})
    add_peer(store, "acme", 1)
    add_peer(store, "acme", 2, network="lab")
    found = operators.get(_PEERS, params={"network": "lab"}).json()["items"]

    assert [peer["name"] for peer in found] == ["peer-2"]
    refusal(operators.get(_PEERS, params={"network": "none"}), 404, "not-found")


@pytest.mark.parametrize("cursor", ["x", "x.y", "x.99999999999999999999"])
def test_a_cursor_of_nobody_is_refused(operators: Door, cursor: str) -> None:
    refusal(operators.get(_PEERS, params={"cursor": cursor}), 400, "invalid")
