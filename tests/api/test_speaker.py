from dataclasses import replace

import pytest

from tests.api.asking import Door, refusal
from tests.store.samples import NOW, add_peer, key
from wgctl.api.context import Context
from wgctl.api.nodes import nodes_app
from wgctl.core.model import Role
from wgctl.store.store import Store

_RESOLVER = 991
_GATEWAY = 992
_USERS = {_RESOLVER: Role.RESOLVER, _GATEWAY: Role.GATEWAY}
_RECORD = {
    "region": "fra",
    "endpoint": "203.0.113.9:51820",
    "public_key": str(key(5)),
    "mtu_bytes": 1420,
    "forwards": False,
}


def _report(role: str, **more: object) -> dict[str, object]:
    return {"role": role, "revision": 1, "started_at": NOW, **more}


def _asked(context: Context, uid: int | None) -> Door:
    app = nodes_app(replace(context, may_act=lambda uid, role: _USERS.get(uid) is role))
    return Door(app, uid=uid)


@pytest.mark.parametrize("uid", [_RESOLVER, 65_534, None])
def test_only_the_gateway_registers_follows_and_reports_as_one(
    context: Context, uid: int | None
) -> None:
    """The resolver parses strangers' packets: taken over, it must get no key and move no tunnel."""
    with _asked(context, uid) as door:
        for response in (
            door.post("/v1/gateways", json=_RECORD),
            door.get("/v1/feed?role=gateway"),
            door.post("/v1/reports", json=_report("gateway", problem="none, believe me")),
        ):
            assert "may not speak for the gateway" in refusal(response, 403, "denied")

    assert context.observations.roles() == []


def test_a_role_speaks_for_itself(context: Context) -> None:
    with _asked(context, _RESOLVER) as resolver, _asked(context, _GATEWAY) as gateway:
        assert resolver.post("/v1/reports", json=_report("resolver")).status_code == 204
        assert gateway.post("/v1/gateways", json=_RECORD).json()["name"] == "fra-17"

    assert [facts.role for facts in context.observations.roles()] == [Role.RESOLVER]


def test_who_sees_no_peers_cannot_say_that_one_is_online(context: Context, store: Store) -> None:
    peer = add_peer(store, "acme", 1).peer
    seen = [{"peer_id": peer.id, "last_handshake": NOW}]
    with _asked(context, _RESOLVER) as door:
        refusal(door.post("/v1/reports", json=_report("resolver", peers=seen)), 403, "denied")

    assert context.observations.online(now=NOW) == frozenset()


def test_who_probes_no_machines_cannot_say_that_one_is_ill(context: Context) -> None:
    found = [{"machine_id": 1, "health": "unhealthy"}]
    with _asked(context, _GATEWAY) as door:
        refusal(door.post("/v1/reports", json=_report("gateway", health=found)), 403, "denied")
    with _asked(context, _RESOLVER) as door:
        assert door.post("/v1/reports", json=_report("resolver", health=found)).status_code == 204


def test_of_a_peer_that_is_not_there_nothing_is_kept(context: Context, store: Store) -> None:
    peer = add_peer(store, "acme", 1).peer
    seen = [{"peer_id": id_, "last_handshake": NOW} for id_ in (peer.id, peer.id + 1)]
    with _asked(context, _GATEWAY) as door:
        door.post("/v1/reports", json=_report("gateway", peers=seen))

    assert context.observations.online(now=NOW) == {peer.id}
