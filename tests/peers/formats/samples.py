"""Tunnels for the tests of every format."""

from ipaddress import IPv6Address, IPv6Network

from hypothesis import strategies as st

from peers.addresses import FIRST_GATEWAY, LAST_GATEWAY, network_prefix, peer_address
from peers.endpoint import Endpoint
from peers.formats.tunnel import Tunnel
from peers.keys import PresharedKey, PrivateKey, PublicKey

__all__ = ["GATEWAY", "PREFIX", "PRESHARED", "PRIVATE", "TUNNEL", "ZONE", "interfaces", "tunnels"]

PRIVATE = PrivateKey.parse("yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=")
GATEWAY = PublicKey.parse("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")
PRESHARED = PresharedKey(bytes(range(32)))
PREFIX = IPv6Network("fdaa:1234:5678::/48")
ZONE = "8.7.6.5.4.3.2.1.a.a.d.f.ip6.arpa"
TUNNEL = Tunnel(
    PRIVATE,
    IPv6Address("fdaa:1234:5678:10::2"),
    PREFIX,
    GATEWAY,
    Endpoint("vpn.example.org", 51820),
    mtu_bytes=1420,
)

interfaces = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,14}", fullmatch=True).filter(
    lambda name: name not in {"lo", "all", "default"}
)
_endpoints = st.builds(
    Endpoint,
    st.sampled_from(["vpn.example.org", "203.0.113.7", "2001:db8::1"]),
    st.integers(1, 65535),
)


@st.composite
def tunnels(draw: st.DrawFn) -> Tunnel:
    """Draw a tunnel of any network, gateway, peer and endpoint."""
    prefix = network_prefix(IPv6Network("fdaa::/16"), draw(st.integers(0, 2**32 - 1)))
    gateway = draw(st.integers(FIRST_GATEWAY, LAST_GATEWAY))
    return Tunnel(
        private_key=PrivateKey(draw(st.binary(min_size=32, max_size=32).filter(any))),
        address=peer_address(prefix, gateway, draw(st.integers(2, 2**64 - 1))),
        prefix=prefix,
        gateway_key=GATEWAY,
        endpoint=draw(_endpoints),
        mtu_bytes=draw(st.integers(1280, 9000)),
        keepalive_s=draw(st.integers(0, 65535)),
        preshared_key=draw(st.none() | st.just(PRESHARED)),
    )
