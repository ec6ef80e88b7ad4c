"""The JSON shapes of what is special to one role: upstreams, who is limited, peers on demand.

Part of `wgctl.core.schema`, which has the reports that they are in.
"""

from ipaddress import IPv6Address

from pydantic import Field

from wgctl.core.shape import Shape as _Shape

__all__ = ["MOST_LIMITED", "LimitedAddress", "OnDemand", "UpstreamCondition"]

MOST_LIMITED = 20
"""So many addresses are told of: the worst."""

# Room for an address with a name, and for what a library says of a certificate.
_UPSTREAM_LENGTH = 400


class UpstreamCondition(_Shape):
    """How a resolver's upstream does: `reason` is why it is asked last, None while it is well."""

    upstream: str = Field(max_length=_UPSTREAM_LENGTH)
    reason: str | None = Field(default=None, max_length=_UPSTREAM_LENGTH)


class OnDemand(_Shape):
    """What became of the handshake initiations that a gateway heard since it started.

    Each is in one count, named as in `wgctl.core.presence.Fate`; `lost` came faster than they could
    be looked at. `left` counts the peers that went since they were idle, `in_use` those there.
    """

    in_use: int = Field(ge=0)
    left: int = Field(ge=0)
    admitted: int = Field(ge=0)
    present: int = Field(ge=0)
    replayed: int = Field(ge=0)
    refused: int = Field(ge=0)
    unknown: int = Field(ge=0)
    forged: int = Field(ge=0)
    hurried: int = Field(ge=0)
    foreign: int = Field(ge=0)
    lost: int = Field(ge=0)


class LimitedAddress(_Shape):
    """An address that asked a resolver too much: so many queries of the last minute got nothing."""

    address: IPv6Address
    queries: int = Field(ge=1)
