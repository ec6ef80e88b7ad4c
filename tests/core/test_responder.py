"""What each kind of query gets: the place to look first.

The network that is asked is in `replies`; dnspython reads every reply.
"""

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.names import Label
from tests.core.messages import MESSAGES, QUERY, QUESTION, WITH_OPT, flagged, header, opt
from tests.core.replies import (
    CROWD,
    NAMES,
    NETWORK,
    NO,
    NOW,
    SICK,
    VIEW,
    WEB,
    machine,
    peer,
    reverse,
)
from wgctl.core.model import App, MachineState
from wgctl.core.responder import Forward, respond
from wgctl.core.view import View, build


def asked(message: dns.message.Message) -> dns.message.Message:
    return replied(message.to_wire())


def replied(wire: bytes, *, stream: bool = False) -> dns.message.Message:
    reply = respond(wire, view=VIEW, forwards=False, stream=stream)
    assert isinstance(reply, bytes)
    return dns.message.from_wire(reply)


def lines(section: list[dns.rrset.RRset]) -> list[str]:
    return [line for rrset in section for line in rrset.to_text().splitlines()]


@pytest.mark.parametrize(("name", "type_", "rcode", "answers", "soa"), NAMES)
def test_each_name_and_type_has_its_reply(
    name: str, type_: str, rcode: str, answers: list[str], soa: str
) -> None:
    query = dns.message.make_query(name, type_)
    reply = asked(query)

    assert dns.rcode.to_text(reply.rcode()) == rcode
    assert sorted(lines(reply.answer)) == sorted(answers)
    assert lines(reply.authority) == ([soa] if soa else [])
    if type_ != "SRV":
        glue = ["_api.internal. 5 IN AAAA fdaa:0:18::3"] if answers and type_ == "NS" else []
        assert lines(reply.additional) == glue
    authoritative = bool(answers or soa)
    flags = dns.flags.QR | dns.flags.RD | (dns.flags.AA if authoritative else 0)
    assert reply.flags & ~0xF == flags
    assert reply.id == query.id
    assert reply.question[0].name.to_text() == dns.name.from_text(name).to_text()


@pytest.mark.parametrize(
    ("octets", "rcode"), [case[1:] for case in MESSAGES], ids=[case[0] for case in MESSAGES]
)
def test_each_message_has_its_rcode_or_silence(octets: bytes, rcode: str | None) -> None:
    """The probes of RFC 8906, section 8, and what a strict gate must refuse."""
    reply = respond(octets, view=VIEW, forwards=False, stream=False)

    if rcode is None:
        assert reply is None
        return
    assert isinstance(reply, bytes)
    message = dns.message.from_wire(reply)
    assert dns.rcode.to_text(message.rcode()) == rcode
    assert reply[:2] == octets[:2]
    # Opcode, RD and CD (RFC 4035, section 3.2.2) are copied; TC, RA, Z and AD are not.
    asked_flags, flags = octets[2] << 8 | octets[3], reply[2] << 8 | reply[3]
    assert flags & ~0x040F == 0x8000 | asked_flags & 0x7910


@pytest.mark.parametrize(
    ("octets", "rcode"), [case[1:] for case in MESSAGES], ids=[case[0] for case in MESSAGES]
)
def test_a_reply_has_opt_just_when_its_query_has(octets: bytes, rcode: str | None) -> None:
    """RFC 6891, section 6.1.1 and 7: also when the reply is an error."""
    if rcode is None:
        return
    reply = replied(octets)

    additional = octets[10:12] != bytes(2)
    assert (reply.edns == 0) == (additional and b"\0\x29" in octets and len(octets) <= 4096)
    if reply.edns == 0:
        assert reply.payload == 1232
        assert reply.options == ()


def test_of_the_edns_flags_only_do_comes_back() -> None:
    assert replied(WITH_OPT + opt(flags=0xFFFF)).ednsflags == dns.flags.DO
    assert replied(WITH_OPT + opt(flags=0x7FFF)).ednsflags == 0


@pytest.mark.parametrize("payload", [None, 512, 4096])
@pytest.mark.parametrize(
    ("name", "type_"), [("_http._tcp.web.internal", "SRV"), ("_peer.internal", "TXT")]
)
def test_what_no_datagram_holds_comes_truncated_with_question_and_opt(
    payload: int | None, name: str, type_: str
) -> None:
    query = dns.message.make_query(name, type_, use_edns=payload is not None, payload=payload or 0)
    short, whole = (
        respond(query.to_wire(), view=CROWD, forwards=False, stream=stream)
        for stream in (False, True)
    )

    assert isinstance(short, bytes)
    assert isinstance(whole, bytes)
    truncated, complete = dns.message.from_wire(short), dns.message.from_wire(whole)
    assert truncated.flags == dns.flags.QR | dns.flags.AA | dns.flags.TC | dns.flags.RD
    assert truncated.question == query.question
    assert (truncated.answer, truncated.authority) == ([], [])
    assert truncated.edns == complete.edns == query.edns
    assert not complete.flags & dns.flags.TC
    assert len(complete.answer) == 1


