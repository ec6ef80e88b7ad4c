from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.endpoint import Endpoint
from peers.errors import InvalidEndpoint

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
last_labels = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
host_names = st.builds(
    lambda labels, last: ".".join([*labels, last]), st.lists(labels), last_labels
)
ports = st.integers(1, 65535)


@pytest.mark.parametrize(
    ("text", "host", "port", "again"),
    [
        ("203.0.113.7:51820", "203.0.113.7", 51820, "203.0.113.7:51820"),
        ("[2001:db8::1]:51820", "2001:db8::1", 51820, "[2001:db8::1]:51820"),
        ("[2001:0DB8:0:0::1]:1", "2001:db8::1", 1, "[2001:db8::1]:1"),
        ("vpn.example.org:65535", "vpn.example.org", 65535, "vpn.example.org:65535"),
        ("VPN.Example.ORG:1", "vpn.example.org", 1, "vpn.example.org:1"),
        ("gateway:1", "gateway", 1, "gateway:1"),
        ("3com.7a:1", "3com.7a", 1, "3com.7a:1"),
        ("127.0.0.1:1", "127.0.0.1", 1, "127.0.0.1:1"),
    ],
)
def test_an_endpoint_is_read_and_written_canonically(
    text: str, host: str, port: int, again: str
) -> None:
    endpoint = Endpoint.parse(text)

    assert endpoint == Endpoint(host, port)
    assert str(endpoint) == again


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "no port"),
        ("203.0.113.7", "no port"),
        ("203.0.113.7:", "port ''"),
        ("203.0.113.7:0", "port '0', expected 1 to 65535"),
        ("203.0.113.7:65536", "port 65536, expected 1 to 65535"),
        ("203.0.113.7:051820", "port '051820'"),
        ("203.0.113.7:-1", "port '-1'"),
        ("203.0.113.7:+1", r"port '\+1'"),
        ("203.0.113.7:1_0", "port '1_0'"),
        ("203.0.113.7: 1", "port ' 1'"),
        ("203.0.113.7:\u0661", r"port '\\u0661'"),
        ("203.0.113.7:51820\n", r"port '51820\\n'"),
        ("203.0.113.7:wg", "port 'wg'"),
        ("2001:db8::1:51820", "no brackets"),
        ("[2001:db8::1]", "no brackets"),
        ("[2001:db8::1:51820", "no brackets"),
        ("[203.0.113.7]:1", "no IPv6"),
        ("[]:1", "no IPv6"),
        ("[vpn.example.org]:1", "no IPv6"),
        ("[fe80::1%eth0]:1", "zone"),
        ("[2001:db8::1%1]:1", "zone"),
        ("[fe80::1]:1", "link-local"),
        ("[::ffff:203.0.113.7]:1", "203.0.113.7 as IPv4"),
        ("[::]:1", "not the address of one host"),
        ("[ff02::1]:1", "not the address of one host"),
        ("0.0.0.0:1", "not the address of one host"),
        ("224.0.0.1:1", "not the address of one host"),
        ("255.255.255.255:1", "not the address of one host"),
        ("203.0.113:1", "ends in a number"),
        ("203.0.113.256:1", "ends in a number"),
        ("203.0.113.07:1", "ends in a number"),
        ("3405803783:1", "ends in a number"),
        ("0x7f000001:1", "ends in a number"),
        ("example.0X7F:1", "ends in a number"),
        ("vpn.example.1:1", "ends in a number"),
        (":1", "labels"),
        ("vpn..example:1", "labels"),
        ("vpn.example.org.:1", "labels"),
        (".example:1", "labels"),
        ("-vpn.example:1", "labels"),
        ("vpn-.example:1", "labels"),
        ("vpn_1.example:1", "labels"),
        ("vpn example:1", "labels"),
        ("vpn\n.example:1", "labels"),
        ("vpn#.example:1", "labels"),
        ("user@vpn.example:1", "labels"),
        ("vpn/example:1", "labels"),
        ("vpn.exampl\u0435:1", "labels"),
        ("vpn.wor\u212a:1", "labels"),
        (f"{'x' * 64}.example:1", "labels"),
        (".".join(["x" * 49] * 5) + ".example:1", "257 characters, expected at most 253"),
    ],
)
def test_what_is_no_endpoint_is_refused_by_the_rule_it_breaks(text: str, rule: str) -> None:
    with pytest.raises(InvalidEndpoint, match=rule):
        Endpoint.parse(text)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        *(("vpn.example.org", 0), ("vpn.example.org", 65536), ("VPN.example.org", 1)),
        *(("2001:DB8::1", 1), ("[2001:db8::1]", 1), ("", 1), ("a\nb", 1)),
    ],
)
def test_an_endpoint_cannot_be_made_wrong_from_parts(host: str, port: int) -> None:
    with pytest.raises(InvalidEndpoint):
        Endpoint(host, port)


@given(st.one_of(host_names, st.ip_addresses().map(str)), ports)
def test_the_text_of_an_endpoint_reads_back(host: str, port: int) -> None:
    try:
        endpoint = Endpoint(host, port)
    except InvalidEndpoint:
        return

    assert Endpoint.parse(str(endpoint)) == endpoint


@given(st.text(max_size=40))
def test_any_text_is_an_endpoint_or_refused_in_plain_text(text: str) -> None:
    try:
        said = str(Endpoint.parse(text))
    except InvalidEndpoint as refusal:
        said = str(refusal)

    assert said.isascii()
    assert said.isprintable()


@given(st.ip_addresses(v=4, network="198.51.100.0/24"), ports)
def test_every_ipv4_address_of_a_host_is_taken(address: IPv4Address, port: int) -> None:
    assert str(Endpoint.parse(f"{address}:{port}")) == f"{address}:{port}"


@given(st.ip_addresses(v=6, network="2001:db8::/32"), ports)
def test_every_ipv6_address_of_a_host_is_taken_in_any_spelling(
    address: IPv6Address, port: int
) -> None:
    assert str(Endpoint.parse(f"[{address.exploded.upper()}]:{port}")) == f"[{address}]:{port}"


def test_endpoints_sort_by_host_and_port() -> None:
    first, second, third = Endpoint("a", 2), Endpoint("b", 1), Endpoint("b", 2)

    assert sorted([third, second, first]) == [first, second, third]
