import json
from ipaddress import IPv6Address, IPv6Network

import pytest

from peers.endpoint import Endpoint
from peers.formats.tunnel import Dns
from peers.keys import PrivateKey
from wgctl.cli.form import DNS_CHOICES, FORMATS, Form
from wgctl.cli.identity import Identity
from wgctl.core.schema import Tunnel

KEY = PrivateKey.generate()
FACTS = Tunnel(
    address=IPv6Address("fdaa:0:1:10::2"),
    prefix=IPv6Network("fdaa:0:1::/48"),
    resolver=IPv6Address("fdaa:0:1::3"),
    gateway_key=PrivateKey.generate().public(),
    endpoint=Endpoint("203.0.113.7", 51820),
    mtu_bytes=1420,
)
OWN = Identity(KEY.public(), None, "")
MADE = Identity(KEY.public(), KEY, "")


def test_the_words_for_dns_are_those_of_the_formats() -> None:
    assert list(DNS_CHOICES) == [dns.value for dns in Dns]


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_has_a_document_for_each_of_its_files(form: str) -> None:
    documents = Form(form, "alice", "split").documents(FACTS, MADE)

    assert tuple(document.suffix for document in documents) == FORMATS[form]
    assert KEY.text() in documents[0].text
    assert all(str(FACTS.prefix) in document.text for document in documents)


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("wg-quick", f"# PrivateKey = (the one whose public key is {OWN.public_key})"),
        ("networkd", f"# PrivateKey=(the one whose public key is {OWN.public_key})"),
        ("networkmanager", f"# private-key=(the one whose public key is {OWN.public_key})"),
    ],
)
def test_a_key_that_another_keeps_is_a_comment(form: str, line: str) -> None:
    (first, *_) = Form(form, "alice", "split").documents(FACTS, OWN)
    (whole, *_) = Form(form, "alice", "split").documents(FACTS, MADE)

    lines, expected = first.text.splitlines(), whole.text.splitlines()
    assert [pair for pair in zip(lines, expected, strict=True) if pair[0] != pair[1]] == [
        (line, next(other for other in expected if KEY.text() in other))
    ]


def test_a_key_that_another_keeps_is_null_in_json() -> None:
    (document,) = Form("json", "alice", "split").documents(FACTS, OWN)

    found = json.loads(document.text)
    assert (found["private_key"], found["public_key"]) == (None, str(OWN.public_key))
