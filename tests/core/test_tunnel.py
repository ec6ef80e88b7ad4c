from ipaddress import IPv6Address, IPv6Interface, IPv6Network, ip_address

import pytest

from peers.keys import PresharedKey, PrivateKey
from wgctl.core import firewall
from wgctl.core.allowed_ips import NO_IPS, pack
from wgctl.core.tunnel import (
    AddAddress,
    AddPeers,
    AddRoute,
    ChangeFirewall,
    GivePeer,
    Greet,
    MakeLink,
    RemoveAddress,
    RemovePeer,
    RemoveRoute,
    ReplaceFirewall,
    Route,
    SetDevice,
    SetLink,
    SetPeer,
    Source,
    Step,
    log_group,
    route_metric,
)

SECRET = PrivateKey.generate()
KEY = SECRET.public()
PSK = PresharedKey.generate()
PREFIX = IPv6Network("fdaa:0:1::/48")
SOURCE = Source(IPv6Address("2001:db8::1"), 9)
TABLE = firewall.ruleset([PREFIX], interface="wgctl0", listen_port=51820, own_uids=frozenset({0}))


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
        (SetPeer(KEY.raw, pack({PREFIX})), f"peer {KEY} set to fdaa:0:1::/48"),
        (SetPeer(KEY.raw, NO_IPS), f"peer {KEY} set to nothing"),
        (
            SetPeer(KEY.raw, pack({PREFIX}), PSK),
            f"peer {KEY} set to fdaa:0:1::/48 with a preshared key",
        ),
        (AddPeers({KEY.raw: pack({PREFIX})}), f"peer {KEY} set to fdaa:0:1::/48"),
        (AddPeers({KEY.raw: NO_IPS, bytes(32): NO_IPS}), "2 peers added"),
        (SetPeer(KEY.raw, NO_IPS, anew=True), f"peer {KEY} made anew with nothing"),
        (GivePeer(KEY.raw, pack({PREFIX})), f"peer {KEY} given fdaa:0:1::/48"),
        (RemovePeer(KEY.raw), f"peer {KEY} removed"),
        (Greet(KEY.raw, SOURCE), f"peer {KEY} greeted at [2001:db8::1]:9"),
    ],
)
def test_a_step_says_what_it_does(step: Step, words: str) -> None:
    assert str(step) == words


@pytest.mark.parametrize(
    ("step", "secret"),
    [(SetDevice(SECRET, 51820), SECRET), (SetPeer(KEY.raw, NO_IPS, PSK), PSK)],
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


def test_two_interfaces_hear_two_log_groups() -> None:
    groups = [log_group(name) for name in ("wgctl0", "wgctl1", "wg0", "lab")]

    assert len(set(groups)) == 4
    assert all(1024 <= group <= 65535 for group in groups)


@pytest.mark.parametrize(
    ("host", "text"), [("192.0.2.1", "192.0.2.1:9"), ("fe80::1%3", "[fe80::1%3]:9")]
)
def test_a_source_is_written_as_a_device_tells_an_endpoint(host: str, text: str) -> None:
    assert str(Source(ip_address(host), 9)) == text
