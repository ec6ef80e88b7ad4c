from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv6Address, IPv6Network

import pytest

from peers.endpoint import Endpoint
from peers.names import Label
from tests.store.samples import NOW, key
from wgctl.api import shapes
from wgctl.core import model, schema
from wgctl.core.model import ONLINE_S, Gateway, Network, Observation, Peer, Role
from wgctl.services.observe import Observations, RoleFacts
from wgctl.services.peer import PeerFacts

_FACTS = PeerFacts(
    peer=Peer(
        id=1,
        org_id=1,
        network_id=1,
        gateway_id=1,
        name=Label("laptop"),
        owner="operator",
        public_key=key(1),
        address=IPv6Address("fdaa:0:1:10::2"),
        created_at=NOW,
        expires_at=None,
    ),
    network=Network(1, 1, Label("default"), IPv6Network("fdaa:0:1::/48"), NOW),
    gateway=Gateway(
        id=1,
        number=16,
        name=Label("ams-16"),
        region=Label("ams"),
        endpoint=Endpoint.parse("203.0.113.7:51820"),
        public_key=key(2),
        mtu_bytes=1420,
        forwards=False,
        created_at=NOW,
    ),
    preshared=False,
)
_REPORT = RoleFacts(role=Role.GATEWAY, revision=1, started_at=NOW, reported_at=NOW)


@pytest.mark.parametrize(
    ("last_handshake", "expires_at", "online"),
    [
        (None, None, False),
        (NOW, None, True),
        (NOW - ONLINE_S, None, False),
        (NOW, NOW + 1, True),
        (NOW, NOW, False),
    ],
)
def test_a_peer_is_online_with_a_live_session_and_time_left(
    last_handshake: int | None, expires_at: int | None, *, online: bool
) -> None:
    seen = Observations()
    seen.note(_REPORT, [Observation(1, None, last_handshake, 0, 0)])
    facts = replace(_FACTS, peer=replace(_FACTS.peer, expires_at=expires_at))

    assert shapes.peer_shape("acme", facts, seen, now=NOW).online is online


def test_times_are_in_utc() -> None:
    shape = shapes.peer_shape("acme", _FACTS, Observations(), now=NOW)

    assert shape.created_at == datetime(2027, 1, 15, 8, tzinfo=UTC)
    assert (shape.expires_at, shape.last_handshake) == (None, None)


def test_a_tunnel_is_the_peers_address_and_the_gateways_key() -> None:
    tunnel = shapes.enrolment_shape("acme", _FACTS, Observations(), now=NOW).tunnel

    assert (tunnel.address, tunnel.gateway_key) == (_FACTS.peer.address, key(2))
    assert (tunnel.prefix, tunnel.resolver) == (_FACTS.network.prefix, IPv6Address("fdaa:0:1::3"))


def test_a_role_is_alive_while_its_report_is_fresh() -> None:
    fresh, stale = (shapes.role_shape(_REPORT, now=NOW + later) for later in (15, 16))

    assert (fresh.alive, stale.alive) == (True, False)


def test_a_port_is_its_value() -> None:
    shape = schema.Port(name="http", number=80, protocol=model.Protocol.UDP)

    assert shapes.port_of(shape) == model.Port(Label("http"), 80, model.Protocol.UDP)
