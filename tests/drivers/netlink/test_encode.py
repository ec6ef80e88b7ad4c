import socket
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.keys import PresharedKey, PrivateKey
from wgctl.core.allowed_ips import NO_IPS, AllowedIPs, pack_host
from wgctl.core.allowed_ips import pack as pack_ips
from wgctl.core.tunnel import (
    AddPeers,
    DeviceStep,
    GivePeer,
    Greet,
    RemovePeer,
    SetDevice,
    SetPeer,
    Source,
)
from wgctl.drivers.netlink.attributes import LONGEST_BYTES, from_number, nested, pack, unpack
from wgctl.drivers.netlink.decode import parse
from wgctl.drivers.netlink.encode import requests

SECRET = PrivateKey.generate()
NO_SECRET = pack(2, bytes(32))
ONE, OTHER = b"\x11" * 32, b"\x12" * 32
IP = IPv6Network("fdaa:0:1:10::2/128")
NAME = pack(2, b"wgctl0\0")
REMOVE, REPLACE, UPDATE = (from_number(flag, size=4) for flag in (1, 2, 4))

KEYS = st.binary(min_size=32, max_size=32)
PRESHARED_KEYS = KEYS.filter(any).map(PresharedKey.from_bytes)
ALLOWED_IPS = st.frozensets(
    st.one_of(st.ip_addresses(v=6).map(IPv6Network), st.ip_addresses(v=4).map(IPv4Network)),
    max_size=3,
).map(pack_ips)


def keys(request: bytes) -> list[bytes]:
    """The keys of the peers that a request names, in order."""
    peers = dict(unpack(request)).get(8, b"")
    return [dict(unpack(member))[1] for _, member in unpack(peers)]


def flags(request: bytes) -> list[bytes]:
    peers = dict(unpack(request))[8]
    return [dict(unpack(member))[3] for _, member in unpack(peers)]


ALLOWED = nested(
    0,
    [
        pack(1, from_number(socket.AF_INET6, size=2)),
        pack(2, IP.network_address.packed),
        pack(3, b"\x80"),
    ],
)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], []),
        ([SetDevice(None, None)], []),
        ([SetDevice(None, 9)], [NAME + pack(6, from_number(9, size=2))]),
        ([SetDevice(SECRET, None)], [NAME + pack(3, SECRET.raw)]),
        (
            [RemovePeer(ONE)],
            [NAME + nested(8, [nested(0, [pack(1, ONE), pack(3, REMOVE)])])],
        ),
        (
            [SetPeer(ONE, NO_IPS)],
            [NAME + nested(8, [nested(0, [pack(1, ONE), pack(3, REPLACE), NO_SECRET])])],
        ),
        (
            [SetPeer(ONE, NO_IPS, anew=True)],
            [
                NAME
                + nested(
                    8,
                    [
                        nested(0, [pack(1, ONE), pack(3, REMOVE)]),
                        nested(0, [pack(1, ONE), pack(3, REPLACE), NO_SECRET]),
                    ],
                )
            ],
        ),
        (
            [GivePeer(ONE, pack_ips({IP}))],
            [NAME + nested(8, [nested(0, [pack(1, ONE), pack(3, UPDATE), nested(9, [ALLOWED])])])],
        ),
        (
            [SetPeer(ONE, pack_ips({IP})), SetDevice(None, 9)],
            [
                NAME + pack(6, from_number(9, size=2)),
                NAME
                + nested(
                    8,
                    [nested(0, [pack(1, ONE), pack(3, REPLACE), NO_SECRET, nested(9, [ALLOWED])])],
                ),
            ],
        ),
    ],
)
def test_a_request_holds_just_its_steps(steps: list[DeviceStep], expected: list[bytes]) -> None:
    assert list(requests("wgctl0", steps)) == expected


def test_the_last_of_several_values_of_the_device_counts() -> None:
    (request,) = requests("wgctl0", [SetDevice(SECRET, 1), SetDevice(None, 2)])

    assert dict(unpack(request))[6] == from_number(2, size=2)
    assert dict(unpack(request))[3] == SECRET.raw


