"""A peer's tunnel as a wg-quick config: addresses, routes, and how its names are resolved.

Leaves the syntax to `peers.config`.
"""

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

import peers.config
from peers.addresses import resolver_address, reverse_zone
from peers.config import Config, Interface, PeerSection
from peers.endpoint import Endpoint
from peers.errors import InvalidAddress, InvalidConfig
from peers.keys import PrivateKey, PublicKey

__all__ = ["Dns", "Tunnel", "render", "tunnel_config"]

# Links that carry IPv6 take packets of 1280 bytes at the least (RFC 8200, section 5).
_MTU_BYTES = range(1280, 65536)


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

    `mtu_bytes` is 1280 to 65535; a `keepalive_s` of 0 sends none. Raises InvalidAddress unless
    `address` is in `prefix`, and InvalidConfig for an MTU out of range.
    """

    private_key: PrivateKey
    address: IPv6Address
    prefix: IPv6Network
    gateway_key: PublicKey
    endpoint: Endpoint
    mtu_bytes: int
    keepalive_s: int = 15

    def __post_init__(self) -> None:
        if self.address not in self.prefix:
            raise InvalidAddress(f"address {self.address}, expected one in {self.prefix}")
        if self.mtu_bytes not in _MTU_BYTES:
            allowed = f"{_MTU_BYTES.start} to {_MTU_BYTES.stop - 1}"
            raise InvalidConfig(f"MTU {self.mtu_bytes}, expected {allowed}")


def tunnel_config(tunnel: Tunnel, *, dns: Dns, hooks: bool = True) -> Config:
    """Return the config of `tunnel`; without `hooks`, which phones refuse, SPLIT is as NONE.

    Raises InvalidAddress unless the tunnel's prefix is a /48.
    """
    resolver = resolver_address(tunnel.prefix)
    split = dns is Dns.SPLIT and hooks
    return Config(
        Interface(
            private_key=tunnel.private_key,
            addresses=(IPv6Interface((tunnel.address, 128)),),
            dns=(str(resolver),) if dns is Dns.FULL else (),
            mtu_bytes=tunnel.mtu_bytes,
            post_up=(_split_hook(resolver, tunnel.prefix),) if split else (),
        ),
        (
            PeerSection(
                public_key=tunnel.gateway_key,
                allowed_ips=(tunnel.prefix,),
                endpoint=tunnel.endpoint,
                persistent_keepalive_s=tunnel.keepalive_s or None,
            ),
        ),
    )


def render(tunnel: Tunnel, *, dns: Dns, hooks: bool = True) -> str:
    """Return the text of the config of `tunnel`, its private key in clear.

    Raises InvalidAddress as `tunnel_config` does and InvalidConfig on a keepalive out of range.
    """
    return peers.config.render(tunnel_config(tunnel, dns=dns, hooks=hooks))


def _split_hook(resolver: IPv6Address, prefix: IPv6Network) -> str:
    """Return the command that sends the network's names, and no others, to its resolver.

    The domains come first: a link that had a server and no domains would be asked for every name.
    The reverse zone is there because without it resolved asks the other links, outside of the
    tunnel, for the names of our addresses. wg-quick takes the tunnel down when a hook fails, so
    this one cannot: `|| true` also covers a machine without resolvectl or without resolved. It has
    no comma, at which readers built on wgconfig would split it.
    """
    domains = f"resolvectl domain %i '~internal' '~{reverse_zone(prefix)}'"
    return f"{domains} && resolvectl dns %i {resolver} || true"
