"""A peer's tunnel as a value: keys, address, network, gateway, and which names go through it.

Leaves to each format how that is written down.
"""

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from peers.addresses import resolver_address, reverse_zone
from peers.endpoint import Endpoint
from peers.errors import InvalidAddress, InvalidConfig
from peers.keys import PresharedKey, PrivateKey, PublicKey

__all__ = ["Dns", "Tunnel"]

# Links that carry IPv6 take packets of 1280 bytes at the least (RFC 8200, section 5).
_MTU_BYTES = range(1280, 65536)
_KEEPALIVE_S = range(65536)


class Dns(Enum):
    """Which names the peer asks the network's resolver for.

    SPLIT: its own, through systemd-resolved. FULL: all of them. NONE: the config says nothing.
    """

    SPLIT = "split"
    FULL = "full"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Tunnel:
    """What a peer must know: its key and address, its network's /48, and its gateway.

    `mtu_bytes` is 1280 to 65535, `keepalive_s` 0 to 65535, where 0 sends none; `preshared_key`
    None: the tunnel has none. Raises InvalidAddress unless `address` is in `prefix`, and
    InvalidConfig for a number out of range.
    """

    private_key: PrivateKey
    address: IPv6Address
    prefix: IPv6Network
    gateway_key: PublicKey
    endpoint: Endpoint
    mtu_bytes: int
    keepalive_s: int = 15
    preshared_key: PresharedKey | None = None

    def __post_init__(self) -> None:
        if self.address not in self.prefix:
            raise InvalidAddress(f"address {self.address}, expected one in {self.prefix}")
        _within("MTU", self.mtu_bytes, _MTU_BYTES)
        _within("keepalive", self.keepalive_s, _KEEPALIVE_S)

    @property
    def interface_address(self) -> IPv6Interface:
        """The address with the length that the peer's interface has: 128."""
        return IPv6Interface((self.address, 128))

    @property
    def resolver(self) -> IPv6Address:
        """The address of the network's resolver; raises InvalidAddress unless that is a /48."""
        return resolver_address(self.prefix)

    def domains(self, dns: Dns) -> tuple[str, ...]:
        """Return the domains whose names go to the resolver, `.` for all of them.

        SPLIT has the zone of service addresses and the reverse zone too: without them
        systemd-resolved asks the other links, outside of the tunnel, for names of ours.
        """
        match dns:
            case Dns.SPLIT:
                return ("internal", "flycast", reverse_zone(self.prefix))
            case Dns.FULL:
                return (".",)
            case Dns.NONE:
                return ()


def _within(what: str, number: int, allowed: range) -> None:
    if number not in allowed:
        raise InvalidConfig(f"{what} {number}, expected {allowed.start} to {allowed.stop - 1}")
