from ipaddress import IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgctl.core.ipv6_text import parse, parse_network, render

_LOCAL = int(IPv6Address("fd00::"))
# Groups of zeros, which are written short, are rare in numbers that are drawn at random.
_GROUPS = st.lists(st.sampled_from([0, 0, 1, 0xA0, 0xFFFF]), min_size=7, max_size=7)


@given(_GROUPS | st.lists(st.integers(0, 0xFFFF), min_size=7, max_size=7))
def test_a_text_is_what_ipaddress_makes_of_it_and_leads_back(groups: list[int]) -> None:
    """Whoever compares what two of our programs wrote compares texts."""
    number = sum(group << 16 * place for place, group in enumerate(groups))
    address = IPv6Address(_LOCAL + number)

    assert render(address) == str(address)
    assert parse(render(address)) == address


@pytest.mark.parametrize("text", ["", "fdaa", "fdaa::%wg0", "fdaa::1/64", " fdaa::1", "192.0.2.1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(OSError, match=r"illegal|invalid"):
        parse(text)


@given(_GROUPS, st.integers(0, 128))
def test_a_network_is_what_ipaddress_makes_of_its_text(groups: list[int], bits: int) -> None:
    number = sum(group << 16 * place for place, group in enumerate(groups))
    network = IPv6Network((_LOCAL + number, bits), strict=False)

    assert parse_network(str(network)) == network


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "fdaa::", "fdaa::/", "fdaa::/129", "fdaa::/-1", "fdaa::/48 ", "fdaa::/٤٨"),
        *("fdaa::1/48", "fdaa::/48/48", "fdaa::%wg0/48", "192.0.2.0/24", "fdaa::/ffff::"),
        "fdaa::\0/48",
    ],
)
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises((OSError, ValueError)):
        parse_network(text)
