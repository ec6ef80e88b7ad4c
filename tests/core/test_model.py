from dataclasses import FrozenInstanceError, fields, is_dataclass
from ipaddress import IPv6Address, IPv6Network

import pytest

from peers.keys import PublicKey
from peers.names import Label
from wgctl.core import model
from wgctl.core.model import ONLINE_S, Network, Observation, Peer


def _peer(*, expires_at: int | None) -> Peer:
    return Peer(
        id=1,
        org_id=1,
        network_id=1,
        gateway_id=1,
        name=Label("laptop"),
        owner="alice",
        public_key=PublicKey.from_bytes(bytes([9]) + bytes(31)),
        address=IPv6Address("fdaa::2"),
        created_at=0,
        expires_at=expires_at,
    )


@pytest.mark.parametrize(
    ("expires_at", "now", "expired"),
    [(None, 2**40, False), (100, 99, False), (100, 100, True), (100, 101, True)],
)
def test_a_peer_is_expired_from_its_last_second_on(
    expires_at: int | None, now: int, *, expired: bool
) -> None:
    assert _peer(expires_at=expires_at).expired(now=now) is expired


@pytest.mark.parametrize(
    ("last_handshake", "now", "online"),
    [
        (None, 0, False),
        (100, 100, True),
        (100, 99 + ONLINE_S, True),
        (100, 100 + ONLINE_S, False),
    ],
)
def test_a_session_lives_for_180_seconds_after_its_handshake(
    last_handshake: int | None, now: int, *, online: bool
) -> None:
    seen = Observation(1, None, last_handshake, 0, 0)

    assert seen.online(now=now) is online
    assert ONLINE_S == 180


def test_a_networks_resolver_is_its_own_third_address() -> None:
    network = Network(1, 1, Label("default"), IPv6Network("fdaa:1:2::/48"), 0)

    assert network.resolver == IPv6Address("fdaa:1:2::3")


def test_values_cannot_be_changed_or_given_new_fields() -> None:
    values = [value for value in vars(model).values() if is_dataclass(value)]
    peer = _peer(expires_at=None)

    assert values
    assert all(hasattr(value, "__slots__") for value in values)
    for field in fields(peer):
        with pytest.raises(FrozenInstanceError):
            setattr(peer, field.name, None)
