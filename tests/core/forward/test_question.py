from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgctl.core.forward.question import Question, letters, pack, question_of, spell
from wgctl.core.wire import Query, read_query

NAME = b"\3www\7example\3com\0"


def query(
    name: str, type_: str = "AAAA", *, flags: int = 0, edns: int = -1, **options: Any
) -> Query:
    message = dns.message.make_query(name, type_)
    message.flags |= flags
    message.use_edns(edns, **options)
    found = read_query(message.to_wire())
    assert found is not None
    return found


def test_spelling_id_and_options_make_no_other_question() -> None:
    subnet = dns.edns.ECSOption("192.0.2.0", 24)
    plain = Question(NAME, dns.rdatatype.AAAA)

    assert question_of(query("www.example.com", edns=-1)) == plain
    assert question_of(query("wWw.ExamPle.coM", edns=0, options=[subnet])) == plain


@pytest.mark.parametrize(
    ("asked", "question"),
    [
        (query("www.example.com", "A"), Question(NAME, 1)),
        (query("www.example.com", edns=0, ednsflags=0x8000), Question(NAME, 28, dnssec_ok=True)),
        (
            query("www.example.com", flags=dns.flags.CD),
            Question(NAME, 28, checking_disabled=True),
        ),
    ],
)
def test_type_do_and_cd_do(asked: Query, question: Question) -> None:
    assert question_of(asked) == question


@given(st.integers(0, 2**2040 - 1))
def test_a_spelling_hides_as_many_bits_as_there_are_letters(bits: int) -> None:
    question = Question(NAME, 28)
    spelled = spell(question, bits=bits)

    assert letters(NAME) == 13
    assert spelled[: len(NAME)].lower() == NAME
    assert spelled[len(NAME) :] == b"\0\x1c\0\1"
    places = [at for at, octet in enumerate(NAME) if chr(octet).isalpha()]
    upper = [chr(spelled[at]).isupper() for at in places]
    assert upper == [bool(bits >> 8 * (len(NAME) - 1 - at) & 0x20) for at in places]


def test_no_octet_but_letters_changes() -> None:
    name = bytes([63]) + bytes(range(193, 256)) + b"\4[@`{\0"

    assert spell(Question(name, 1), bits=2**2040 - 1)[:-4] == name


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("cd", [True, False])
@pytest.mark.parametrize("do", [True, False])
def test_an_upstream_hears_the_question_and_nothing_else_of_the_asker(
    *, padded: bool, cd: bool, do: bool
) -> None:
    question = Question(NAME, 28, do, cd)
    octets = pack(question, spell(question, bits=0x20 << 15 * 8), id_=815, padded=padded)
    asked = dns.message.from_wire(octets)

    assert asked.id == 815
    assert asked.flags == dns.flags.RD | (dns.flags.CD if cd else 0)
    assert asked.question[0].name.to_text() == "Www.example.com."
    assert (asked.edns, asked.payload) == (0, 1232)
    assert asked.ednsflags == (dns.flags.DO if do else 0)
    assert [option.otype for option in asked.options] == ([12] if padded else [])
    assert not padded or len(octets) == 128


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=3))
def test_padded_queries_are_of_few_lengths(labels: list[bytes]) -> None:
    """RFC 8467, section 4.1."""
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    question = Question(name, 1)

    assert len(pack(question, spell(question, bits=0), id_=1, padded=True)) % 128 == 0
