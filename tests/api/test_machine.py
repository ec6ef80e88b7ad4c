from collections.abc import Iterator

import pytest

from tests.api.asking import Door, refusal, walked
from tests.store.samples import NOW, add_peer
from wgctl.services import peer
from wgctl.store.store import Store

_MACHINES = "/v1/orgs/acme/machines"
_ONE = {"app": "web", "peer": "peer-1", "name": "one"}


@pytest.fixture(autouse=True)
def furnished(operators: Door, store: Store) -> Iterator[None]:
    """The app `web` and the peer `peer-1` of `acme`."""
    add_peer(store, "acme", 1)
    operators.post("/v1/orgs/acme/apps", json={"name": "web"})
    return iter(())


def test_a_machine_is_added_shown_listed_and_removed(operators: Door, store: Store) -> None:
    ports = [
        {"name": "http", "number": 8080, "protocol": "tcp"},
        {"name": "dns", "number": 53, "protocol": "udp"},
    ]
    asked = _ONE | {"region": "fra", "process_group": "worker", "ports": ports}
    added = operators.post(_MACHINES, json=asked | {"metadata": {"rack": "r1"}})
    expected = asked | {
        "org": "acme",
        "network": "default",
        "address": str(peer.shown(store, "acme", "default", "peer-1").peer.address),
        "metadata": {"rack": "r1"},
        "state": "started",
        "check": None,
        "health": None,
        "lease": None,
        "created_at": "2027-01-15T08:00:00Z",
    }

    assert (added.status_code, added.json()) == (201, expected)
    assert operators.get(f"{_MACHINES}/one").json() == expected | {"events": []}
    assert operators.get(_MACHINES).json() == {"items": [expected], "next": None}
    assert operators.delete(f"{_MACHINES}/one").status_code == 204
    refusal(operators.get(f"{_MACHINES}/one"), 404, "not-found")


def test_what_is_left_out_is_chosen(operators: Door) -> None:
    made = operators.post(_MACHINES, json={"app": "web", "peer": "peer-1"}).json()

    assert len(made["name"]) == 14
    assert (made["region"], made["process_group"]) == ("ams", "app")
    assert (made["ports"], made["metadata"]) == ([], {})


def test_a_machine_is_stopped_and_started(operators: Door) -> None:
    operators.post(_MACHINES, json=_ONE)

    for state in ("stopped", "started"):
        changed = operators.patch(f"{_MACHINES}/one", json={"state": state})
        assert (changed.status_code, changed.json()["state"]) == (200, state)
        assert operators.get(f"{_MACHINES}/one").json()["state"] == state


