import pytest

from tests.api.asking import Door, refusal
from tests.store.samples import NOW, add_peer
from wgctl.api.context import Context
from wgctl.core.model import LeaseSight
from wgctl.store.store import Store

_HOLDER = "0123456789abcdef" * 2


@pytest.fixture
def said(operators: Door, store: Store) -> dict[str, object]:
    """What the peer `peer-1` of `acme` announces, relayed."""
    address = add_peer(store, "acme", 1).peer.address
    operators.post("/v1/orgs/acme/apps", json={"name": "web"})
    new = {"app": "web", "name": "one", "holder": _HOLDER, "ttl_s": 20}
    asker = {"org": "acme", "network": "default", "peer": "peer-1", "address": str(address)}
    return {**asker, "machine": new}


def test_an_announced_machine_is_shown_with_its_lease(
    nodes: Door, operators: Door, said: dict[str, object]
) -> None:
    announced = nodes.post("/v1/announcements", json=said)
    (unheard,) = operators.get("/v1/orgs/acme/machines").json()["items"]
    id_ = announced.json()["machine_id"]
    report = {"leases": [{"machine_id": id_, "left_s": 12.7, "healthy": False}]}

    assert (announced.status_code, announced.json()["machine"]) == (200, unheard)
    assert unheard["lease"] == {"ttl_s": 20, "ends_at": None, "healthy": None}
    assert nodes.post("/v1/leases", json=report).status_code == 204
    assert operators.get("/v1/orgs/acme/machines/one").json()["lease"] == {
        "ttl_s": 20,
        "ends_at": "2027-01-15T08:00:12Z",
        "healthy": False,
    }


def test_a_report_removes_what_has_ended_and_is_all_that_is_known(
    nodes: Door, operators: Door, said: dict[str, object], context: Context
) -> None:
    id_ = nodes.post("/v1/announcements", json=said).json()["machine_id"]
    report = {
        "leases": [{"machine_id": id_, "left_s": 0, "healthy": True}],
        "ended": [{"org": "acme", "machine_id": id_}],
    }
    assert nodes.post("/v1/leases", json=report).status_code == 204

    refusal(operators.get("/v1/orgs/acme/machines/one"), 404, "not-found")
    assert context.observations.lease_of(id_) == LeaseSight(NOW, healthy=True)
    nodes.post("/v1/leases", json={})
    assert context.observations.lease_of(id_) is None


def test_a_report_of_nothing_that_ended_waits_for_nobody_who_changes_the_store(
    nodes: Door, store: Store
) -> None:
    with store.writing():
        reported = nodes.post("/v1/leases", json={})

    assert reported.status_code == 204


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"ttl_s": 9}, "machine.ttl_s"),
        ({"ttl_s": 3601}, "machine.ttl_s"),
        ({"ttl_s": "15"}, "machine.ttl_s"),
        ({"holder": "x"}, "machine.holder"),
        ({"name": None}, "machine.name"),
        ({"name": "vm"}, "machine.name"),
        ({"peer": "peer-2"}, "machine.peer"),
        ({"healthy": 1}, "machine.healthy"),
    ],
)
def test_a_malformed_announcement_is_refused(
    nodes: Door, said: dict[str, object], change: dict[str, object], place: str
) -> None:
    new = said["machine"]
    assert isinstance(new, dict)
    detail = refusal(
        nodes.post("/v1/announcements", json=said | {"machine": new | change}), 400, "invalid"
    )

    assert detail.startswith(f"{place}: ")
