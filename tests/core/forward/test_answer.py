"""What an upstream's message is worth: dnspython makes it, and reads what is passed on."""

import struct
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgctl.core.forward.answer import Answer, Failure, Fault, read, reply_of
from wgctl.core.forward.question import Question, pack, question_of, spell
from wgctl.core.wire import pack_reply, read_query

BITS = int.from_bytes(b"\x20\0\x20" * 7, "big")
SOA = "example. 900 IN SOA ns.example. root.example. 1 2 3 4 60"
RRSIG = "8 2 60 20300101000000 20200101000000 1 example. c2ln"


def question(name: str = "www.a.example", type_: str = "A", *, do: bool = False) -> Question:
    query = read_query(dns.message.make_query(name, type_, want_dnssec=do).to_wire())
    assert query is not None
    return question_of(query)


def asked(put: Question) -> bytes:
    return pack(put, spell(put, bits=BITS), id_=815)


def message(
    put: Question,
    *answers: str,
    authority: list[str] | None = None,
    additional: list[str] | None = None,
    rcode: str = "NOERROR",
    flags: int = 0,
    **edns: Any,
) -> bytes:
    made = dns.message.make_response(dns.message.from_wire(asked(put)), recursion_available=True)
    made.flags |= flags
    if edns:
        made.use_edns(**edns)
    made.set_rcode(dns.rcode.from_text(rcode))
    sections = (made.answer, answers), (made.authority, authority), (made.additional, additional)
    for section, lines in sections:
        for line in lines or []:
            name, ttl, class_, type_, data = line.split(" ", 4)
            section.append(dns.rrset.from_text(name, int(ttl), class_, type_, data))
    return made.to_wire(max_size=65_535)


def ours(address: bytes) -> bool:
    return address[:2] == b"\xfd\xaa"


def believed(put: Question, octets: bytes) -> Answer:
    found = read(octets, put, asked=asked(put), ours=ours)
    assert isinstance(found, Answer)
    return found


def passed_on(
    put: Question, octets: bytes, *, age_s: int = 0, stale: bool = False
) -> dns.message.Message:
    """Return what an asker gets who spells the name in small letters."""
    name = dns.message.from_wire(asked(put)).question[0].name.to_text().lower()
    query = read_query(
        dns.message.make_query(
            name, dns.rdatatype.RdataType(put.type), use_edns=0, want_dnssec=put.dnssec_ok
        ).to_wire()
    )
    assert query is not None
    reply = reply_of(believed(put, octets), age_s=age_s, stale=stale)
    return dns.message.from_wire(pack_reply(query, reply, stream=True, forwards=True))


def lines(section: list[dns.rrset.RRset]) -> list[str]:
    return [line.lower() for rrset in section for line in rrset.to_text().splitlines()]


WWW = question()
GOOD = message(WWW, "www.a.example. 60 IN A 192.0.2.1")
END = 12 + len(WWW.name) + 4