def test_a_taken_name_is_a_conflict(operators: Door) -> None:
    operators.post(_MACHINES, json=_ONE)

    refusal(operators.post(_MACHINES, json=_ONE), 409, "conflict")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"app": None}, "app"),
        ({"peer": "Peer-1"}, "peer"),
        ({"name": "vm"}, "name"),
        ({"ports": [{"name": "http", "number": 70000}]}, "ports.0.number"),
        ({"ports": [{"name": "http", "number": 1, "protocol": "icmp"}]}, "ports.0.protocol"),
        ({"ports": [{"name": "http", "number": "80"}]}, "ports.0.number"),
        ({"metadata": {"rack": "x\ny"}}, "metadata.rack"),
        ({"metadata": {"rack": 1}}, "metadata.rack"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_malformed_machine_is_refused(
    operators: Door, change: dict[str, object], place: str
) -> None:
    detail = refusal(operators.post(_MACHINES, json=_ONE | change), 400, "invalid")

    assert detail.startswith(f"{place}: ")


@pytest.mark.parametrize("body", [{}, {"state": "paused"}, {"state": "stopped", "name": "x"}])
def test_a_malformed_state_is_refused(operators: Door, body: dict[str, object]) -> None:
    operators.post(_MACHINES, json=_ONE)

    refusal(operators.patch(f"{_MACHINES}/one", json=body), 400, "invalid")


_CHECK = {"target": "http://web.internal:8080/health"}
_WHOLE_CHECK = {
    **_CHECK,
    "interval_s": 10,
    "timeout_s": 2,
    "grace_s": 30,
    "rise": 2,
    "fall": 3,
}


def test_a_check_is_put_on_replaced_and_taken_off(operators: Door) -> None:
    operators.post(_MACHINES, json=_ONE)
    put = operators.put(f"{_MACHINES}/one/check", json=_CHECK)
    again = operators.put(f"{_MACHINES}/one/check", json=_CHECK | {"rise": 1})
    off = operators.delete(f"{_MACHINES}/one/check")

    assert (put.status_code, put.json()["check"]) == (200, _WHOLE_CHECK)
    assert put.json()["health"] == "unknown"
    assert again.json()["check"] == _WHOLE_CHECK | {"rise": 1}
    assert (off.status_code, off.json()["check"], off.json()["health"]) == (200, None, None)


def test_what_probes_found_is_shown_while_the_machine_is_probed(
    operators: Door, nodes: Door
) -> None:
    operators.post(_MACHINES, json=_ONE)
    operators.put(f"{_MACHINES}/one/check", json=_CHECK)
    moved = {"at": NOW, "before": "unknown", "after": "unhealthy", "reason": "http 8080: 503"}
    health = {"machine_id": 1, "health": "unhealthy", "transitions": [moved]}
    report = {"role": "resolver", "revision": 1, "started_at": NOW, "health": [health]}
    assert nodes.post("/v1/reports", json=report).status_code == 204

    shown = operators.get(f"{_MACHINES}/one").json()
    (listed,) = operators.get(_MACHINES).json()["items"]
    operators.patch(f"{_MACHINES}/one", json={"state": "stopped"})
    stopped = operators.get(f"{_MACHINES}/one").json()

    assert shown["health"] == listed["health"] == "unhealthy"
    assert shown["events"] == stopped["events"] == [moved | {"at": "2027-01-15T08:00:00Z"}]
    assert stopped["health"] is None


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"target": None}, "target"),
        ({"target": "udp:53"}, "target"),
        ({"interval_s": 0}, "interval_s"),
        ({"interval_s": 1, "timeout_s": 2}, "a timeout of 2 s, expected at most the interval"),
        ({"timeout_s": 31, "interval_s": 60}, "timeout_s"),
        ({"fall": 11}, "fall"),
        ({"address": "192.0.2.1"}, "address"),
    ],
)
def test_a_malformed_check_is_refused(
    operators: Door, change: dict[str, object], place: str
) -> None:
    operators.post(_MACHINES, json=_ONE)
    refused = operators.put(f"{_MACHINES}/one/check", json=_CHECK | change)

    assert place in refusal(refused, 400, "invalid")


def test_what_is_not_there_is_not_found(operators: Door) -> None:
    for change in ({"app": "none"}, {"peer": "none"}, {"network": "none"}):
        refusal(operators.post(_MACHINES, json=_ONE | change), 404, "not-found")
    refusal(operators.get(_MACHINES, params={"app": "none"}), 404, "not-found")
    refusal(operators.get(f"{_MACHINES}/none"), 404, "not-found")
    refusal(operators.patch(f"{_MACHINES}/none", json={"state": "stopped"}), 404, "not-found")
    refusal(operators.delete(f"{_MACHINES}/none"), 404, "not-found")
    refusal(operators.put(f"{_MACHINES}/none/check", json=_CHECK), 404, "not-found")


def test_the_machines_of_an_app_without_any_network_are_not_found(operators: Door) -> None:
    operators.delete("/v1/orgs/globex/networks/default")

    refusal(operators.get("/v1/orgs/globex/machines?app=web"), 404, "not-found")


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_the_parts_of_a_list_hold_every_machine_and_app_once(
    operators: Door, store: Store, limit: int
) -> None:
    operators.post("/v1/orgs/acme/networks", json={"name": "lab"})
    operators.post("/v1/orgs/acme/apps", json={"name": "db"})
    operators.post("/v1/orgs/acme/apps", json={"name": "web", "network": "lab"})
    add_peer(store, "acme", 2, network="lab")
    for name, app in (("b", "web"), ("a", "web"), ("c", "db")):
        operators.post(_MACHINES, json=_ONE | {"name": name, "app": app})
    at_lab = {"app": "web", "peer": "peer-2", "network": "lab"}
    operators.post(_MACHINES, json=at_lab | {"name": "a"})

    def places(path: str, **query: str) -> list[str]:
        found = walked(operators, path, limit=limit, **query)
        return [f"{one['network']}/{one['name']}" for one in found]

    assert places(_MACHINES) == ["default/a", "default/b", "default/c", "lab/a"]
    assert places(_MACHINES, app="web") == ["default/a", "default/b", "lab/a"]
    assert places(_MACHINES, app="db") == ["default/c"]
    assert places(_MACHINES, network="lab") == ["lab/a"]
    assert places("/v1/orgs/acme/apps") == ["default/db", "default/web", "lab/web"]
