from ipaddress import IPv6Interface, IPv6Network

import pytest

from peers.keys import PresharedKey, PrivateKey
from wgctl.core import firewall
from wgctl.core.tunnel import (
    AddAddress,
    AddRoute,
    ChangeFirewall,
    MakeLink,
    RemoveAddress,
    RemovePeer,
    RemoveRoute,
    ReplaceFirewall,
    Route,
    SetDevice,
    SetLink,
    SetPeer,
    Step,
    route_metric,
)

SECRET = PrivateKey.generate()
KEY = SECRET.public()
PSK = PresharedKey.generate()
PREFIX = IPv6Network("fdaa:0:1::/48")
TABLE = firewall.ruleset([PREFIX], interface="wgctl0", own_uids=frozenset({0}))


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (ReplaceFirewall(TABLE), "table wgctl0 written"),
        (ChangeFirewall(TABLE.elements, frozenset()), "firewall: 2 elements added, 0 removed"),
        (AddRoute(Route(PREFIX, PREFIX, 7)), "route to fdaa:0:1::/48 added"),
        (RemoveRoute(Route(PREFIX, PREFIX, 7)), "route to fdaa:0:1::/48 removed"),
        (MakeLink(), "device and link made"),
        (SetLink(1420), "link set up with MTU 1420"),
        (AddAddress(IPv6Interface("fdaa:0:1::3/128")), "address fdaa:0:1::3/128 added"),
        (RemoveAddress(IPv6Interface("fdaa:0:1::3/128")), "address fdaa:0:1::3/128 removed"),
        (SetDevice(SECRET, 51820), "key and port of the device set"),
        (SetDevice(None, 51820), "port of the device set"),
        (SetPeer(KEY.raw, frozenset({PREFIX})), f"peer {KEY} set to fdaa:0:1::/48"),
        (SetPeer(KEY.raw, frozenset()), f"peer {KEY} set to nothing"),
        (
            SetPeer(KEY.raw, frozenset({PREFIX}), PSK),
            f"peer {KEY} set to fdaa:0:1::/48 with a preshared key",
        ),
        (RemovePeer(KEY.raw), f"peer {KEY} removed"),
    ],
)
def test_a_step_says_what_it_does(step: Step, words: str) -> None:
    assert str(step) == words


@pytest.mark.parametrize(
    ("step", "secret"),
    [(SetDevice(SECRET, 51820), SECRET), (SetPeer(KEY.raw, frozenset(), PSK), PSK)],
)
def test_no_step_shows_a_secret_key(step: Step, secret: PrivateKey | PresharedKey) -> None:
    shown = f"{step} {step!r}"

    assert secret.text() not in shown
    assert secret.raw.hex() not in shown
    assert repr(secret.raw) not in shown


def test_the_metric_is_the_interfaces_own_and_beats_a_plain_route() -> None:
    metrics = [route_metric(name) for name in ("wgctl0", "wgctl1", "wg0", "lab")]

    assert len(set(metrics)) == 4
    assert all(1 <= metric < 1024 for metric in metrics)
    assert route_metric("wgctl0") == metrics[0]