def put(at: int, *octets: int) -> bytes:
    return GOOD[:at] + bytes(octets) + GOOD[at + len(octets) :]


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        pytest.param(b"", Fault.STRAY, id="nothing"),
        pytest.param(GOOD[:11], Fault.STRAY, id="half a header"),
        pytest.param(put(0, GOOD[0] ^ 1), Fault.STRAY, id="another id"),
        pytest.param(asked(WWW), Fault.STRAY, id="the query itself"),
        pytest.param(put(2, GOOD[2] | 0x08), Fault.STRAY, id="another opcode"),
        pytest.param(put(5, 0), Fault.STRAY, id="no question"),
        pytest.param(put(5, 2), Fault.STRAY, id="two questions"),
        pytest.param(put(14, ord("x")), Fault.STRAY, id="another name"),
        pytest.param(put(END - 3, 28), Fault.STRAY, id="another type"),
        pytest.param(put(END - 1, 3), Fault.STRAY, id="another class"),
        pytest.param(GOOD[: END - 1], Fault.STRAY, id="question cut"),
        pytest.param(put(13, GOOD[13] ^ 0x20), Fault.RESPELLED, id="another case"),
        pytest.param(put(2, GOOD[2] | 0x02), Fault.TRUNCATED, id="truncated"),
        pytest.param(GOOD[:END], Fault.BROKEN, id="records announced, none there"),
        pytest.param(GOOD[:-1], Fault.BROKEN, id="last record cut"),
        pytest.param(put(7, 200), Fault.BROKEN, id="200 answers announced"),
        pytest.param(put(END, 0xC1, 0xFF), Fault.BROKEN, id="name that points forward"),
        pytest.param(put(11, 2) + GOOD[-11:], Fault.BROKEN, id="two OPT records"),
        pytest.param(message(WWW, rcode="SERVFAIL"), Fault.FAILED, id="SERVFAIL"),
        pytest.param(message(WWW, rcode="REFUSED"), Fault.FAILED, id="REFUSED"),
        pytest.param(message(WWW, rcode="BADVERS"), Fault.FAILED, id="BADVERS"),
        pytest.param(
            message(WWW, "www.a.example. 60 IN A 192.0.2.1", rcode="NXDOMAIN"),
            Fault.BROKEN,
            id="NXDOMAIN with data",
        ),
        pytest.param(
            message(WWW, "www.a.example. 60 IN CNAME b.", "b. 60 IN CNAME www.a.example."),
            Fault.BROKEN,
            id="CNAME loop",
        ),
        pytest.param(
            message(WWW, "www.a.example. 60 IN CNAME WWW.a.example."), Fault.BROKEN, id="own CNAME"
        ),
        pytest.param(
            message(
                WWW,
                "www.a.example. 60 IN CNAME c0.",
                *(f"c{number}. 60 IN CNAME c{number + 1}." for number in range(12)),
            ),
            Fault.BROKEN,
            id="a chain of 13",
        ),
    ],
)
def test_a_message_that_is_no_answer_says_why(octets: bytes, fault: Fault) -> None:
    found = read(octets, WWW, asked=asked(WWW), ours=ours)

    assert isinstance(found, Failure)
    assert found.fault is fault


def test_the_case_counts_only_where_it_is_wanted() -> None:
    respelled = put(13, GOOD[13] ^ 0x20)

    found = read(respelled, WWW, asked=asked(WWW), ours=ours, exact=False)
    assert isinstance(found, Answer)
    assert found.answers.total == 1


def test_a_server_that_only_knows_others_is_no_resolver() -> None:
    octets = bytearray(message(WWW, authority=["example. 60 IN NS ns.example."]))
    assert isinstance(read(bytes(octets), WWW, asked=asked(WWW), ours=ours), Answer)

    octets[3] &= 0x7F  # recursion available
    assert read(bytes(octets), WWW, asked=asked(WWW), ours=ours) == Failure(Fault.BROKEN)


CHAIN = [
    "www.a.example. 300 IN CNAME web.b.example.",
    "web.b.example. 50 IN A 192.0.2.1",
    "web.b.example. 50 IN A 192.0.2.2",
]


