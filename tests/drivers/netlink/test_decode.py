import socket
import struct
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.keys import PresharedKey, PrivateKey
from wgctl.core.allowed_ips import NO_IPS
from wgctl.core.allowed_ips import pack as ips
from wgctl.core.ports import Seen
from wgctl.core.tunnel import Device
from wgctl.drivers.netlink.attributes import from_number, nested, pack
from wgctl.drivers.netlink.decode import parse, parse_seen

SECRET = PrivateKey.generate()
ONE, OTHER = b"\x11" * 32, b"\x12" * 32
IP, OTHER_IP = IPv6Network("fdaa:0:1:10::2/128"), IPv4Network("10.0.0.0/8")

IPV4 = struct.pack("=H2s4s8x", socket.AF_INET, b"\xca\x6c", b"\xc0\x00\x02\x01")
IPV6 = struct.pack(
    "=H2s4s16sI", socket.AF_INET6, b"\x00\x35", bytes(4), IPv6Address("2001:db8::1").packed, 0
)
LINK_LOCAL = struct.pack(
    "=H2s4s16sI", socket.AF_INET6, b"\x00\x35", bytes(4), IPv6Address("fe80::1").packed, 3
)
UNSEEN = Seen(None, None, 0, 0)


def allowed(network: IPv6Network | IPv4Network) -> bytes:
    family = socket.AF_INET6 if network.version == 6 else socket.AF_INET
    return nested(
        0,
        [
            pack(3, from_number(network.prefixlen, size=1)),
            pack(1, from_number(family, size=2)),
            pack(2, network.network_address.packed),
        ],
    )


def peer(key: bytes, *networks: IPv6Network | IPv4Network, more: bytes = b"") -> bytes:
    listed = nested(9, map(allowed, networks)) if networks else b""
    return nested(0, [pack(1, key), more, listed])


def message(*peers: bytes, own: bytes = b"") -> bytes:
    return own + nested(8, peers)


def many(count: int) -> Iterator[bytes]:
    """Tell of so many peers, 50 to a message, as they are asked for."""
    for start in range(1, count, 50):
        keys = (number.to_bytes(32) for number in range(start, start + 50))
        yield message(*(peer(key, IP, more=FACTS) for key in keys), own=OWN)


OWN = pack(1, bytes(4)) + pack(2, b"wgctl0\0") + pack(3, SECRET.raw) + pack(4, ONE)
OWN += pack(6, from_number(51820, size=2)) + pack(7, bytes(4))

# What the kernel tells of a peer that it has a session with.
FACTS = (
    pack(2, bytes(32))
    + pack(4, IPV6)
    + pack(5, from_number(25, size=2))
    + pack(6, struct.pack("=qq", 1700000000, 5))
    + pack(7, from_number(34, size=8))
    + pack(8, from_number(12, size=8))
    + pack(10, from_number(1, size=4))
)


def test_a_description_is_read_whole() -> None:
    told = [message(peer(ONE, IP, OTHER_IP, more=FACTS), peer(OTHER), own=OWN)]
    device, seen = parse(told), parse_seen(told)

    assert device == Device(SECRET, 51820, {ONE: ips({IP, OTHER_IP}), OTHER: NO_IPS})
    assert seen == {ONE: Seen("[2001:db8::1]:53", 1700000000, 34, 12), OTHER: UNSEEN}


def test_a_device_without_a_key_has_none() -> None:
    assert parse([]) == Device(None, 0, {})
    assert parse([pack(3, bytes(32))]).private_key is None


def test_a_preshared_key_is_read_and_no_key_is_none() -> None:
    secret = PresharedKey.generate()
    told = message(peer(ONE, more=pack(2, secret.raw)), peer(OTHER, more=pack(2, bytes(32))))

    assert parse([told]).preshared_keys == {ONE: secret}


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (IPV4, "192.0.2.1:51820"),
        (IPV6, "[2001:db8::1]:53"),
        (LINK_LOCAL, "[fe80::1%3]:53"),
        (b"", None),
        (bytes(2), None),
    ],
)
def test_an_endpoint_is_written_as_others_write_it(address: bytes, text: str | None) -> None:
    seen = parse_seen([message(peer(ONE, more=pack(4, address)))])

    assert seen[ONE].endpoint == text


