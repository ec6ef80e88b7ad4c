"""Names and records on the wire; dnspython packs what is read and reads what is packed."""

import struct
from typing import SupportsIndex, overload

import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgctl.core.forward.sections import Malformed, Reader, Record, Writer, endings, labels

QUESTION = b"\3www\7example\3com\0\0\1\0\1"
HEADER = struct.pack("!6H", 1, 0x8180, 1, 0, 0, 0)
START = len(HEADER) + len(QUESTION)

LINES = [
    "www.example.com. 300 IN CNAME web.example.com.",
    "web.example.com. 60 IN A 192.0.2.1",
    "example.com. 60 IN SOA ns.example.com. root.example.com. 1 2 3 4 5",
    "example.com. 60 IN NS ns.other.example.",
    "example.com. 60 IN MX 10 mail.example.com.",
    "_x._tcp.example.com. 60 IN SRV 1 2 3 www.example.com.",
    "example.com. 60 IN RP root.example.com. txt.example.com.",
    "example.com. 60 IN DNAME example.net.",
    'example.com. 60 IN TXT "www" "example"',
    "example.com. 60 IN TYPE65280 \\# 3 c00c00",
    "1.2.0.192.in-addr.arpa. 60 IN PTR www.example.com.",
    'example.com. 60 IN CAA 0 issue "ca.example"',
]  # fmt: skip


def message_of(lines: list[str]) -> bytes:
    message = dns.message.make_response(dns.message.make_query("www.example.com", "A"))
    for line in lines:
        name, ttl, class_, type_, data = line.split(" ", 4)
        message.answer.append(dns.rrset.from_text(name, int(ttl), class_, type_, data))
    return message.to_wire()


def test_what_was_packed_by_others_is_packed_again_and_means_the_same() -> None:
    message = message_of(LINES)
    reader = Reader(message, START)
    records = reader.section(len(LINES))
    section = Writer(QUESTION).section(records, most_ttl_s=3600)
    again = message[:START] + section.octets

    assert reader.end == len(message)
    assert dns.message.from_wire(again) == dns.message.from_wire(message)
    assert len(again) <= len(message) + len("other.example.") + len("txt.example.com.")
    for at, ttl_s in section.ttls:
        assert struct.unpack_from("!I", section.octets, at) == (ttl_s,)


def test_the_second_section_may_point_into_the_first() -> None:
    records = Reader(message_of(LINES[:2]), START).section(2)
    writer = Writer(QUESTION)
    first = writer.section(records[:1], most_ttl_s=10)
    second = writer.section(records[1:], most_ttl_s=10)
    header = struct.pack("!6H", 1, 0x8180, 1, 1, 1, 0)
    message = dns.message.from_wire(header + QUESTION + first.octets + second.octets)

    assert [str(rrset) for rrset in message.answer] == [LINES[0].replace("300", "10")]
    assert [str(rrset) for rrset in message.authority] == [LINES[1].replace("60", "10")]
    assert len(second.octets) == 2 + 10 + 4


def tail(type_: int, length: int, *, ttl_s: int = 60) -> bytes:
    return struct.pack("!HHIH", type_, 1, ttl_s, length)


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xc0\x0c" + tail(1, 4) + bytes(3), id="data cut"),
        pytest.param(b"\xc0\x0c" + tail(1, 3) + bytes(3), id="A of three octets"),
        pytest.param(b"\xc0\x0c" + tail(28, 4) + bytes(4), id="AAAA of four octets"),
        pytest.param(b"\xc0\x0c" + tail(5, 3) + b"\xc0\x0c\0", id="CNAME and an octet"),
        pytest.param(b"\xc0\x0c" + tail(5, 1) + b"\xc0\x0c", id="CNAME longer than its data"),
        pytest.param(b"\xc0\x0c" + tail(6, 4) + b"\xc0\x0c\xc0\x0c", id="SOA without numbers"),
        pytest.param(b"\xc0\x0c" + tail(33, 5) + bytes(5), id="SRV without a target"),
        pytest.param(b"\xc0" + bytes([START]) + tail(1, 4) + bytes(4), id="points at itself"),
        pytest.param(b"\xc0\xff" + tail(1, 4) + bytes(4), id="points forward"),
        pytest.param(b"\1a\xc0" + bytes([START]) + tail(1, 4) + bytes(4), id="points in a circle"),
        pytest.param(b"\x80" + tail(1, 4) + bytes(4), id="a reserved label type"),
        pytest.param((b"\x3f" + b"a" * 63) * 4 + b"\0" + tail(1, 4) + bytes(4), id="too long"),
    ],
)
def test_what_no_server_may_send_is_refused(octets: bytes) -> None:
    with pytest.raises(Malformed):
        Reader(HEADER + QUESTION + octets, START).section(1)


