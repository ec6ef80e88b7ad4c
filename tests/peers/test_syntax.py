import re

import pytest

from peers.errors import InvalidConfig
from peers.syntax import INTERFACE, MAX_CHARACTERS, PEER, Line, scan

PRIVATE = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PUBLIC = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="

INTERFACE_LINES = f"[Interface]\nPrivateKey = {PRIVATE}\n"
PEER_LINES = f"[Peer]\nPublicKey = {PUBLIC}\n"


def refusal(text: str) -> str:
    with pytest.raises(InvalidConfig) as refused:
        scan(text)
    return str(refused.value)


def test_sections_keys_and_comments_are_told_apart() -> None:
    document = scan(f"# one\n\n#two \n{INTERFACE_LINES}# dropped\nMTU=1420 # too\n\n{PEER_LINES}")
    interface, peer = document.sections

    assert document.comment == ("one", "two")
    assert (interface.name, interface.number) == (INTERFACE, 4)
    assert interface.lines == (Line(5, "PrivateKey", PRIVATE), Line(7, "MTU", "1420"))
    assert (peer.name, peer.number) == (PEER, 9)
    assert peer.lines == (Line(10, "PublicKey", PUBLIC),)


@pytest.mark.parametrize(
    "text",
    [
        f"[INTERFACE]\nprivatekey={PRIVATE}",
        f"\t[Interface] # it\n  PRIVATEKEY  =\t{PRIVATE}  # secret\n\n\n",
        f"\ufeff[interface]\r\nPrivateKey = {PRIVATE}\r\n",
    ],
)
def test_letter_case_space_crlf_and_a_byte_order_mark_do_not_matter(text: str) -> None:
    (section,) = scan(text).sections

    assert [(line.key, line.value) for line in section.lines] == [("PrivateKey", PRIVATE)]


