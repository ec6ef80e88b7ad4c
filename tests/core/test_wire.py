"""The gate and the packing; dnspython is the second opinion.

What each malformed message gets is a table in `test_responder`.
"""

import struct

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wgctl.core.wire import (
    Edns,
    Qtype,
    Query,
    Rcode,
    Records,
    Relayed,
    Reply,
    encode_name,
    pack_reply,
    read_query,
    read_relayed,
    record,
    relay,
    upstream_query,
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


def client_query(name: str = "wWw.Example.COM", *, edns: bool = True, flags: int = 0x0100) -> Query:
    message = dns.message.make_query(name, "AAAA", use_edns=edns, payload=4096 if edns else 0)
    message.flags = dns.flags.Flag(flags)
    query = read_query(message.to_wire())
    assert query is not None
    return query


@pytest.mark.parametrize("edns", [True, False])
def test_an_upstream_hears_the_question_and_nothing_else_of_the_asker(
    edns: bool,  # noqa: FBT001  # a column of the table
) -> None:
    query = client_query(edns=edns, flags=0x0130)._replace(id=4711)
    asked = dns.message.from_wire(upstream_query(query, id_=815))

    assert asked.id == 815
    assert asked.flags == dns.flags.RD | dns.flags.CD
    assert asked.question[0].name.to_text() == "wWw.Example.COM."
    assert (asked.edns, asked.payload, asked.options, asked.ednsflags) == (0, 1232, (), 0)


def test_the_asker_s_wish_for_signatures_goes_up() -> None:
    query = client_query()._replace(edns=Edns(512, dnssec_ok=True))

    assert dns.message.from_wire(upstream_query(query, id_=1)).ednsflags == dns.flags.DO


ANSWERS = [
    "www.example.com. 300 IN CNAME web.example.com.",
    "web.example.com. 60 IN AAAA 2001:db8::1",
]


def upstream_reply(
    asked: bytes, *, answers: list[str] = ANSWERS, flags: int = 0
) -> dns.message.Message:
    reply = dns.message.make_response(dns.message.from_wire(asked), recursion_available=True)
    reply.flags |= flags
    for line in answers:
        name, ttl, class_, type_, data = line.split(" ", 4)
        reply.answer.append(dns.rrset.from_text(name, int(ttl), class_, type_, data))
    return reply


ASKED = upstream_query(client_query(), id_=815)
GOOD = upstream_reply(ASKED).to_wire()
QUESTION_END = 12 + 17 + 4
OPT = struct.pack("!BHHIH", 0, 41, 8192, 0, 0)  # as dnspython writes it
BARE = GOOD[: -len(OPT)]


def test_a_reply_to_what_was_asked_is_believed() -> None:
    relayed = read_relayed(GOOD, asked=ASKED)

    assert GOOD.endswith(OPT)
    assert relayed == Relayed(0, truncated=False, counts=(2, 0, 0), octets=BARE[QUESTION_END:])


def test_an_upstream_may_change_the_case_of_the_question() -> None:
    lowered = GOOD[:12] + GOOD[12:29].lower() + GOOD[29:]

    assert lowered != GOOD
    assert read_relayed(lowered, asked=ASKED) == read_relayed(GOOD, asked=ASKED)


def put(at: int, *octets: int) -> bytes:
    return GOOD[:at] + bytes(octets) + GOOD[at + len(octets) :]


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(GOOD[:11], id="half a header"),
        pytest.param(put(0, GOOD[0] ^ 1), id="another id"),
        pytest.param(ASKED, id="the query itself"),
        pytest.param(put(2, GOOD[2] | 0x08), id="another opcode"),
        pytest.param(put(5, 0), id="no question"),
        pytest.param(put(5, 2), id="two questions"),
        pytest.param(put(13, ord("x")), id="another name"),
        pytest.param(put(30, 1), id="another type"),
        pytest.param(put(29, 0x20), id="a type that differs as letters do in case"),
        pytest.param(put(32, 3), id="another class"),
        pytest.param(GOOD[:QUESTION_END], id="records announced, none there"),
        pytest.param(GOOD[:-1], id="last record cut"),
        pytest.param(BARE[:-1] + OPT, id="record too short"),
        pytest.param(put(7, 200), id="200 answers announced"),
        pytest.param(put(QUESTION_END, 0xC1, 0xFF), id="name that points forward"),
        pytest.param(put(QUESTION_END, 0x80), id="reserved label type"),
    ],
)
def test_any_other_reply_is_not(reply: bytes) -> None:
    assert read_relayed(reply, asked=ASKED) is None