def test_more_records_than_anybody_needs_are_refused_wherever_they_stand() -> None:
    message = HEADER + QUESTION + (b"\xc0\x0c" + tail(1, 4) + bytes(4)) * 301
    reader = Reader(message, START)

    assert [len(reader.section(100)) for _ in range(3)] == [100] * 3
    with pytest.raises(Malformed):
        reader.section(1)


class Counted(bytes):
    """Octets that count how often one of them is looked at."""

    looks = 0

    @overload
    def __getitem__(self, key: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> bytes: ...
    def __getitem__(self, key: SupportsIndex | slice) -> int | bytes:
        self.looks += 1
        return super().__getitem__(key)


LONGEST = b"\1a" * 125 + b"\0"


@pytest.mark.parametrize(
    "at",
    [
        pytest.param([12] * 300, id="the same name"),
        pytest.param([12 + 2 * (number % 125) for number in range(300)], id="its endings"),
        pytest.param([260 - 2 * (number % 125) for number in range(300)], id="longer and longer"),
    ],
)
def test_names_that_lead_into_one_another_are_read_once(at: list[int]) -> None:
    records = [struct.pack("!H", 0xC000 | one) + tail(1, 4) + bytes(4) for one in at]
    message = Counted(HEADER + LONGEST + QUESTION[-4:] + b"".join(records))
    found = Reader(message, 12 + len(LONGEST) + 4).section(300)

    assert [one.owner for one in found] == [LONGEST[one - 12 :] for one in at]
    assert message.looks < 300 * 5 + 125 * 2


def test_a_name_of_more_pointers_than_labels_is_refused() -> None:
    pointers = b"".join(struct.pack("!H", 0xC000 | START + 11 + 2 * one) for one in range(300))
    octets = b"\0" + tail(16, 600) + b"\xc0\x0c" + pointers[:-2]
    last = struct.pack("!H", 0xC000 | START + 11 + 2 * 299) + tail(1, 4) + bytes(4)

    with pytest.raises(Malformed):
        Reader(HEADER + QUESTION + octets + last, START).section(2)


def test_a_ttl_with_the_highest_bit_is_none_at_all() -> None:
    """RFC 2181, section 8."""
    octets = HEADER + QUESTION + b"\xc0\x0c" + tail(1, 4, ttl_s=1 << 31) + bytes(4)

    [record] = Reader(octets, START).section(1)
    assert record.ttl_s == 0


@given(st.binary(max_size=120), st.integers(0, 5))
def test_no_octets_make_it_raise_anything_else(octets: bytes, total: int) -> None:
    reader = Reader(HEADER + QUESTION + octets, START)
    try:
        records = reader.section(total)
    except Malformed:
        return
    section = Writer(QUESTION).section(records, most_ttl_s=2**31 - 1)
    again = Reader(HEADER + QUESTION + section.octets, START).section(total)

    assert reader.end <= START + len(octets)
    assert [lower(one) for one in again] == [lower(one) for one in records]


def lower(record: Record) -> Record:
    """Return `record` with its names in one case: a pointer may lead to another spelling."""
    names = tuple(name.lower() for name in record.names)
    ttl_s = min(record.ttl_s, 2**31 - 1)
    return record._replace(owner=record.owner.lower(), names=names, ttl_s=ttl_s)


def test_labels_are_those_of_the_name() -> None:
    assert labels(QUESTION[:-4]) == (b"www", b"example", b"com")
    assert labels(b"\0") == ()


def test_the_endings_of_a_name_are_itself_and_what_it_is_below() -> None:
    assert endings(b"\1a\1b\0") == {b"\1a\1b\0", b"\1b\0", b"\0"}
    assert endings(b"\0") == {b"\0"}
