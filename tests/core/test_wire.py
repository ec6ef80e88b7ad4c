"""The gate and the packing; dnspython is the second opinion.

What each malformed message gets is a table in `test_responder`.
"""

import struct

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
from hypothesis import example, given
from hypothesis import strategies as st

from wgctl.core.wire import (
    Edns,
    Qtype,
    Query,
    Rcode,
    Records,
    Reply,
    encode_name,
    pack_reply,
    read_query,
    record,
)

LABELS = st.lists(st.binary(min_size=1, max_size=63), max_size=6).filter(
    lambda labels: sum(len(label) + 1 for label in labels) <= 254
)


@given(
    labels=LABELS,
    type_=st.integers(0, 65535),
    payload=st.none() | st.integers(0, 65535),
    want_dnssec=st.booleans(),
)
def test_a_query_is_read_as_dnspython_wrote_it(
    labels: list[bytes],
    type_: int,
    payload: int | None,
    want_dnssec: bool,  # noqa: FBT001  # drawn
) -> None:
    name = dns.name.Name([*labels, b""])
    message = dns.message.make_query(
        name,
        dns.rdatatype.RdataType.make(type_),
        use_edns=payload is not None,
        payload=payload or 0,
        want_dnssec=want_dnssec and payload is not None,
    )
    query = read_query(message.to_wire())

    assert query is not None
    assert query.rcode == Rcode.NOERROR
    assert query.id == message.id
    assert query.recursion_desired
    assert query.labels == tuple(label.lower() for label in labels)
    assert (query.type, query.class_) == (type_, 1)
    assert query.question == encode_name(tuple(labels)) + struct.pack("!HH", type_, 1)
    assert query.edns == (None if payload is None else Edns(payload, dnssec_ok=want_dnssec))


@given(LABELS, st.binary(max_size=40), st.integers(0, 65535), st.integers(0, 2**31 - 1))
def test_a_record_is_read_by_dnspython_as_it_was_packed(
    labels: list[bytes], data: bytes, number: int, ttl_s: int
) -> None:
    type_ = 65280 + number % 200  # Private use: dnspython takes any data.
    query = Query(
        number, 0x0100, question=encode_name(tuple(labels)) + struct.pack("!HH", type_, 1)
    )
    answers = Records(1, record(type_, data, ttl_s=ttl_s))
    reply = Reply(Rcode.NOERROR, authoritative=True, answers=answers)
    message = dns.message.from_wire(pack_reply(query, reply, stream=True, forwards=True))

    [rrset] = message.answer
    [rdata] = rrset
    assert message.id == number
    assert rrset.name == dns.name.Name([*labels, b""])
    assert rrset.ttl == ttl_s
    assert rdata.to_wire() == data
    assert message.flags == dns.flags.QR | dns.flags.AA | dns.flags.RD | dns.flags.RA


def test_a_reply_to_an_unreadable_question_is_a_header() -> None:
    query = read_query(struct.pack("!6H", 7, 0, 0, 0, 0, 0))

    assert query is not None
    reply = pack_reply(query, Reply(query.rcode), stream=False, forwards=False)
    assert reply == struct.pack("!6H", 7, 0x8001, 0, 0, 0, 0)


def test_the_largest_message_of_a_stream_is_65535_octets() -> None:
    query = Query(1, 0, question=b"\0" + struct.pack("!HH", Qtype.TXT, 1))
    lengths = []
    for size in (65518, 65519):
        reply = Reply(Rcode.NOERROR, answers=Records(1, bytes(size)))
        lengths.append(len(pack_reply(query, reply, stream=True, forwards=False)))

    assert lengths == [65535, 17]


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(0, 40))
@example([bytes(469)], 0)  # to the last of 512 octets
@example([bytes(470)], 0)
def test_additional_records_are_left_out_from_the_first_that_does_not_fit(
    datas: list[bytes], padding: int
) -> None:
    query = Query(1, 0x0100, question=b"\1a\0\0\x1c\0\1")
    beside = tuple(record(65280, data, ttl_s=5) for data in datas)
    answers = Records(1, record(65281, bytes(padding), ttl_s=5))
    short = Reply(Rcode.NOERROR, answers=answers)
    bare = len(pack_reply(query, short, stream=False, forwards=False))
    packed = pack_reply(query, short._replace(additional=beside), stream=False, forwards=False)
    fitting = 0
    while fitting < len(beside) and bare + sum(map(len, beside[: fitting + 1])) <= 512:
        fitting += 1

    message = dns.message.from_wire(packed)
    assert not message.flags & dns.flags.TC
    assert packed.endswith(b"".join((answers.octets, *beside[:fitting])))
    assert len(packed) == bare + sum(map(len, beside[:fitting]))
    assert int.from_bytes(packed[10:12], "big") == fitting


@given(st.binary(max_size=48).map(lambda octets: octets.hex().encode()[:48]))
def test_a_note_is_an_extended_error_for_those_who_sent_opt(note: bytes) -> None:
    query = Query(1, 0x0100, question=b"\1a\0\0\x1c\0\1")
    reply = Reply(Rcode.NOERROR, note=note)
    plain = pack_reply(query, reply, stream=False, forwards=False)
    with_opt = pack_reply(
        query._replace(edns=Edns(1232, dnssec_ok=False)), reply, stream=False, forwards=False
    )

    assert dns.message.from_wire(plain).opt is None
    options = dns.message.from_wire(with_opt).options
    assert [(option.code, option.text) for option in options] == ([(0, note.decode())] * bool(note))
