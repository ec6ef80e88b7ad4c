import pytest

from peers.endpoint import Endpoint
from peers.errors import Invalid
from wgctl.core.forward.upstream import Transport, Upstream


@pytest.mark.parametrize(
    ("text", "endpoint", "transport", "name"),
    [
        ("9.9.9.9", "9.9.9.9:53", "udp", None),
        ("9.9.9.9:5353", "9.9.9.9:5353", "udp", None),
        ("udp://9.9.9.9", "9.9.9.9:53", "udp", None),
        ("2620:FE::fe", "[2620:fe::fe]:53", "udp", None),
        ("[2620:fe::fe]", "[2620:fe::fe]:53", "udp", None),
        ("[2620:fe::fe]:5353", "[2620:fe::fe]:5353", "udp", None),
        ("127.0.0.1", "127.0.0.1:53", "udp", None),
        ("tcp://9.9.9.9", "9.9.9.9:53", "tcp", None),
        ("tls://9.9.9.9", "9.9.9.9:853", "tls", None),
        ("tls://[2620:fe::fe]:443#DNS.quad9.net", "[2620:fe::fe]:443", "tls", "dns.quad9.net"),
        ("9.9.9.9#dns.quad9.net", "9.9.9.9:853", "tls", "dns.quad9.net"),
        ("9.9.9.9:8853#dns.quad9.net", "9.9.9.9:8853", "tls", "dns.quad9.net"),
    ],
)
def test_an_upstream_is_written_as_for_resolved_with_a_scheme(
    text: str, endpoint: str, transport: str, name: str | None
) -> None:
    upstream = Upstream.parse(text)

    assert upstream == Upstream(Endpoint.parse(endpoint), Transport(transport), name)
    assert Upstream.parse(str(upstream)) == upstream


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "upstream"),
        ("dns.quad9.net", "a name, expected an address"),
        ("tls://dns.quad9.net", "a name, expected an address"),
        ("https://9.9.9.9", "expected 9.9.9.9"),
        ("TLS://9.9.9.9", "expected 9.9.9.9"),
        ("udp://9.9.9.9#dns.quad9.net", "expected 9.9.9.9"),
        ("tcp://9.9.9.9#dns.quad9.net", "expected 9.9.9.9"),
        ("9.9.9.9#", "host"),
        ("9.9.9.9#a b", "host"),
        ("9.9.9.9:x", "port"),
        ("9.9.9.9:0", "port"),
        ("fe80::1%eth0", "has a zone"),
        ("fe80::1", "link-local"),
        ("255.255.255.255", "not the address of one host"),
        ("ff02::fb", "not the address of one host"),
        ("9.9.9.9\n", r"upstream '9.9.9.9\\n'"),
    ],
)
def test_what_cannot_be_asked_is_refused(text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        Upstream.parse(text)


def test_its_address_is_in_octets() -> None:
    assert Upstream.parse("9.9.9.9").address == bytes([9, 9, 9, 9])
    assert Upstream.parse("[2001:db8::1]:5").address.hex() == "20010db8" + "0" * 23 + "1"
