"""The JSON shapes of leases: what peers announce, and what roles tell each other of it.

The machines themselves are in `wgctl.core.schema`.
"""

from ipaddress import IPv6Address
from typing import Annotated

from pydantic import Field, StrictBool

from wgctl.core.lease import DEFAULT_S, LONGEST_S, SHORTEST_S
from wgctl.core.schema import LabelText, Machine, NewInstance
from wgctl.core.shape import Shape

__all__ = [
    "Announced",
    "Announcement",
    "EndedLease",
    "LeaseReport",
    "NewLease",
    "ObservedLease",
    "Renewal",
]

_Holder = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


class NewLease(NewInstance):
    """A machine that the asking peer announces, for as long as it renews the lease.

    `holder` is a word that the announcer draws: nobody else can renew or withdraw the lease.
    """

    name: LabelText
    ttl_s: int = Field(default=DEFAULT_S, ge=SHORTEST_S, le=LONGEST_S, strict=True)
    holder: _Holder
    healthy: StrictBool = True


class Renewal(Shape):
    """That an announced machine is still there, and whether it is healthy."""

    holder: _Holder
    healthy: StrictBool = True


class Announcement(Shape):
    """What a peer announces, relayed by the role that saw its address."""

    org: LabelText
    network: LabelText
    peer: LabelText
    address: IPv6Address
    machine: NewLease


class Announced(Shape):
    """A machine as it was announced, and its id in the feed."""

    machine_id: int
    machine: Machine


class ObservedLease(Shape):
    """How a lease stands: `left_s` of it are left."""

    machine_id: int
    left_s: float = Field(ge=0, le=LONGEST_S)
    healthy: bool


class EndedLease(Shape):
    """A lease that has ended, of the org with this slug."""

    org: str
    machine_id: int


class LeaseReport(Shape):
    """How the leases stand that a host renews, and which of them have ended."""

    leases: list[ObservedLease] = Field(default_factory=list)
    ended: list[EndedLease] = Field(default_factory=list)
