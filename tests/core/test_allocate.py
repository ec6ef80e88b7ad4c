from ipaddress import IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.addresses import FIRST_GATEWAY, LAST_GATEWAY, network_prefix
from wgctl.core.allocate import draw_network_id, gateway_number
from wgctl.core.errors import Exhausted

_POOLS = st.integers(16, 32).map(lambda length: IPv6Network((0xFDAA << 112, length)))


@given(_POOLS, st.data())
def test_every_id_that_is_drawn_is_one_of_the_pool(pool: IPv6Network, data: st.DataObject) -> None:
    asked: list[int] = []

    def random_bits(count: int) -> int:
        asked.append(count)
        return data.draw(st.integers(0, 2**count - 1))

    number = draw_network_id(pool, random_bits=random_bits)

    assert network_prefix(pool, number).subnet_of(pool)
    assert asked == [48 - pool.prefixlen]


def test_zero_is_never_drawn() -> None:
    assert draw_network_id(IPv6Network("fdaa::/16"), random_bits=lambda _count: 0) != 0


def test_other_bits_are_the_id_itself() -> None:
    assert (
        draw_network_id(IPv6Network("fdaa::/16"), random_bits=lambda _count: 0xABCDEF) == 0xABCDEF
    )


@pytest.mark.parametrize("number", [FIRST_GATEWAY, LAST_GATEWAY])
def test_a_gateway_can_have_any_number_up_to_the_last(number: int) -> None:
    assert gateway_number(number) == number


def test_past_the_last_gateway_number_there_is_none() -> None:
    with pytest.raises(Exhausted, match="65535"):
        gateway_number(LAST_GATEWAY + 1)
