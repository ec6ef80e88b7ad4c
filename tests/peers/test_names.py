import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.errors import InvalidName
from peers.names import (
    RESERVED,
    Label,
    interface_of,
    parse_interface,
    parse_label,
    parse_metadata_key,
    parse_metadata_value,
    parse_port_name,
)

BAD_LABELS = [
    ("", "0 characters, expected 1 to 63"),
    ("x" * 64, "64 characters, expected 1 to 63"),
    ("-web", "both ends"),
    ("web-", "both ends"),
    ("-", "both ends"),
    ("Web", "expected lower-case: 'web'"),
    ("xn--80ak6aa92e", "third and fourth"),
    ("ab--c", "third and fourth"),
    ("web\n", "only a-z"),
    ("web\r", "only a-z"),
    ("web\0", "only a-z"),
    ("a\n[Peer]", "only a-z"),
    ("[Peer]", "only a-z"),
    ("#web", "only a-z"),
    ("web.internal", "only a-z"),
    ("web.", "only a-z"),
    ("../web", "only a-z"),
    ("..", "only a-z"),
    ("web app", "only a-z"),
    ("web\u0085", "only a-z"),
    ("web\u2028", "only a-z"),
    ("w\u0435b", "only a-z"),
    ("wor\u212a", "only a-z"),
    ("web\uff11", "only a-z"),
    ("web\u0663", "only a-z"),
    ("caf\u00e9", "only a-z"),
    ("$(id)", "only a-z"),
    ("%i", "only a-z"),
    ("\ud800", "only a-z"),
    ("\x1b[31m", "only a-z"),
]

# What stands at a place in the name table that an app, a region or a group could also take.
TAKEN = [
    *("internal", "global", "regions", "vms", "vm", "process", "of", "nearest", "all", "kv"),
    *("flycast", "top", "top1", "top0", "top12345", "local", "localhost"),
]


@pytest.mark.parametrize(
    "text", ["a", "7", "web", "alice-laptop", "api", "default", "topaz", "top1a", "a-b", "x" * 63]
)
def test_a_dns_label_is_taken_as_it_is(text: str) -> None:
    assert parse_label(text) == text


@pytest.mark.parametrize(("text", "rule"), BAD_LABELS)
@pytest.mark.parametrize("parse", [parse_label, parse_metadata_key, parse_metadata_value])
def test_what_is_no_label_is_refused_by_the_rule_it_breaks(
    parse: type[str], text: str, rule: str
) -> None:
    with pytest.raises(InvalidName, match=re.escape(rule)):
        parse(text)


@pytest.mark.parametrize("text", ["a_b", "fly_process_group", "a__b", "ab__c", "x-_y"])
def test_only_a_word_of_metadata_may_hold_an_underscore(text: str) -> None:
    assert parse_metadata_key(text) == parse_metadata_value(text) == text
    with pytest.raises(InvalidName, match="only a-z"):
        parse_label(text)


@pytest.mark.parametrize("text", ["_", "_api", "api_", "A_b", "ab--_c"])
def test_no_name_begins_or_ends_with_an_underscore(text: str) -> None:
    """What does is one of the resolver's own words, or of a service."""
    for parse in (parse_label, parse_metadata_key, parse_metadata_value):
        with pytest.raises(InvalidName):
            parse(text)


@pytest.mark.parametrize("text", ["h", "http", "x" * 15])
def test_the_name_of_a_port_is_a_short_label(text: str) -> None:
    assert parse_port_name(text) == text


@pytest.mark.parametrize(
    ("text", "rule"),
    [("x" * 16, "16 characters, expected 1 to 15"), ("_tcp", "only a-z"), ("all", "reserved")],
)
def test_what_no_service_can_be_called_is_refused(text: str, rule: str) -> None:
    with pytest.raises(InvalidName, match=f"^port '{text}'.*{rule}"):
        parse_port_name(text)


@given(st.text(max_size=70))
def test_a_name_that_is_taken_has_the_closed_alphabet(text: str) -> None:
    closed = 1 <= len(text) <= 63 and set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    try:
        taken, said = True, str(parse_label(text))
    except InvalidName as refusal:
        taken, said = False, str(refusal)

    assert closed or not taken
    assert said.isascii()
    assert said.isprintable()


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True))
def test_every_label_without_a_rule_against_it_is_taken(text: str) -> None:
    free = text not in RESERVED and not re.fullmatch(r"top[0-9]+", text) and text[2:4] != "--"

    if free:
        assert parse_label(text) == text


@pytest.mark.parametrize("text", sorted({*TAKEN, *RESERVED}))
def test_a_word_of_the_name_table_is_reserved_but_not_as_metadata(text: str) -> None:
    with pytest.raises(InvalidName, match="reserved"):
        parse_label(text)
    assert parse_metadata_key(text) == parse_metadata_value(text) == text


def test_the_message_says_what_was_named() -> None:
    with pytest.raises(InvalidName, match=r"^region 'AMS': .* lower-case: 'ams'$"):
        parse_label("AMS", what="region")


def test_the_message_shows_the_text_escaped_and_cut() -> None:
    with pytest.raises(InvalidName, match=r"^name '\\n\\x1b"):
        parse_label("\n\x1b")
    with pytest.raises(InvalidName) as refusal:
        parse_label("x" * 10**6)
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("text", ["wgctl0", "W", "a.b_c-d", "x" * 15])
def test_an_interface_name_is_taken_as_it_is(text: str) -> None:
    assert parse_interface(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "x" * 16, "0wg", "-wg", ".", "..", "_wg", "wg/0", "wg 0", "wg0\n", "wg:0", "wg%d"),
        *("wg\u0661", "wg'", 'wg"', "wg@if2", "wg=0", "wg+", "wg*"),
    ],
)
def test_an_interface_name_that_some_tool_refuses_is_refused(text: str) -> None:
    with pytest.raises(InvalidName, match="1 to 15 characters"):
        parse_interface(text)


@pytest.mark.parametrize("text", ["lo", "all", "default"])
def test_the_systems_own_interfaces_are_refused(text: str) -> None:
    with pytest.raises(InvalidName, match="system's own"):
        parse_interface(text)


@pytest.mark.parametrize("text", ["a", "alice-laptop", "x" * 15])
def test_a_label_that_is_an_interface_name_stays_as_it_is(text: str) -> None:
    assert interface_of(Label(text)) == text


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True).map(Label))
def test_every_label_gives_one_interface_name(label: Label) -> None:
    made = interface_of(label)

    assert parse_interface(made) == made == interface_of(label)


def test_long_labels_that_begin_alike_give_different_interface_names() -> None:
    made = {interface_of(Label(f"build-machine-frankfurt-{number}")) for number in range(100)}

    assert len(made) == 100


def test_labels_that_are_no_interface_names_are_cut() -> None:
    assert interface_of(Label("7-of-nine")).startswith("wg-7-of-ni-")
    assert interface_of(Label("all")).startswith("wg-all-")