def test_a_peer_that_goes_on_in_the_next_message_is_one_peer() -> None:
    """The kernel repeats its key there, and nothing else of it."""
    told = [
        message(peer(OTHER), peer(ONE, IP, more=FACTS), own=OWN),
        message(peer(ONE, OTHER_IP), own=pack(2, b"wgctl0\0")),
    ]
    device, seen = parse(told), parse_seen(told)

    assert device == Device(SECRET, 51820, {OTHER: NO_IPS, ONE: ips({IP, OTHER_IP})})
    assert seen[ONE].received_bytes == 34


@given(
    st.lists(
        st.tuples(st.sampled_from([ONE, OTHER]), st.ip_addresses(v=6).map(IPv6Network)), max_size=9
    ),
    st.data(),
)
def test_a_device_is_the_same_however_it_is_split(
    listed: list[tuple[bytes, IPv6Network]], data: st.DataObject
) -> None:
    pieces = [peer(key, network) for key, network in listed]
    cut = data.draw(st.integers(0, len(pieces)))

    whole = parse([message(*pieces, own=OWN)])
    split = parse([message(*pieces[:cut], own=OWN), message(*pieces[cut:])])

    assert split == whole


SECOND = IPv6Network("fdaa:0:1:10::3/128")


def in_order(received: int) -> bytes:
    """Return facts in the kernel's order, of which most peers are."""
    return (
        pack(2, ONE)
        + pack(6, struct.pack("=qq", 1700000000, 5))
        + pack(5, from_number(25, size=2))
        + pack(8, from_number(12, size=8))
        + pack(7, from_number(received, size=8))
        + pack(10, from_number(1, size=4))
        + pack(4, IPV6)
    )


IN_ORDER = in_order(34)


@pytest.mark.parametrize("cut", range(4))
def test_a_peer_that_is_told_twice_has_what_is_told_of_it_both_times(cut: int) -> None:
    """As one that is taken away and made again while a device is read."""
    pieces = [
        peer(ONE, IP, more=IN_ORDER),
        peer(OTHER, IP, more=IN_ORDER),
        peer(ONE, SECOND, more=IN_ORDER),
    ]
    told = [message(*pieces[:cut]), message(*pieces[cut:])]
    device, seen = parse(told), parse_seen(told)

    assert device.peers == {ONE: ips({IP, SECOND}), OTHER: ips({IP})}
    assert device.preshared_keys == dict.fromkeys((ONE, OTHER), PresharedKey(ONE))
    assert seen == dict.fromkeys((ONE, OTHER), Seen("[2001:db8::1]:53", 1700000000, 34, 12))


@given(
    st.lists(
        st.tuples(
            st.sampled_from([ONE, OTHER]),
            # One address is the usual form, any other number is not.
            st.sampled_from([(), (IP,), (IP, SECOND)]),
            st.integers(0, 9),
        ),
        max_size=9,
    ),
    st.data(),
)
def test_what_was_first_told_of_a_peer_is_what_was_seen_of_it(
    listed: list[tuple[bytes, tuple[IPv6Network, ...], int]], data: st.DataObject
) -> None:
    """In whatever form and message it is told again."""
    pieces = [peer(key, *networks, more=in_order(received)) for key, networks, received in listed]
    cut = data.draw(st.integers(0, len(pieces)))

    seen = parse_seen([message(*pieces[:cut]), message(*pieces[cut:])])

    first = {key: received for key, _, received in reversed(listed)}
    assert {key: sight.received_bytes for key, sight in seen.items()} == first


@pytest.mark.parametrize(
    "told",
    [
        b"\0",
        pack(3, b"short"),
        message(peer(b"short")),
        message(nested(0, [])),
        message(nested(0, [pack(1, ONE), nested(9, [nested(0, [])])])),
        message(
            nested(
                0,
                [
                    pack(1, ONE),
                    nested(9, [nested(0, [pack(1, b"\x0a\0"), pack(2, b"abc"), pack(3, b"\x80")])]),
                ],
            )
        ),
    ],
)
def test_a_description_of_another_form_is_refused(told: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse([told])


@given(st.lists(st.binary(max_size=120), max_size=2))
def test_no_bytes_are_taken_but_as_a_device_or_not_at_all(told: list[bytes]) -> None:
    try:
        parse(told)
    except ValueError:
        return


@pytest.mark.parametrize("read", [parse, parse_seen])
def test_what_is_told_takes_no_memory_once_it_is_read(
    read: Callable[[Iterable[bytes]], object],
) -> None:
    """A device of 100,000 peers tells 24 MB of them."""
    told_bytes = sum(map(len, many(10_000)))
    tracemalloc.start()
    try:
        found = read(many(10_000))
        left, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert found
    assert most - left < told_bytes / 2
