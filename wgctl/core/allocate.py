"""Which number comes next: network ids that look random, gateways and peers counted up.

Holds no numbers itself: what was given out is the store's, and so is the last word on uniqueness.
"""

from hashlib import blake2b
from ipaddress import IPv6Network

from peers.addresses import LAST_GATEWAY, network_id_bits
from wgctl.core.errors import Exhausted

__all__ = ["gateway_number", "network_id"]

# Four rounds of a Feistel cipher are a strong permutation (Luby and Rackoff); eight cost 10 us.
_ROUNDS = 8
_HALF_BYTES = 2


def network_id(pool: IPv6Network, index: int, *, key: bytes) -> int:
    """Return the network id of `pool` that is the `index`th under `key`, 16 random bytes.

    Each index of 0 to 2**bits - 1 has an id of its own, so that a counter is enough to give none
    out twice, also by a store that was restored and counts on from further up. The ids of two
    deployments, which have different keys, are as good as random to each other (RFC 4193).
    One index has the id 0, which is no network's. Raises Exhausted for an index past the last.
    """
    bits = network_id_bits(pool)
    if index >> bits:
        raise Exhausted(f"every network id of {pool} was given out: the pool is full")
    found = _permuted(index, half_bits=(bits + 1) // 2, key=key)
    while found >> bits:  # The cipher has an even number of bits: walk on until it is one of ours.
        found = _permuted(found, half_bits=(bits + 1) // 2, key=key)
    return found


def gateway_number(next_number: int) -> int:
    """Return `next_number` if a gateway can have it; raises Exhausted past the last."""
    if next_number > LAST_GATEWAY:
        raise Exhausted(f"every gateway number up to {LAST_GATEWAY} was given out")
    return next_number


def _permuted(value: int, *, half_bits: int, key: bytes) -> int:
    mask = (1 << half_bits) - 1
    left, right = value >> half_bits, value & mask
    for turn in range(_ROUNDS):
        mixed = blake2b(right.to_bytes(_HALF_BYTES), key=key, person=bytes([turn])).digest()
        left, right = right, left ^ (int.from_bytes(mixed[:_HALF_BYTES]) & mask)
    return left << half_bits | right
