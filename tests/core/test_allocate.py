from ipaddress import IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.addresses import FIRST_GATEWAY, LAST_GATEWAY, network_prefix
from wgctl.core.allocate import gateway_number, network_id
from wgctl.core.errors import Exhausted

_POOLS = st.integers(16, 32).map(lambda length: IPv6Network((0xFDAA << 112, length)))
_KEYS = st.binary(min_size=16, max_size=16)
_SMALL = IPv6Network("fdaa::/32")


@given(_POOLS, _KEYS, st.data())
def test_every_id_is_one_of_the_pool(pool: IPv6Network, key: bytes, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, 2 ** (48 - pool.prefixlen) - 1))
    number = network_id(pool, index, key=key)

    assert 0 <= number < 2 ** (48 - pool.prefixlen)
    assert network_prefix(pool, number or 1).subnet_of(pool)
    assert network_id(pool, index, key=key) == number


@given(_POOLS, _KEYS, st.sets(st.integers(0, 2**16 - 1), max_size=50))
def test_no_two_indices_have_the_same_id(pool: IPv6Network, key: bytes, indices: set[int]) -> None:
    assert len({network_id(pool, index, key=key) for index in indices}) == len(indices)


def test_every_id_of_a_pool_is_given_out_before_it_is_exhausted() -> None:
    found = {network_id(_SMALL, index, key=bytes(16)) for index in range(2**16)}

    assert found == set(range(2**16))


@pytest.mark.parametrize("length", [16, 17, 31, 32])
def test_past_the_last_index_there_is_no_id(length: int) -> None:
    pool = IPv6Network((0xFDAA << 112, length))

    with pytest.raises(Exhausted, match="the pool is full"):
        network_id(pool, 2 ** (48 - length), key=bytes(16))


def test_two_deployments_share_no_more_ids_than_chance_has_it() -> None:
    """A laptop may hold tunnels of both; of 300 and 300 ids among 65,536, 1.4 are expected."""
    one, other = (
        {network_id(_SMALL, index, key=key) for index in range(300)}
        for key in (bytes(16), bytes(15) + b"\1")
    )

    assert len(one & other) < 10


def test_neighbours_are_not_near_each_other() -> None:
    found = [network_id(IPv6Network("fdaa::/16"), index, key=bytes(16)) for index in range(64)]

    assert len({number >> 16 for number in found}) > 60


@pytest.mark.parametrize("number", [FIRST_GATEWAY, LAST_GATEWAY])
def test_a_gateway_can_have_any_number_up_to_the_last(number: int) -> None:
    assert gateway_number(number) == number


def test_past_the_last_gateway_number_there_is_none() -> None:
    with pytest.raises(Exhausted, match="65535"):
        gateway_number(LAST_GATEWAY + 1)
