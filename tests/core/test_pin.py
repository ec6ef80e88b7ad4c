from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgctl.core.errors import Invalid
from wgctl.core.pin import ControllerUrl, fingerprint

_PIN = fingerprint(b"x")


@pytest.mark.parametrize(
    ("text", "name", "pin"),
    [
        ("https://vpn.example.org", "https://vpn.example.org:443", None),
        ("https://VPN.example.org:8443/", "https://vpn.example.org:8443", None),
        (f"https://203.0.113.7:8443#{_PIN}", "https://203.0.113.7:8443", _PIN),
        ("HTTPS://[2001:DB8::1]:1", "https://[2001:db8::1]:1", None),
    ],
)
def test_a_url_is_a_place_and_perhaps_a_pin(text: str, name: str, pin: str | None) -> None:
    url = ControllerUrl.parse(text)

    assert (str(url), url.pin) == (name, pin)
    assert ControllerUrl.parse(name).place == url.place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "vpn.example.org:8443",
        "http://vpn.example.org",
        "https://",
        "https://alice:x@vpn.example.org",
        "https://vpn.example.org/v1",
        "https://vpn.example.org?x",
        "https://vpn.example.org:0x1",
        "https://vpn.example.org:65536",
        "https://vpn.example.org#SHA256:abc",
        "https://[::1",
        "https://a b",
    ],
)
def test_what_is_no_such_url_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="expected"):
        ControllerUrl.parse(text)


@given(st.text())
def test_no_text_raises_anything_else(text: str) -> None:
    for candidate in (text, f"https://{text}"):
        with suppress(Invalid):
            assert str(ControllerUrl.parse(candidate)).startswith("https://")


@given(st.binary(), st.binary())
def test_a_fingerprint_stands_for_one_certificate(one: bytes, other: bytes) -> None:
    assert (fingerprint(one) == fingerprint(other)) == (one == other)
