"""A peer's tunnel as a connection of NetworkManager: a keyfile, `NAME.nmconnection`.

Leaves to the caller where the file is; NetworkManager reads only what is root's alone (0600).
"""

import uuid
from collections.abc import Iterator

from peers.formats.ini import Section, written
from peers.formats.tunnel import Dns, Tunnel
from peers.names import parse_interface

__all__ = ["render"]

# Names made of it are ours alone (RFC 9562, section 5.5).
_NAMESPACE = uuid.UUID("9c1e4a0e-3f57-5d0c-9a43-5b1d8a7c6e21")

# Below zero: the servers of all other connections are left out, as FULL means it.
_PRIORITY_OVER_ALL = -50


def render(tunnel: Tunnel, *, interface: str, dns: Dns) -> str:
    """Return the connection that makes `interface` the tunnel, its keys in clear.

    Its order is NetworkManager's own, so that what `nmcli --offline connection modify` writes is
    the same line by line. The connection's UUID is the address's: the config of a peer with a new
    key takes the place of the old one. Raises InvalidName for what is no interface, and
    InvalidAddress unless the prefix is a /48.
    """
    parse_interface(interface)
    return written(_sections(tunnel, interface, dns=dns))


def _sections(tunnel: Tunnel, interface: str, *, dns: Dns) -> Iterator[Section]:
    yield (
        "connection",
        (
            ("id", interface),
            ("uuid", uuid.uuid5(_NAMESPACE, str(tunnel.address))),
            ("type", "wireguard"),
            ("interface-name", interface),
        ),
    )
    yield "wireguard", (("mtu", tunnel.mtu_bytes), ("private-key", tunnel.private_key.text()))
    yield (
        f"wireguard-peer.{tunnel.gateway_key}",
        (
            ("endpoint", tunnel.endpoint),
            *_preshared(tunnel),
            ("persistent-keepalive", tunnel.keepalive_s or None),
            ("allowed-ips", f"{tunnel.prefix};"),
        ),
    )
    yield "ipv4", (("method", "disabled"),)
    yield (
        "ipv6",
        (
            ("addr-gen-mode", "default"),
            ("address1", tunnel.interface_address),
            *_names(tunnel, dns),
            ("method", "manual"),
            ("never-default", "true"),
        ),
    )
    yield "proxy", ()


def _preshared(tunnel: Tunnel) -> Iterator[tuple[str, object]]:
    if tunnel.preshared_key is not None:
        yield "preshared-key", tunnel.preshared_key.text()
        # 0: the key is here. Without it NetworkManager takes the key for not required.
        yield "preshared-key-flags", 0


def _names(tunnel: Tunnel, dns: Dns) -> Iterator[tuple[str, object]]:
    if dns is Dns.NONE:
        return
    yield "dns", f"{tunnel.resolver};"
    yield "dns-priority", _PRIORITY_OVER_ALL if dns is Dns.FULL else None
    yield "dns-search", "".join(f"~{domain};" for domain in tunnel.domains(dns))