def test_a_hook_keeps_its_commas_and_equal_signs() -> None:
    (section,) = scan(f"{INTERFACE_LINES}PostUp = a=b, c == d\nPostUp = e\n").sections

    assert [line.value for line in section.lines[1:]] == ["a=b, c == d", "e"]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("MTU = 1", "line 1: expected [Interface] or [Peer] before the first key"),
        ("\n[Peers]\n", "line 2: unknown section, expected [Interface] or [Peer]"),
        ("[Interface\n", "line 1: unknown section"),
        ("[Interface] x\n", "line 1: unknown section"),
        ("[]\n", "line 1: unknown section"),
        (f"{INTERFACE_LINES}[\u0420eer] x\n", "line 3: unknown section"),
        ("[Interface]\nMTU = 1420\n", "line 1: no PrivateKey, expected one"),
        (f"{INTERFACE_LINES}[Peer]\n", "line 3: no PublicKey, expected one"),
        (f"{INTERFACE_LINES}MTU 1420\n", "line 3: no '=', expected 'key = value'"),
        (f"{INTERFACE_LINES}Mtus = 1420\n", "line 3: unknown key in [Interface], expected Priv"),
        (f"{INTERFACE_LINES}Endpoint = a:1\n", "line 3: unknown key in [Interface]"),
        (f"{PEER_LINES}MTU = 1420\n", "line 3: unknown key in [Peer], expected PublicKey, Pre"),
        (f"{INTERFACE_LINES}MTU = 1\nmtu = 2\n", "line 4: MTU: given on line 3 already"),
        (f"{PEER_LINES}publickey={PUBLIC}\n", "line 3: PublicKey: given on line 2 already"),
        (f"{INTERFACE_LINES}MTU = 1,2\n", "line 3: MTU: expected a number"),
        (f"{INTERFACE_LINES}MTU = -1\n", "line 3: MTU: expected a number"),
        (f"{INTERFACE_LINES}MTU = \u00b2\n", "line 3: MTU: expected a number"),
        (f"{INTERFACE_LINES}MTU =\n", "line 3: MTU: expected a number"),
        (f"{INTERFACE_LINES}MTU = {'9' * 5000}\n", "line 3: MTU: expected a number"),
        (f"{INTERFACE_LINES}SaveConfig = yes\n", "line 3: SaveConfig: expected true or false"),
        (f"{INTERFACE_LINES}Address = ::1%eth0/64\n", "line 3: Address: expected addresses"),
        (f"{INTERFACE_LINES}Address = ::1,,::2\n", "line 3: Address: expected addresses"),
        (f"{INTERFACE_LINES}Address = ::1 ::2\n", "line 3: Address: expected addresses"),
        (f"{INTERFACE_LINES}Address = *\n", "line 3: Address: expected addresses"),
        (f"{INTERFACE_LINES}DNS = $(id)\n", "line 3: DNS: expected addresses or domains"),
        (f"{INTERFACE_LINES}PostUp =\n", "line 3: PostUp: expected a command"),
        (f"{INTERFACE_LINES}Table = a b\n", "line 3: Table: expected a number"),
        (f"{INTERFACE_LINES}FwMark = 0xfffffffff\n", "line 3: FwMark: expected a number"),
        (f"{PEER_LINES}Endpoint = a b:1\n", "line 3: Endpoint: expected host:port"),
        (f"{PEER_LINES}Endpoint = a:1,b:1\n", "line 3: Endpoint: expected host:port"),
        (f"{PEER_LINES}PersistentKeepalive = on\n", "line 3: PersistentKeepalive: expected sec"),
        (f"{PEER_LINES}PresharedKey = abc\n", "line 3: PresharedKey: expected 44 characters"),
        (f"{INTERFACE_LINES}a\0", "line 3, column 2: character U+0000, expected printable"),
        (f"{INTERFACE_LINES}MTU = 1\rPostUp = x", "line 3, column 8: character U+000D"),
        (f"{INTERFACE_LINES}# a\u2028PostUp = x", "line 3, column 4: character U+2028"),
        (f"{INTERFACE_LINES}# a\u0085PostUp = x", "line 3, column 4: character U+0085"),
        (f"{INTERFACE_LINES}# a\x0bPostUp = x", "line 3, column 4: character U+000B"),
        (f"{INTERFACE_LINES}# \u202e", "line 3, column 3: character U+202E"),
        (f"{INTERFACE_LINES}# \x1b[2J", "line 3, column 3: character U+001B"),
        (f"\ufeff\ufeff{INTERFACE_LINES}", "line 1, column 1: character U+FEFF"),
        ("\ud800", "line 1, column 1: character U+D800"),
        ("#" * (MAX_CHARACTERS + 1), "1048577 characters, expected at most 1048576"),
    ],
)
def test_what_is_no_config_is_refused_by_line_and_rule(text: str, rule: str) -> None:
    assert refusal(text).startswith(rule)


def test_the_part_in_question_is_underlined() -> None:
    assert refusal(f"{INTERFACE_LINES}  mtu = 14x0 # why\n").splitlines()[1:] == [
        "    MTU = 14x0",
        "          ^^^^",
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"[Interface]\nPrivateKey = {PRIVATE}x\n",
        f"[Interface]\nPrivatKey = {PRIVATE}\n",
        f"[Interface]\n{PRIVATE}\n",
        f"[Interface]\nPrivateKey {PRIVATE}\n",
        f"{INTERFACE_LINES}PrivateKey = {PRIVATE}\n",
        f"{INTERFACE_LINES}MTU = {PRIVATE}\n",
        f"{INTERFACE_LINES}[Peer] # \n[Peer {PRIVATE}]\n",
        f"{INTERFACE_LINES}Table = {PRIVATE}\n",
        f"{PRIVATE}\n",
        f"[{PRIVATE}]\n",
        f"{INTERFACE_LINES}PostUp = wg set %i private-key <(echo {PRIVATE})\0\n",
    ],
)
def test_a_secret_is_in_no_message(text: str) -> None:
    assert PRIVATE[:8] not in refusal(text)


def test_a_message_is_short_plain_text_whatever_the_file_holds() -> None:
    said = refusal(f"{INTERFACE_LINES}DNS = " + "\u0435" * 10**5)

    assert said.isascii()
    assert len(said) < 2000
    assert re.search(r"\n {10}\^{480}$", said)
