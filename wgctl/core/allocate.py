"""Which number comes next: network ids at random, gateways and peers counted up.

Holds no numbers itself: what was given out is the store's, and so is the last word on uniqueness.
"""

from collections.abc import Callable
from ipaddress import IPv6Network

from peers.addresses import LAST_GATEWAY, network_id_bits
from wgctl.core.errors import Exhausted

__all__ = ["DRAWS", "draw_network_id", "gateway_number"]

DRAWS = 64
"""How often a network id is drawn before its pool counts as full.

In a pool half full, 64 draws all fail once in 2**64 times.
"""


def draw_network_id(pool: IPv6Network, *, random_bits: Callable[[int], int]) -> int:
    """Return a random network id of `pool`; `random_bits(n)` gives n random bits.

    0 is never drawn: `<pool>::` would be its network's own name.
    """
    bits = network_id_bits(pool)
    return random_bits(bits) or 1


def gateway_number(next_number: int) -> int:
    """Return `next_number` if a gateway can have it; raises Exhausted past the last."""
    if next_number > LAST_GATEWAY:
        raise Exhausted(f"every gateway number up to {LAST_GATEWAY} was given out")
    return next_number
