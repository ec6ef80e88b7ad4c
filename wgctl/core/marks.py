"""How far each count of numbers has come, and how far it jumps when a store is restored.

A back-up is older than what ran: what was given out after it was made is unknown to it. So every
count jumps over what can have been given out since. Where marks are kept is `wgctl.store.marks`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from peers.addresses import FIRST_GATEWAY, LAST_GATEWAY

__all__ = ["GATEWAYS_GAP", "RATE", "SLACK_S", "Marks", "gap", "joined", "networks_gap", "raised"]

RATE = 10_000
"""Numbers of one count that a store can give out in a second, at the most.

Each is taken in a transaction that is synced to the disk: a hundred times less was measured.
"""

SLACK_S = 3_600
"""How far the clocks of the hosts of a back-up and its restore may be apart."""

_SHARE = 1_024
GATEWAYS_GAP = (LAST_GATEWAY - FIRST_GATEWAY + 1) // _SHARE
"""A store can be restored a thousand times before the 16 bits of gateways' numbers are used up."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The next number of each count; none of them, and none beyond, was given out.

    `networks` counts network ids in the order of `wgctl.core.allocate.network_id`; `addresses` has
    the next number of each pair of a network's id and a gateway's number, or that of services.
    """

    revision: int
    gateways: int
    networks: int
    addresses: Mapping[tuple[int, int], int] = field(default_factory=dict)


def gap(elapsed_s: int) -> int:
    """Return how many numbers can have been given out in the `elapsed_s` seconds since a back-up.

    It grows with the time, so that it also covers a store that was restored from the same back-up
    earlier, elsewhere, and has counted on from its own gap since: in revisions, in addresses of a
    network at a gateway, in row ids, of which there are 2**63 and more.
    """
    return RATE * (elapsed_s + SLACK_S)


def networks_gap(bits: int) -> int:
    """Return how many network ids are skipped in a pool whose ids have `bits` bits.

    4,194,304 for a pool of /16, 64 for one of /32: as scarce as they are, time is no measure.
    """
    return (1 << bits) // _SHARE


def raised(marks: Marks, *, elapsed_s: int, network_bits: int) -> Marks:
    """Return the marks of a store that is restored `elapsed_s` seconds after its back-up."""
    jump = gap(elapsed_s)
    return Marks(
        revision=marks.revision + jump,
        gateways=marks.gateways + GATEWAYS_GAP,
        networks=marks.networks + networks_gap(network_bits),
        addresses={place: number + jump for place, number in marks.addresses.items()},
    )


def joined(marks: Marks, other: Marks) -> Marks:
    """Return marks that are past both; pairs that only `other` has are left out."""
    return Marks(
        revision=max(marks.revision, other.revision),
        gateways=max(marks.gateways, other.gateways),
        networks=max(marks.networks, other.networks),
        addresses={
            place: max(number, other.addresses.get(place, 0))
            for place, number in marks.addresses.items()
        },
    )