@pytest.mark.parametrize(
    ("host", "sockaddr"),
    [
        ("192.0.2.1", from_number(socket.AF_INET, size=2) + b"\x04\xd2\xc0\0\2\1" + bytes(8)),
        (
            "fe80::1%3",
            from_number(socket.AF_INET6, size=2)
            + b"\x04\xd2"
            + bytes(4)
            + ip_address("fe80::1").packed
            + from_number(3, size=4),
        ),
    ],
)
def test_a_peer_that_is_greeted_gets_a_keepalive_for_a_moment(host: str, sockaddr: bytes) -> None:
    only = pack(3, from_number(4, size=4))
    on, off = (pack(5, from_number(interval, size=2)) for interval in (1, 0))
    named = pack(1, ONE) + only

    made = list(requests("wgctl0", [Greet(ONE, Source(ip_address(host), 1234))]))

    pieces = [nested(0, [named, pack(4, sockaddr), on]), nested(0, [named, off])]
    assert made == [NAME + nested(8, pieces)]


@given(
    KEYS.filter(any),
    st.integers(0, 65535),
    st.dictionaries(KEYS, st.tuples(ALLOWED_IPS, st.none() | PRESHARED_KEYS), max_size=3),
)
def test_what_is_set_is_what_a_device_tells(
    key: bytes,
    port: int,
    peers: dict[bytes, tuple[AllowedIPs, PresharedKey | None]],
) -> None:
    """The attributes of a set are those of a description."""
    private_key = PrivateKey.from_bytes(key)
    steps: list[DeviceStep] = [SetDevice(private_key, port)]
    steps += [SetPeer(key, *values) for key, values in peers.items()]

    device = parse(requests("wgctl0", steps))

    assert (device.private_key, device.listen_port) == (private_key, port)
    assert device.peers == {key: ips for key, (ips, _) in peers.items()}
    assert device.preshared_keys == {key: psk for key, (_, psk) in peers.items() if psk}


def test_many_peers_share_a_request_and_none_is_too_long() -> None:
    """511 peers of one address fill 64 KiB: 128 bytes each."""
    wanted = [n.to_bytes(32) for n in range(1, 2001)]

    made = list(requests("wgctl0", [SetPeer(key, pack_ips({IP})) for key in wanted]))

    assert [len(keys(one)) for one in made] == [511, 511, 511, 467]
    assert [key for one in made for key in keys(one)] == wanted
    assert all(len(dict(unpack(one))[8]) <= LONGEST_BYTES for one in made)


@given(
    st.dictionaries(
        KEYS,
        ALLOWED_IPS | st.integers(0, 2**128 - 1).map(lambda number: pack_host(IPv6Address(number))),
        max_size=4,
    ),
    st.booleans(),
)
def test_peers_that_are_added_at_once_are_as_those_set_one_by_one(
    peers: dict[bytes, AllowedIPs],
    sealed: bool,  # noqa: FBT001  # drawn
) -> None:
    psks = dict.fromkeys(list(peers)[:1], PresharedKey.from_bytes(ONE)) if sealed else {}
    step = AddPeers(peers, psks)

    assert list(requests("wgctl0", [step])) == list(requests("wgctl0", list(step.each())))


def test_a_peer_that_is_made_anew_goes_and_comes_in_one_request() -> None:
    """Between two, nobody would have its allowed IPs."""
    steps = [SetPeer(n.to_bytes(32), pack_ips({IP}), anew=True) for n in range(1, 1001)]

    for request in requests("wgctl0", steps):
        assert flags(request) == [REMOVE, REPLACE] * (len(keys(request)) // 2)


def test_a_peer_of_many_allowed_ips_goes_on_and_its_list_is_emptied_once() -> None:
    ips = pack_ips(IPv6Network((n, 128)) for n in range(5000))

    made = list(requests("wgctl0", [SetPeer(OTHER, ips), SetPeer(ONE, NO_IPS)]))
    device = parse(made)

    assert device.peers == {OTHER: ips, ONE: NO_IPS}
    assert [flag for one in made for flag in flags(one)] == [REPLACE, *[bytes(4)] * 4, REPLACE]


def test_no_request_replaces_the_peers_of_a_device_or_names_an_endpoint() -> None:
    steps: list[DeviceStep] = [
        SetDevice(SECRET, 1),
        SetPeer(ONE, pack_ips({IP})),
        RemovePeer(OTHER),
    ]

    for request in requests("wgctl0", steps):
        own = dict(unpack(request))
        peers = [dict(unpack(member)) for _, member in unpack(own.get(8, b""))]

        assert 5 not in own
        assert all(set(peer) <= {1, 2, 3, 9} for peer in peers)


def test_steps_stay_in_order() -> None:
    steps: list[DeviceStep] = [
        RemovePeer(ONE),
        SetPeer(OTHER, NO_IPS),
        SetPeer(ONE, pack_ips({IP})),
    ]

    (request,) = requests("wgctl0", steps)

    assert keys(request) == [ONE, OTHER, ONE]
    assert flags(request) == [REMOVE, REPLACE, REPLACE]
