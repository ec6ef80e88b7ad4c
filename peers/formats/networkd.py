"""A peer's tunnel as the two files of systemd-networkd: a `.netdev` and a `.network`.

Leaves to the caller where the files are and who may read them.
"""

from collections.abc import Iterator
from typing import NamedTuple

from peers.formats.ini import Section, written
from peers.formats.tunnel import Dns, Tunnel
from peers.names import parse_interface

__all__ = ["Files", "render"]


class Files(NamedTuple):
    """The texts of both files; only `netdev` holds secrets."""

    netdev: str
    network: str


def render(tunnel: Tunnel, *, interface: str, dns: Dns) -> Files:
    """Return the files that make `interface` the tunnel, its keys in clear.

    Raises InvalidName for what is no interface, InvalidAddress unless the prefix is a /48.
    """
    parse_interface(interface)
    return Files(written(_netdev(tunnel, interface)), written(_network(tunnel, interface, dns=dns)))


def _netdev(tunnel: Tunnel, interface: str) -> Iterator[Section]:
    yield (
        "NetDev",
        (("Name", interface), ("Kind", "wireguard"), ("MTUBytes", tunnel.mtu_bytes)),
    )
    yield "WireGuard", (("PrivateKey", tunnel.private_key.text()),)
    yield (
        "WireGuardPeer",
        (
            ("PublicKey", tunnel.gateway_key),
            ("PresharedKey", tunnel.preshared_key.text() if tunnel.preshared_key else None),
            ("AllowedIPs", tunnel.prefix),
            ("Endpoint", tunnel.endpoint),
            ("PersistentKeepalive", tunnel.keepalive_s or None),
        ),
    )


def _network(tunnel: Tunnel, interface: str, *, dns: Dns) -> Iterator[Section]:
    yield "Match", (("Name", interface),)
    # A host that waits for its network need not wait for this one.
    yield "Link", (("RequiredForOnline", "no"),)
    yield (
        "Network",
        (
            ("Address", tunnel.interface_address),
            ("LinkLocalAddressing", "no"),
            ("IPv6AcceptRA", "no"),
            *_names(tunnel, dns),
        ),
    )
    # networkd makes no routes of allowed IPs by itself.
    yield "Route", (("Destination", tunnel.prefix),)


def _names(tunnel: Tunnel, dns: Dns) -> Iterator[tuple[str, object]]:
    if dns is Dns.NONE:
        return
    yield "DNS", tunnel.resolver
    yield "Domains", " ".join(f"~{domain}" for domain in tunnel.domains(dns))
    yield "DNSDefaultRoute", "yes" if dns is Dns.FULL else "no"