# what, question, answers, what is kept of them
KEPT = [
    ("a chain", WWW, CHAIN, CHAIN),
    ("in any order", WWW, CHAIN[::-1], [CHAIN[0], CHAIN[2], CHAIN[1]]),
    ("other names", WWW, [*CHAIN, "bank.example. 60 IN A 192.0.2.66"], CHAIN),
    ("other types", WWW, [*CHAIN, 'web.b.example. 60 IN TXT "x"'], CHAIN),
    ("the other end", WWW, [CHAIN[0], "a.example. 60 IN A 192.0.2.66"], CHAIN[:1]),
    ("a second alias", WWW, [CHAIN[0], "web.b.example. 9 IN CNAME a.", "a. 9 IN CNAME b."],
     [CHAIN[0], "web.b.example. 9 IN CNAME a.", "a. 9 IN CNAME b."]),
    ("asked for CNAME", question(type_="CNAME"), CHAIN, CHAIN[:1]),
    ("asked for ANY", question("web.b.example", "ANY"), CHAIN, CHAIN[1:]),
    ("DNAME", question("www.c.example"),
     ["c.example. 60 IN DNAME d.example.", "www.c.example. 60 IN CNAME www.d.example.",
      "www.d.example. 60 IN A 192.0.2.1", "x.example. 60 IN DNAME y.example."],
     ["c.example. 60 IN DNAME d.example.", "www.c.example. 60 IN CNAME www.d.example.",
      "www.d.example. 60 IN A 192.0.2.1"]),
    ("signatures", WWW, [CHAIN[1], f"www.a.example. 60 IN RRSIG A {RRSIG}"], []),
    ("signatures that were asked for", question("web.b.example", do=True),
     [CHAIN[1], f"web.b.example. 60 IN RRSIG A {RRSIG}",
      f"web.b.example. 60 IN RRSIG TXT {RRSIG}"],
     [CHAIN[1], f"web.b.example. 60 IN RRSIG A {RRSIG}"]),
    ("addresses of ours", question("x.example", "AAAA"),
     ["x.example. 60 IN AAAA fdaa:0:18:10::2", "x.example. 60 IN AAAA 2001:db8::1"],
     ["x.example. 60 IN AAAA 2001:db8::1"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("put_", "answers", "kept"), [row[1:] for row in KEPT], ids=[row[0] for row in KEPT]
)
def test_what_leads_from_the_name_to_its_records_is_kept_and_nothing_else(
    put_: Question, answers: list[str], kept: list[str]
) -> None:
    elsewhere = ["example. 60 IN NS ns.example.", "bank.example. 60 IN NS ns.evil.example."]
    glue = ["ns.example. 60 IN A 192.0.2.53", "bank.example. 60 IN A 192.0.2.66"]
    octets = message(put_, *answers, authority=elsewhere, additional=glue)
    reply = passed_on(put_, octets)

    assert sorted(lines(reply.answer)) == sorted(line.lower() for line in kept)
    assert (reply.authority, reply.additional) == ([], [])
    assert reply.flags == dns.flags.QR | dns.flags.RD | dns.flags.RA


NSEC = "www.a.example. 60 IN NSEC x.a.example. A RRSIG NSEC"


@pytest.mark.parametrize("rcode", ["NXDOMAIN", "NOERROR"])
@pytest.mark.parametrize("do", [True, False])
def test_a_denial_has_its_soa_and_the_proofs_that_were_asked_for(rcode: str, *, do: bool) -> None:
    put_ = question(do=do)
    proofs = [NSEC, f"example. 60 IN RRSIG SOA {RRSIG}", f"www.a.example. 60 IN RRSIG NSEC {RRSIG}"]
    more = ["example. 60 IN NS ns.example.", "other. 900 IN SOA ns.other. r.other. 1 2 3 4 5"]
    octets = message(put_, authority=[more[1], SOA, *proofs, more[0]], rcode=rcode)
    reply = passed_on(put_, octets)

    soa = SOA.replace("900", "60").lower()  # RFC 2308, section 3
    assert dns.rcode.to_text(reply.rcode()) == rcode
    assert sorted(lines(reply.authority)) == sorted([soa, *map(str.lower, proofs)] if do else [soa])
    assert believed(put_, octets).ttl_s == 60


@pytest.mark.parametrize(
    ("octets", "ttl_s"),
    [
        (message(WWW, *CHAIN), 50),
        (message(WWW, "www.a.example. 999999 IN A 192.0.2.1"), 86_400),
        (message(WWW, "www.a.example. 0 IN A 192.0.2.1"), 0),
        (message(WWW, authority=[SOA]), 60),
        (message(WWW, authority=[SOA.replace(" 60", " 99999").replace("900", "99999")]), 3600),
        (message(WWW, CHAIN[0], authority=[SOA]), 60),
        (message(WWW), 0),
        (message(WWW, CHAIN[0]), 0),
        (message(WWW, rcode="NXDOMAIN"), 0),
        (message(WWW, authority=["other. 900 IN SOA ns.other. r.other. 1 2 3 4 5"]), 0),
    ],
)
def test_it_holds_as_long_as_the_least_of_its_records_and_no_without_soa_not_at_all(
    octets: bytes, ttl_s: int
) -> None:
    assert believed(WWW, octets).ttl_s == ttl_s


def test_records_grow_old_and_stale_ones_say_so() -> None:
    octets = message(WWW, *CHAIN)

    assert [rrset.ttl for rrset in passed_on(WWW, octets, age_s=40).answer] == [260, 10]
    stale = passed_on(WWW, octets, age_s=4000, stale=True)
    assert [rrset.ttl for rrset in stale.answer] == [30, 30]
    assert errors(stale) == [3]
    gone = passed_on(WWW, message(WWW, authority=[SOA], rcode="NXDOMAIN"), stale=True)
    assert errors(gone) == [19]


def errors(reply: dns.message.Message) -> list[int]:
    return [int(one.code) for one in reply.options if isinstance(one, dns.edns.EDEOption)]


def test_an_upstreams_extended_error_is_passed_on() -> None:
    bogus = dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS, "why")
    options: dict[str, Any] = {
        "edns": 0,
        "options": [dns.edns.GenericOption("COOKIE", b"12345678"), bogus],
    }

    failed = read(message(WWW, rcode="SERVFAIL", **options), WWW, asked=asked(WWW), ours=ours)
    assert failed == Failure(Fault.FAILED, 6, 2)
    assert errors(passed_on(WWW, message(WWW, *CHAIN, **options))) == [6]


@pytest.mark.parametrize(
    ("type_", "ours_", "public"),
    [
        ("AAAA", "fdaa::1", "fdab::1"),
        ("HTTPS", "1 . alpn=h2 ipv6hint=2001:db8::1,fdaa::1", "1 . alpn=h2 ipv6hint=fdab::1"),
        ("SVCB", "1 y. ipv4hint=192.0.2.1 ipv6hint=fdaa::1", "1 y. ipv4hint=192.0.2.1"),
        # Whoever follows an alias by itself would ask for the private name.
        ("HTTPS", "0 web.Internal.", "0 web.internal.example."),
        ("HTTPS", "1 web.flycast. alpn=h2", "1 web. alpn=h2"),
        ("SVCB", "0 localhost.", "0 ."),
    ],
)
def test_what_is_left_out_because_it_is_ours_is_told(type_: str, ours_: str, public: str) -> None:
    put_ = question("x.example", type_)
    passed = passed_on(put_, message(put_, f"x.example. 60 IN {type_} {public}"))
    reply = passed_on(put_, message(put_, f"x.example. 60 IN {type_} {ours_}"))

    assert len(passed.answer) == 1
    assert (reply.rcode(), reply.answer, errors(reply)) == (dns.rcode.NOERROR, [], [15])


@pytest.mark.parametrize("rcode", ["NOERROR", "NXDOMAIN"])
@pytest.mark.parametrize(
    "answers",
    [
        ["www.a.example. 9 IN CNAME db.Internal.", "db.internal. 9 IN A 192.0.2.66"],
        ["www.a.example. 60 IN CNAME b.example.", "b.example. 9 IN CNAME localhost."],
        ["a.example. 9 IN DNAME internal.", "www.a.example. 9 IN CNAME www.internal."],
    ],
)
def test_a_name_that_leads_to_a_private_one_is_left_out_and_that_is_told(
    answers: list[str], rcode: str
) -> None:
    """Whoever follows an alias by itself would ask for the private name, and get its records."""
    root = ". 900 IN SOA ns. root. 1 2 3 4 60"
    octets = message(WWW, *answers, authority=[root], rcode=rcode)
    reply = passed_on(WWW, octets)

    assert (reply.rcode(), reply.answer, reply.authority) == (dns.rcode.NOERROR, [], [])
    assert errors(reply) == [15]
    assert believed(WWW, octets).ttl_s == 9


def test_each_network_in_a_reply_is_looked_up_once_and_not_without_end() -> None:
    put_ = question("x.example", "AAAA")
    seen: list[bytes] = []

    def whole(address: bytes) -> bool:
        seen.append(address[:6])
        return address[:4] == b"\xfd\xaa\0\0"

    def answer(*addresses: str) -> Answer | Failure:
        made = message(put_, *(f"x.example. 60 IN AAAA {one}" for one in addresses))
        return read(made, put_, asked=asked(put_), ours=whole)

    found = answer(*(f"fdaa:0:{one % 2 + 1}::{one}" for one in range(90)))
    assert isinstance(found, Answer)
    assert (found.answers.total, sorted(seen)) == (0, [b"\xfd\xaa\0\0\0\1", b"\xfd\xaa\0\0\0\2"])
    seen.clear()
    assert answer(*(f"fdab:0:{one}::1" for one in range(101))) == Failure(Fault.BROKEN)
    assert len(seen) == 100


def test_cd_comes_back_and_nobody_here_vouches_for_signatures() -> None:
    query = read_query(dns.message.make_query("www.a.example", "A", flags=0x0110).to_wire())
    assert query is not None
    put_ = question_of(query)
    octets = message(put_, CHAIN[1].replace("web.b", "www.a"), flags=dns.flags.AD | dns.flags.AA)
    reply = reply_of(believed(put_, octets), age_s=0, stale=False)
    packed = dns.message.from_wire(pack_reply(query, reply, stream=False, forwards=True))

    assert packed.flags == dns.flags.QR | dns.flags.RD | dns.flags.RA | dns.flags.CD


@given(st.binary(max_size=200), st.integers(0, END))
def test_no_octets_make_it_raise(octets: bytes, kept: int) -> None:
    for message_ in (GOOD[:kept] + octets, GOOD[:END] + octets):
        found = read(message_, WWW, asked=asked(WWW), ours=ours)
        if isinstance(found, Answer):
            reply_of(found, age_s=1, stale=False)


@given(st.binary(max_size=80))
def test_no_data_of_a_service_makes_it_raise(data: bytes) -> None:
    put_ = question("x.example", "HTTPS")
    record = b"\xc0\x0c" + struct.pack("!HHIH", 65, 1, 60, len(data)) + data
    head = struct.pack("!6H", 815, 0x8180, 1, 1, 0, 0)

    def whole(address: bytes) -> bool:
        assert len(address) == 16
        return False

    octets = head + asked(put_)[12 : 12 + len(put_.name) + 4] + record
    assert isinstance(read(octets, put_, asked=asked(put_), ours=whole), Answer)


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4))
def test_no_change_of_an_octet_brings_in_another_name(changes: list[tuple[int, int]]) -> None:
    octets = bytearray(message(WWW, *CHAIN, authority=[SOA]))
    for at, value in changes:
        octets[at % len(octets)] = value
    found = read(bytes(octets), WWW, asked=asked(WWW), ours=ours)
    if isinstance(found, Answer):
        query = read_query(dns.message.make_query("www.a.example", "A").to_wire())
        assert query is not None
        reply = reply_of(found, age_s=0, stale=False)
        packed = pack_reply(query, reply, stream=True, forwards=True)
        owners = [rrset.name for rrset in dns.message.from_wire(packed).answer]
        assert not owners or owners[0] == query_name(packed)


def query_name(packed: bytes) -> Any:
    return dns.message.from_wire(packed).question[0].name
