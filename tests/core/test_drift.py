from dataclasses import replace
from ipaddress import IPv4Network, IPv6Interface, IPv6Network

import pytest

from peers.keys import PresharedKey, PrivateKey
from peers.names import Label
from wgctl.core import firewall
from wgctl.core.allowed_ips import NO_IPS, pack
from wgctl.core.drift import drift
from wgctl.core.model import Network, Peer
from wgctl.core.plan import desired, diff
from wgctl.core.tunnel import Device, Host, Link, Route, Tunnel

HOST = Host(
    interface="wgctl0",
    pool=IPv6Network("fdaa::/16"),
    private_key=PrivateKey.generate(),
    listen_port=51820,
    mtu_bytes=1420,
    own_uids=frozenset({0}),
)
NETWORK = Network(1, 1, Label("default"), IPv6Network("fdaa:0:1::/48"), 0)
KEYS = [PrivateKey.generate().public() for _ in range(3)]
IPS = [IPv6Network(NETWORK.prefix[(16 << 64) + 2 + n]) for n in range(3)]
OTHER_SECRET = PrivateKey.generate()
PSKS = [PresharedKey.generate() for _ in range(2)]


def wanted(*, psk: PresharedKey | None = None) -> Tunnel:
    peers = [
        Peer(n, 1, 1, 1, Label(f"p{n}"), "operator", KEYS[n], IPS[n].network_address, 0, None)
        for n in range(2)
    ]
    keys = {} if psk is None else {0: psk}
    return desired([NETWORK], peers, host=HOST, now=0, preshared_keys=keys)


RIGHT = wanted()
assert RIGHT.firewall is not None
assert RIGHT.link is not None
assert RIGHT.device is not None
SIZE = f"{len(RIGHT.firewall.rules)} sets, chains and rules, 2 elements"
INSIDE = next(route for route in RIGHT.routes if not route.unreachable)
STRAY = Route(IPv6Network("fdaa:9::/48"), None, 7)
SPARE = IPv6Interface("fdaa:9::3/128")


def on_device(**changes: object) -> Tunnel:
    return replace(RIGHT, device=replace(RIGHT.device, **changes))  # type: ignore[type-var]  # any field


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (RIGHT, []),
        (replace(RIGHT, firewall=None), [f"table wgctl0: was none, is {SIZE}"]),
        (
            replace(RIGHT, firewall=replace(RIGHT.firewall, elements=frozenset())),
            [
                (
                    "sets of the table: was without networks fdaa:0:1:: fdaa:0:1::, "
                    "resolvers fdaa:0:1::3, is as they are to be"
                )
            ],
        ),
        (
            replace(
                RIGHT,
                firewall=replace(
                    RIGHT.firewall,
                    elements=RIGHT.firewall.elements
                    | firewall.elements(IPv6Network((0xFDAA << 112 | n << 80, 48)) for n in (2, 3)),
                ),
            ),
            [
                (
                    "sets of the table: was with networks fdaa:0:2:: fdaa:0:2::, networks "
                    "fdaa:0:3:: fdaa:0:3::, resolvers fdaa:0:2::3 and 1 more, is as they are to be"
                )
            ],
        ),
        (
            replace(RIGHT, routes=(RIGHT.routes | {STRAY}) - {INSIDE}),
            [
                "route to fdaa:9::/48: was there, is none",
                "route to fdaa:0:1::/48: was none, is there",
            ],
        ),
        (
            replace(RIGHT, link=Link(1300, up=False, addresses=frozenset({SPARE}))),
            [
                "address fdaa:9::3/128: was there, is none",
                "link: was down with MTU 1300, is up with MTU 1420",
                "address fdaa:0:1::3/128: was none, is there",
            ],
        ),
        (
            replace(RIGHT, link=None, device=None),
            ["device: was gone, is made again, with all that was on it"],
        ),
        (
            on_device(private_key=OTHER_SECRET, listen_port=9),
            [
                (
                    f"public key of the device: was {OTHER_SECRET.public()}, "
                    f"is {HOST.private_key.public()}"
                ),
                "port of the device: was 9, is 51820",
            ],
        ),
        (
            on_device(private_key=None),
            [f"public key of the device: was none, is {HOST.private_key.public()}"],
        ),
        (
            on_device(peers={KEYS[0].raw: pack(IPS[:1]), KEYS[2].raw: NO_IPS}),
            [
                f"peer {KEYS[2]}: was nothing, is none",
                f"peer {KEYS[1]}: was none, is {IPS[1]}",
            ],
        ),
        (
            on_device(peers={KEYS[0].raw: pack([IPS[2]]), KEYS[1].raw: pack(IPS[1:2])}),
            [f"peer {KEYS[0]}: was {IPS[2]}, is {IPS[0]}"],
        ),
        (
            on_device(preshared_keys={KEYS[0].raw: PSKS[0]}),
            [f"peer {KEYS[0]}: was {IPS[0]} with a preshared key that is another, is {IPS[0]}"],
        ),
    ],
    ids=lambda value: None if isinstance(value, Tunnel) else "-".join(value)[:40] or "nothing",
)
def test_each_difference_is_told_before_and_after(found: Tunnel, words: list[str]) -> None:
    told = [str(one) for one in drift(diff(RIGHT, found), found)]

    assert sorted(told) == sorted(words)


def test_a_preshared_key_is_told_of_and_not_told() -> None:
    found = wanted(psk=PSKS[1])

    (told,) = drift(diff(wanted(psk=PSKS[0]), found), found)

    ip = f"{IPS[0]} with a preshared key"
    assert (told.before, told.after) == (f"{ip} that is another", ip)


def test_what_is_told_of_a_peer_that_was_given_very_much_is_short() -> None:
    """It goes to the log, and into each report that the controller gets."""
    many = pack(IPv4Network((n + 1) << 8) for n in range(65_000))
    found = on_device(peers={KEYS[0].raw: many, KEYS[1].raw: pack(IPS[1:2])})
    steps = diff(RIGHT, found)

    (told,) = drift(steps, found)
    assert told.before.endswith("and 64995 more")
    assert max(map(len, (str(told), *map(str, steps)))) < 300


def test_no_secret_is_in_the_words() -> None:
    found = replace(wanted(psk=PSKS[1]), device=Device(OTHER_SECRET, 9, {}))
    said = str(drift(diff(wanted(psk=PSKS[0]), found), found))

    for secret in (HOST.private_key, OTHER_SECRET, *PSKS):
        assert secret.text() not in said
        assert secret.raw.hex() not in said