@pytest.mark.parametrize(
    ("payload", "limit", "whole"),
    [(100, 512, 16), (512, 512, 16), (1232, 1232, 32), (65535, 1232, 32)],
)
def test_a_datagram_never_exceeds_what_its_asker_takes_nor_1232_octets(
    payload: int, limit: int, whole: int
) -> None:
    crowd = [peer(number, f"p{number}") for number in range(2, 60)]
    apps = [App(number, 1, 1, Label(f"app{number}"), 0) for number in range(1, 50)]
    machines = [
        machine(app.id * 100 + one.id, app.id, one.id, MachineState.STARTED)
        for app in apps
        for one in crowd[: app.id]
    ]
    view = build(NETWORK, crowd, apps, machines, now=NOW)
    complete = 0
    for app in apps:
        query = dns.message.make_query(f"{app.name}.internal", "AAAA", payload=payload)
        reply = respond(query.to_wire(), view=view, forwards=False, stream=False)

        assert isinstance(reply, bytes)
        assert len(reply) <= limit
        message = dns.message.from_wire(reply)
        if not message.flags & dns.flags.TC:
            complete = max(complete, len(message.answer[0]))
    assert complete == whole


def srv(*, stream: bool, payload: int = 1232) -> dns.message.Message:
    query = dns.message.make_query("_http._tcp.web.internal", "SRV", payload=payload)
    reply = respond(query.to_wire(), view=SERVING, forwards=False, stream=stream)
    assert isinstance(reply, bytes)
    assert len(reply) <= (65535 if stream else payload)
    return dns.message.from_wire(reply)


SERVING = build(
    NETWORK,
    [peer(number, f"peer{number:03}") for number in range(2, 102)],
    [App(1, 1, 1, Label("web"), 0)],
    [machine(number, 1, number, MachineState.STARTED) for number in range(2, 20)],
    now=NOW,
)


def test_the_targets_of_a_service_come_with_their_addresses() -> None:
    reply = srv(stream=True)
    targets = {data.target for data in reply.answer[0]}

    assert len(targets) == 18
    assert {rrset.name for rrset in reply.additional} == targets
    for rrset in reply.additional:
        asked_for = asked_of(SERVING, rrset.name.to_text())
        assert lines(asked_for.answer) == lines([rrset])


def test_addresses_that_do_not_fit_beside_a_service_are_left_out_without_truncation() -> None:
    """RFC 2181, section 9: TC would send the asker to TCP for what it may not even want."""
    reply = srv(stream=False)

    assert not reply.flags & dns.flags.TC
    assert len(reply.answer[0]) == 18
    assert 0 < len(reply.additional) < 18


def asked_of(view: View, name: str, *, turn: int = 0, edns: bool = True) -> dns.message.Message:
    query = dns.message.make_query(name, "AAAA", use_edns=edns)
    reply = respond(query.to_wire(), view=view, forwards=False, stream=False, turn=turn)
    assert isinstance(reply, bytes)
    return dns.message.from_wire(reply)


def test_an_answer_of_last_resort_says_so_to_those_who_understand() -> None:
    """RFC 8914."""
    reply = asked_of(SICK, "web.internal")
    [option] = reply.options

    assert isinstance(option, dns.edns.EDEOption)
    assert (option.code, option.text) == (0, "no machine passes its checks: all are given")
    assert sorted(lines(reply.answer)) == WEB
    assert asked_of(SICK, "web.internal", edns=False).answer == reply.answer
    for name in ("idle.internal", "m1.vm.web.internal", "nope.internal"):
        assert asked_of(SICK, name).options == ()
    assert asked_of(VIEW, "web.internal").options == ()


def test_where_an_answer_begins_is_the_turn_s() -> None:
    def first(turn: int) -> str:
        return lines(asked_of(VIEW, "web.internal", turn=turn).answer)[0]

    assert [first(turn) for turn in range(4)] == WEB * 2


def test_the_strings_of_a_list_join_without_separator() -> None:
    query = dns.message.make_query("_peer.internal", "TXT")
    wire = respond(query.to_wire(), view=CROWD, forwards=False, stream=True)

    assert isinstance(wire, bytes)
    [rrset] = dns.message.from_wire(wire).answer
    [data] = rrset
    assert [len(string) for string in data.strings[:-1]] == [255] * (len(data.strings) - 1)
    assert b"".join(data.strings).decode().split(",") == [f"peer{n:03}" for n in range(2, 402)]


def test_an_asker_in_no_network_hears_nothing() -> None:
    assert respond(QUERY, view=None, forwards=True, stream=False) is None
    assert respond(header(counts=(0, 0, 0, 0)), view=None, forwards=True, stream=False) is None


@pytest.mark.parametrize(
    "name", ["example.com", ".", "arpa", "internal.example.com", "1.1.in-addr.arpa"]
)
def test_names_of_others_go_to_the_upstreams(name: str) -> None:
    query = dns.message.make_query(name, "AAAA")
    forward = respond(query.to_wire(), view=VIEW, forwards=True, stream=False)

    assert isinstance(forward, Forward)
    assert forward.query.id == query.id