@given(st.binary(max_size=200), st.integers(0, QUESTION_END))
def test_no_octets_of_an_upstream_make_it_raise(octets: bytes, kept: int) -> None:
    read_relayed(GOOD[:kept] + octets, asked=ASKED)
    read_relayed(GOOD[:QUESTION_END] + octets, asked=ASKED)


def relayed_to(query: Query, reply: bytes, *, stream: bool = False) -> dns.message.Message:
    relayed = read_relayed(reply, asked=ASKED)
    assert relayed is not None
    return dns.message.from_wire(relay(query, relayed, stream=stream))


@pytest.mark.parametrize("edns", [True, False])
def test_the_asker_gets_the_records_under_its_own_id_and_spelling(
    edns: bool,  # noqa: FBT001  # a column of the table
) -> None:
    query = client_query("WWW.eXample.com", edns=edns)
    reply = relayed_to(query, GOOD)

    assert reply.id == query.id
    assert reply.question[0].name.to_text() == "WWW.eXample.com."
    assert [rrset.to_text().lower() for rrset in reply.answer] == [line.lower() for line in ANSWERS]
    assert reply.flags == dns.flags.QR | dns.flags.RD | dns.flags.RA
    assert (reply.edns == 0) == edns


def test_nobody_here_vouches_for_signatures() -> None:
    """AD of an upstream is a claim that came over an open network."""
    reply = upstream_reply(ASKED, flags=dns.flags.AD | dns.flags.AA).to_wire()

    assert relayed_to(client_query(), reply).flags == dns.flags.QR | dns.flags.RD | dns.flags.RA


def test_who_disabled_checking_is_told_so() -> None:
    reply = relayed_to(client_query(flags=0x0110), GOOD)

    assert reply.flags == dns.flags.QR | dns.flags.RD | dns.flags.RA | dns.flags.CD


def test_a_reply_that_is_too_long_for_the_asker_is_truncated() -> None:
    many = [f"www.example.com. 60 IN AAAA 2001:db8::{number:x}" for number in range(1, 31)]
    reply = upstream_reply(ASKED, answers=many).to_wire()

    assert len(reply) > 512
    assert len(relayed_to(client_query(), reply).answer) == 1
    short = relayed_to(client_query(edns=False), reply)
    assert short.flags & dns.flags.TC
    assert (len(short.question), short.answer) == (1, [])
    assert len(relayed_to(client_query(edns=False), reply, stream=True).answer) == 1


def test_what_stands_behind_an_upstreams_opt_goes_with_it() -> None:
    extra = b"\0" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes(4)
    octets = BARE[:10] + b"\0\3" + BARE[12:] + extra + OPT + extra

    relayed = read_relayed(octets, asked=ASKED)

    assert relayed is not None
    assert relayed.counts == (2, 0, 1)
    assert (
        relayed_to(client_query(edns=False), octets).additional[0].to_text() == ". 60 IN A 0.0.0.0"
    )


def test_the_upper_half_of_an_upstreams_rcode_counts() -> None:
    badvers = BARE + OPT[:5] + b"\1" + OPT[6:]
    relayed = read_relayed(badvers, asked=ASKED)

    assert relayed is not None
    assert relayed.rcode == Rcode.BADVERS


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
