import pytest

from tests.api.asking import Door, refusal
from tests.store.samples import NOW, add_peer
from wgctl import __version__
from wgctl.api.context import Context
from wgctl.store.store import Store

_REPORT = {
    "role": "gateway",
    "revision": 4,
    "started_at": NOW - 60,
    "interface": "wgctl0",
    "backend": "userspace",
    "drift": 2,
    "drift_events": ["put a route back"],
    "setback": "the controller was restored",
    "problem": "port 53 is taken",
    "upstreams": [{"upstream": "9.9.9.9:53", "reason": "no reply in time"}],
    "on_demand": {
        "in_use": 1,
        "left": 2,
        "admitted": 3,
        "present": 4,
        "replayed": 5,
        "refused": 6,
        "unknown": 7,
        "forged": 8,
        "hurried": 9,
        "foreign": 10,
        "lost": 11,
    },
    "limited": [{"address": "fdaa:0:18:10::2", "queries": 4321}],
}


def _controller(*, revision: int) -> dict[str, object]:
    """Return the first of the roles: the one that answers."""
    return {
        "role": "controller",
        "alive": True,
        "revision": revision,
        "started_at": "2027-01-15T07:59:00Z",
        "reported_at": "2027-01-15T08:00:00Z",
        "interface": None,
        "backend": None,
        "drift": 0,
        "drift_events": [],
        "setback": None,
        "problem": None,
        "upstreams": [],
        "on_demand": None,
        "limited": [],
    }


def test_the_status_counts_what_there_is(operators: Door, store: Store) -> None:
    add_peer(store, "acme", 1)

    assert operators.get("/v1/status").json() == {
        "version": __version__,
        "revision": 4,
        "pool": "fdaa::/16",
        "store": str(store.path),
        "orgs": 2,
        "networks": 2,
        "peers": 1,
        "peers_online": 0,
        "roles": [_controller(revision=4)],
    }


def test_what_a_role_reports_is_in_the_status(nodes: Door, operators: Door, store: Store) -> None:
    peer = add_peer(store, "acme", 1).peer
    seen = {"peer_id": peer.id, "endpoint": "192.0.2.1:5", "last_handshake": NOW - 1}
    reported = nodes.post("/v1/reports", json=_REPORT | {"peers": [seen]})
    status = operators.get("/v1/status").json()

    assert (reported.status_code, reported.content) == (204, b"")
    assert status["peers_online"] == 1
    assert status["roles"] == [
        _controller(revision=4),
        {
            "role": "gateway",
            "alive": True,
            "revision": 4,
            "started_at": "2027-01-15T07:59:00Z",
            "reported_at": "2027-01-15T08:00:00Z",
            "interface": "wgctl0",
            "backend": "userspace",
            "drift": 2,
            "drift_events": ["put a route back"],
            "setback": "the controller was restored",
            "problem": "port 53 is taken",
            "upstreams": [{"upstream": "9.9.9.9:53", "reason": "no reply in time"}],
            "on_demand": _REPORT["on_demand"],
            "limited": [{"address": "fdaa:0:18:10::2", "queries": 4321}],
        },
    ]


@pytest.mark.parametrize("gone", ["/v1/orgs/acme/peers/{}", "/v1/orgs/acme"])
def test_a_peer_that_is_gone_is_not_online_though_a_late_report_still_names_it(
    nodes: Door, operators: Door, store: Store, context: Context, gone: str
) -> None:
    """Its handshake stays young for three minutes, and a report may be on its way."""
    peer = add_peer(store, "acme", 1).peer
    report = _REPORT | {"peers": [{"peer_id": peer.id, "last_handshake": NOW - 1}]}
    nodes.post("/v1/reports", json=report)
    assert operators.get("/v1/status").json()["peers_online"] == 1

    operators.delete(gone.format(peer.name))

    assert context.observations.online(now=NOW) == frozenset()
    assert operators.get("/v1/status").json()["peers_online"] == 0
    nodes.post("/v1/reports", json=report)
    assert operators.get("/v1/status").json()["peers_online"] == 0
    assert context.observations.online(now=NOW) == frozenset()


def test_a_report_waits_for_nobody_who_changes_the_store(nodes: Door, store: Store) -> None:
    """A role whose reports stay out passes for dead."""
    with store.writing():
        reported = nodes.post("/v1/reports", json=_REPORT)

    assert reported.status_code == 204


def test_a_report_takes_no_revision(nodes: Door, operators: Door) -> None:
    before = operators.get("/v1/status").json()["revision"]
    nodes.post("/v1/reports", json=_REPORT)

    assert operators.get("/v1/status").json()["revision"] == before


@pytest.mark.parametrize(
    "change",
    [
        {"role": "king"},
        {"role": "controller"},
        {"revision": -1},
        {"started_at": 10**18},
        {"drift_events": ["x"] * 21},
        {"setback": "x" * 8_001},
        {"upstreams": [{"upstream": "9.9.9.9:53"}] * 17},
        {"upstreams": [{"upstream": "x" * 401}]},
        {"limited": [{"address": "fdaa::1", "queries": 1}] * 21},
        {"limited": [{"address": "fdaa::1", "queries": 0}]},
        {"peers": [{"peer_id": 1, "last_handshake": 10**18}]},
        {"mood": "good"},
        {"health": [{"machine_id": 1, "health": "fine"}]},
        {"health": [{"machine_id": 1, "health": "healthy", "transitions": [{}] * 21}]},
    ],
)
def test_a_malformed_report_is_refused_and_the_status_goes_on(
    nodes: Door, operators: Door, change: dict[str, object]
) -> None:
    """A role that parses strangers' packets may be taken over: it must not silence the rest."""
    refusal(nodes.post("/v1/reports", json=_REPORT | change), 400, "invalid")

    (controller,) = operators.get("/v1/status").json()["roles"]
    assert controller["role"] == "controller"
