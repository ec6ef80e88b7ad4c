"""What an answer is made of, and who gets which part of it."""

from collections import Counter
from ipaddress import IPv6Address

import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.names.samples import labels
from wgctl.core.names.record_set import (
    MOST,
    Entry,
    RecordSet,
    address,
    listing,
    pointer,
    service,
    single,
    target,
)
from wgctl.core.wire import Qtype, Query, Rcode, Records, Reply, encode_name, pack_reply

GROUPS = st.lists(st.integers(0, 90), max_size=4)


def numbered(sizes: list[int], *, most: int = MOST) -> RecordSet:
    entries = iter(range(10_000))
    groups = [tuple(Entry(b"%d" % next(entries)) for _ in range(size)) for size in sizes]
    return RecordSet(tuple(groups), most)


@given(GROUPS, st.integers(1, MOST), st.integers(0, 2**32))
def test_an_asker_gets_distinct_records_as_many_as_there_may_be(
    sizes: list[int], most: int, turn: int
) -> None:
    picked = numbered(sizes, most=most).pick(turn)

    assert len(picked) == len(set(picked)) == min(sum(sizes), most)


@given(GROUPS, st.integers(1, MOST), st.integers(0, 2**32))
def test_a_group_comes_before_the_next(sizes: list[int], most: int, turn: int) -> None:
    records = numbered(sizes, most=most)
    group_of = {entry: at for at, group in enumerate(records.groups) for entry in group}
    picked = [group_of[entry] for entry in records.pick(turn)]

    assert picked == sorted(picked)
    assert all(picked.count(at) == sizes[at] for at in set(picked[:-1]) - set(picked[-1:]))


@given(st.integers(1, 90), st.integers(1, MOST), st.integers(0, 2**32))
def test_over_a_round_of_turns_each_record_is_picked_and_first_as_often_as_any(
    size: int, most: int, start: int
) -> None:
    records = numbered([size], most=most)
    round_ = [records.pick(turn) for turn in range(start, start + size)]

    assert set(Counter(entry for picked in round_ for entry in picked).values()) == {
        min(size, most)
    }
    assert set(Counter(picked[0] for picked in round_).values()) == {1}


def test_of_many_records_every_nth_is_picked() -> None:
    picked = [int(entry.record) for entry in numbered([320]).pick(5)]

    assert picked == [(5 + 10 * step) % 320 for step in range(32)]


def test_the_most_addresses_fit_into_a_datagram_whatever_is_asked_and_said() -> None:
    """So that nobody needs a second question, over TCP, for a name alone."""
    name = encode_name((b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 61))
    query = Query(1, 0, question=name + bytes(4))._replace(edns=None)
    records = RecordSet((tuple(address(IPv6Address(n)) for n in range(99)),)).pick(0)
    answers = Records(len(records), b"".join(entry.record for entry in records))
    reply = pack_reply(query, Reply(Rcode.NOERROR, answers=answers), stream=True, forwards=False)

    opt_with_note = 11 + 6 + 48
    assert len(name) == 255
    assert len(reply) + opt_with_note <= 1232


def packed(question: str, type_: str, records: RecordSet) -> dns.message.Message:
    """Return a reply with `records`, as dnspython reads it."""
    query = dns.message.make_query(question, type_)
    raw = Query(query.id, 0, question=query.to_wire()[12:])
    entries = records.pick(0)
    reply = Reply(
        Rcode.NOERROR,
        answers=Records(len(entries), b"".join(entry.record for entry in entries)),
        additional=tuple(entry.glue for entry in entries if entry.glue),
    )
    return dns.message.from_wire(pack_reply(raw, reply, stream=True, forwards=False))


def lines(section: list[dns.rrset.RRset]) -> list[str]:
    return [line for rrset in section for line in rrset.to_text().splitlines()]


def test_each_kind_of_record_is_what_dnspython_reads() -> None:
    at = IPv6Address("fdaa:0:18:10::2")
    here = target(labels("m1.vm.web.internal"), at)
    reply = packed("_http._tcp.web.internal", "SRV", RecordSet(((service(here, 8080),),)))

    assert lines(reply.answer) == ["_http._tcp.web.internal. 5 IN SRV 0 1 8080 m1.vm.web.internal."]
    assert lines(reply.additional) == ["m1.vm.web.internal. 5 IN AAAA fdaa:0:18:10::2"]
    assert lines(packed("a", "AAAA", RecordSet(((address(at),),))).answer) == [f"a. 5 IN AAAA {at}"]
    assert lines(packed("a", "PTR", pointer(labels("b.c"))).answer) == ["a. 5 IN PTR b.c."]
    assert lines(packed("a", "NS", single(Qtype.NS, b"\1b\0")).answer) == ["a. 5 IN NS b."]


@pytest.mark.parametrize(
    ("words", "separator", "said"),
    [
        (["a", "b"], ",", ['"a,b"']),
        (["a 2", "b 1"], ";", ['"a 2;b 1"']),
        ([], ",", None),
        (["x" * 200, "y" * 200], ",", [f'"{"x" * 200},{"y" * 54}"', f'"{"y" * 146}"']),
    ],
)
def test_a_list_is_joined_and_cut_into_strings_of_255_octets(
    words: list[str], separator: str, said: list[str] | None
) -> None:
    records = listing(words, separator=separator)

    if said is None:
        assert records == {}
    else:
        assert lines(packed("a", "TXT", records[Qtype.TXT]).answer) == [
            f"a. 5 IN TXT {' '.join(said)}"
        ]


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_list_longer_than_a_message_ends_with_a_whole_word_and_says_so(separator: str) -> None:
    words = [f"{number:060}" for number in range(1200)]
    left = iter(words)
    records = listing(left, separator=separator)[Qtype.TXT]
    [[data]] = packed("a", "TXT", records).answer

    assert b"".join(data.strings).decode().split(separator) == words[:983]  # 61 each, in 60,000
    assert b"cut" in records.note
    assert next(left) == words[984]  # no more is taken than is needed to know
    assert not listing(words[:983])[Qtype.TXT].note
