"""Where the API of this host's own network is: what its tunnels' addresses and its resolver say.

Which addresses a peer can have is `peers.addresses`.
"""

import socket
from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address
from pathlib import Path

from peers.addresses import (
    FIRST_GATEWAY,
    FIRST_PEER,
    prefix_of,
    resolver_address,
)
from wgctl.core.errors import Unavailable

__all__ = ["api_address", "apis_of", "tunnel_addresses"]

_IF_INET6 = Path("/proc/net/if_inet6")
_DEVICES = Path("/sys/class/net")
_ARPHRD_NONE = "65534"  # linux/if_arp.h: a device without link layer, as of WireGuard and tun
_LOCAL = 0xFD  # RFC 4193, section 3.1


def api_address(name: str, port: int, *, tunnels: Iterable[IPv6Address]) -> str:
    """Return the address of the API: `::3` of the one network that `tunnels` are addresses of.

    Where that is none or several, what `name` resolves to. Raises Unavailable.
    """
    found = apis_of(tunnels)
    if len(found) == 1:
        return str(found.pop())
    try:
        resolved = socket.getaddrinfo(name, port, socket.AF_INET6, socket.SOCK_STREAM)
    except OSError as error:
        ends = f"tunnels to {len(found)} networks" if found else "no tunnel to a network"
        raise Unavailable(
            f"{ends} here, and {name} does not resolve ({error.strerror}): bring the tunnel up, "
            "or say where the API is with --api"
        ) from error
    return str(resolved[0][4][0])


def apis_of(addresses: Iterable[IPv6Address]) -> set[IPv6Address]:
    """Return the APIs of the networks that those of `addresses` are in that a peer can have."""
    return {resolver_address(prefix_of(address)) for address in addresses if _is_peer(address)}


def tunnel_addresses(if_inet6: Path = _IF_INET6, devices: Path = _DEVICES) -> Iterator[IPv6Address]:
    """Yield the IPv6 addresses of this host's tunnels, from the kernel's files."""
    try:
        lines = if_inet6.read_text(encoding="ascii").splitlines()
    except OSError:
        return
    for digits, *_, device in map(str.split, lines):
        if _is_tunnel(devices / device / "type"):
            yield IPv6Address(int(digits, 16))


def _is_tunnel(type_file: Path) -> bool:
    try:
        return type_file.read_text(encoding="ascii").strip() == _ARPHRD_NONE
    except OSError:
        return False


def _is_peer(address: IPv6Address) -> bool:
    host, number = int(address) >> 64 & 0xFFFF, int(address) & 2**64 - 1
    return address.packed[0] == _LOCAL and host >= FIRST_GATEWAY and number >= FIRST_PEER
