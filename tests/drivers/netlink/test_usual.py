"""What the usual form gives must be what reading one attribute after the other gives."""

import socket
import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgctl.drivers.netlink.attributes import from_number, nested, pack, unpack
from wgctl.drivers.netlink.usual import UsualPeers, usual

IPV4 = struct.pack("=H2s4s8x", socket.AF_INET, b"\xca\x6c", IPv4Address("192.0.2.1").packed)
IPV6 = struct.pack(
    "=H2s4s16sI", socket.AF_INET6, b"\xca\x6c", bytes(4), IPv6Address("2001:db8::1").packed, 0
)
NOTHING = bytes(32)

# What Linux 6.1.0-57-amd64 told of three peers: without an endpoint, with IPV4, with another one.
RECORDED = bytes.fromhex(
    "b400008024000100111111111111111111111111111111111111111111111111111111111111114024000200"
    "0000000000000000000000000000000000000000000000000000000000000000140006000000000000000000"
    "000000000000000006000500000000000c00080000000000000000000c000700000000000000000008000a00"
    "010000002c000980280000800500030080000000060001000a00000014000200fdaa00000001001000000000"
    "00000002c8000080240001001212121212121212121212121212121212121212121212121212121212121240"
    "2400020000000000000000000000000000000000000000000000000000000000000000001400060000000000"
    "00000000000000000000000006000500190000000c00080000000000000000000c0007000000000000000000"
    "08000a0001000000140004000200ca6cc000020100000000000000002c000980280000800500030080000000"
    "060001000a00000014000200fdaa0000000100100000000000000003d4000080240001001313131313131313"
    "1313131313131313131313131313131313131313131313402400020009090909090909090909090909090909"
    "0909090909090909090909090909094014000600000000000000000000000000000000000600050000000000"
    "0c00080000000000000000000c000700000000000000000008000a0001000000200004000a00003500000000"
    "20010db8000000000000000000000001000000002c000980280000800500030080000000060001000a000000"
    "14000200fdaa0000000100100000000000000004"
)
ADDRESS = IPv6Address("fdaa:0:1:10::2").packed


def allowed(address: bytes, *, bits: int = 128) -> bytes:
    family = socket.AF_INET6 if len(address) == 16 else socket.AF_INET
    told = [pack(3, bytes((bits,))), pack(1, from_number(family, size=2)), pack(2, address)]
    return nested(0, told)


def peer(
    key: bytes,
    *,
    secret: bytes = NOTHING,
    counts: tuple[int, int, int] = (0, 0, 0),
    endpoint: bytes = b"",
    ips: tuple[bytes, ...] = (allowed(ADDRESS),),
) -> bytes:
    """Return a peer in the order of get_peer in drivers/net/wireguard/netlink.c."""
    handshake, sent, received = counts
    facts = [
        pack(1, key),
        pack(2, secret),
        pack(6, struct.pack("=qq", handshake, 5)),
        pack(5, from_number(25, size=2)),
        pack(8, from_number(sent, size=8)),
        pack(7, from_number(received, size=8)),
        pack(10, from_number(1, size=4)),
        pack(4, endpoint) if endpoint else b"",
        nested(9, ips) if ips else b"",
    ]
    return nested(0, facts)


keys = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, 2**63 - 1)
usual_peers = st.builds(
    peer,
    keys,
    secret=keys,
    counts=st.tuples(numbers, numbers, numbers),
    endpoint=st.sampled_from([b"", IPV4, IPV6]),
    ips=st.binary(min_size=16, max_size=16).map(lambda address: (allowed(address),)),
)
other_peers = st.sampled_from(
    [
        peer(b"\x11" * 32, ips=()),
        peer(b"\x12" * 32, ips=(allowed(ADDRESS), allowed(bytes(16)))),
        peer(b"\x13" * 32, ips=(allowed(b"\xc0\x00\x02\x01", bits=32),)),
        peer(b"\x14" * 32, ips=(allowed(ADDRESS, bits=127),)),
        peer(b"\x15" * 32, endpoint=IPV6[:-4]),
        nested(0, [pack(1, b"\x16" * 32), nested(9, [allowed(ADDRESS)])]),
        bytes(4),
    ]
)


def one_by_one(listed: bytes) -> UsualPeers:
    columns: list[list[bytes]] = [[] for _ in UsualPeers._fields]
    for _, member in unpack(listed):
        facts = dict(unpack(member))
        ((_, ip),) = unpack(facts[9])
        assert dict(unpack(ip))[3] == b"\x80"
        values = (*(facts[kind] for kind in (1, 2, 6, 8, 7)), facts.get(4, b""))
        for column, value in zip(columns, (*values, dict(unpack(ip))[2]), strict=True):
            column.append(value)
    return UsualPeers(*columns)


def test_what_linux_tells_is_of_the_usual_form() -> None:
    found = usual(RECORDED)

    assert found is not None
    assert list(map(list, found)) == list(one_by_one(RECORDED))
    assert found.keys == tuple(bytes((number,)) * 31 + b"\x40" for number in (0x11, 0x12, 0x13))
    assert found.preshared_keys == (NOTHING, NOTHING, b"\x09" * 31 + b"\x40")
    assert found.endpoints[:2] == (b"", IPV4)


@given(st.lists(usual_peers, min_size=1, max_size=8))
def test_peers_of_the_usual_form_are_found_with_all_that_is_told_of_them(told: list[bytes]) -> None:
    found = usual(b"".join(told))

    assert found is not None
    assert list(map(list, found)) == list(one_by_one(b"".join(told)))


@given(st.lists(usual_peers, max_size=3), other_peers, st.lists(usual_peers, max_size=3))
def test_a_list_with_a_peer_of_another_form_is_for_others(
    before: list[bytes], other: bytes, after: list[bytes]
) -> None:
    assert usual(b"".join((*before, other, *after))) is None


@given(st.lists(usual_peers, min_size=1, max_size=3).map(b"".join), st.data())
def test_a_byte_that_is_another_is_told_as_it_is_or_is_for_others(
    listed: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(listed) - 1))
    changed = listed[:at] + data.draw(st.binary(min_size=1, max_size=1)) + listed[at + 1 :]

    found = usual(changed)

    assert found is None or list(map(list, found)) == list(one_by_one(changed))


@pytest.mark.parametrize(
    "listed", [b"", b"\0", peer(b"\x11" * 32)[:-1], peer(b"\x11" * 32) + b"\0"]
)
def test_what_is_no_list_of_peers_is_for_others(listed: bytes) -> None:
    assert usual(listed) is None