@pytest.mark.parametrize("case", [case for case in NAMES if case[2] != NO])
def test_our_names_and_private_ones_never_leave(
    case: tuple[str, str, str, list[str], str],
) -> None:
    name, type_, rcode, _, _ = case
    wire = dns.message.make_query(name, type_).to_wire()
    reply = respond(wire, view=VIEW, forwards=True, stream=False)

    assert isinstance(reply, bytes)
    message = dns.message.from_wire(reply)
    assert dns.rcode.to_text(message.rcode()) == rcode
    assert message.flags & dns.flags.RA


def test_what_is_refused_says_that_this_is_nobody_to_ask() -> None:
    """RFC 8914, section 4.21."""
    for edns, codes in ((True, [20]), (False, [])):
        refused = asked(dns.message.make_query("example.com", "AAAA", use_edns=edns))
        assert refused.rcode() == dns.rcode.REFUSED
        assert [option.code for option in refused.options] == codes


def test_without_recursion_desired_nothing_is_forwarded() -> None:
    wire = flagged("example.com", flags=0)
    reply = respond(wire, view=VIEW, forwards=True, stream=False)

    assert isinstance(reply, bytes)
    assert dns.message.from_wire(reply).rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("type_", ["AXFR", "IXFR", "OPT", "MAILB"])
def test_what_is_no_question_about_a_name_is_not_forwarded(type_: str) -> None:
    wire = dns.message.make_query("example.com", type_).to_wire()

    assert isinstance(respond(wire, view=VIEW, forwards=True, stream=False), bytes)


def test_another_networks_names_look_like_names_that_do_not_exist() -> None:
    """The replies differ by nothing but the name that was asked."""
    pairs = [
        ("carol._peer.internal", "nobod._peer.internal"),
        ("shop.internal", "nope.internal"),
        ("ams.shop.internal", "ams.nope.internal"),
        ("m9.vm.shop.internal", "m9.vm.nope.internal"),
        ("top1.nearest.of.shop.internal", "top1.nearest.of.nope.internal"),
        ("_http._tcp.shop.internal", "_http._tcp.nope.internal"),
        ("shop.flycast", "nope.flycast"),
        (reverse("fdaa:0:19:10::2"), reverse("fdaa:0:77:10::2")),
        (reverse("fdaa:0:19::3"), reverse("fdaa:0:77::3")),
        ("9.1.0.0.0.0.0.0.a.a.d.f.ip6.arpa", "7.7.0.0.0.0.0.0.a.a.d.f.ip6.arpa"),
    ]
    for theirs, unused in pairs:
        for type_ in ("AAAA", "PTR", "SOA", "ANY"):
            assert around_question(theirs, type_) == around_question(unused, type_)


def around_question(name: str, type_: str) -> tuple[bytes, bytes]:
    query = dns.message.make_query(name, type_, id=1).to_wire()
    reply = respond(query, view=VIEW, forwards=False, stream=False)
    assert isinstance(reply, bytes)
    return reply[:12], reply[len(query) :]


def check(octets: bytes) -> None:
    for forwards in (False, True):
        for stream in (False, True):
            reply = respond(octets, view=VIEW, forwards=forwards, stream=stream)
            if isinstance(reply, bytes):
                dns.message.from_wire(reply)
                assert reply[:2] == octets[:2]
                assert reply[2] & 0x80
                assert len(reply) <= (65535 if stream else 1232)
            if len(octets) < 12 or octets[2] & 0x80:
                assert reply is None


@given(st.binary(max_size=600))
def test_no_octets_make_it_raise(octets: bytes) -> None:
    check(octets)


@given(st.binary(max_size=80), st.integers(0, 2), st.integers(0, 6))
def test_no_octets_behind_a_header_make_it_raise(octets: bytes, questions: int, extra: int) -> None:
    check(header(counts=(questions, 0, 0, extra)) + octets)
    check(header(counts=(1, 0, 0, extra)) + QUESTION + octets)


@given(
    st.sampled_from([octets for _, octets, _ in MESSAGES if len(octets) > 12]),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
)
def test_no_change_of_an_octet_makes_it_raise(
    octets: bytes, changes: list[tuple[int, int]]
) -> None:
    changed = bytearray(octets)
    for at, value in changes:
        changed[at % len(changed)] = value
    check(bytes(changed))


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=20))
def test_every_name_that_may_be_asked_gets_a_reply_with_its_question(labels: list[bytes]) -> None:
    name = b"".join(bytes([len(label)]) + label for label in [*labels, b"internal"]) + b"\0"
    octets = header() + name + b"\0\x1c\0\1"
    reply = respond(octets, view=VIEW, forwards=False, stream=False)

    assert isinstance(reply, bytes)
    if len(name) <= 255:
        assert reply[3] & 15 in {0, 3}
        assert reply[12 : 12 + len(name) + 4] == octets[12:]
    else:
        assert reply[3] & 15 == 1
