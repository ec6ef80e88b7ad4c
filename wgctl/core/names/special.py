"""Zones of names that mean nothing beyond a private network and must not be asked elsewhere.

All are empty, and the same for everybody: the reverse zone of another network is part of one just
as an unused one is.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from ipaddress import IPv6Address
from types import MappingProxyType

from peers.addresses import reverse_name
from wgctl.core.names.zone import Zone, labels_of, zone_at
from wgctl.core.wire import Labels

__all__ = ["special_zones"]


@cache
def special_zones() -> Mapping[Labels, Zone]:
    """Return the zones by their apexes."""
    return MappingProxyType(
        {labels_of(text): zone_at(labels_of(text), serial=1) for text in _apexes()}
    )


def _apexes() -> Iterator[str]:
    yield from (
        "local",
        "localhost",
        "invalid",
        "test",
        "onion",
        "alt",
    )  # RFC 6761, 6762, 7686, 9476
    yield from ("home.arpa", "resolver.arpa")  # RFC 8375, 9462
    # RFC 6303, section 4, RFC 7793 for 100.64.0.0/10.
    yield from ("10.in-addr.arpa", "168.192.in-addr.arpa", "254.169.in-addr.arpa")
    yield from (f"{number}.172.in-addr.arpa" for number in range(16, 32))
    yield from (f"{number}.100.in-addr.arpa" for number in range(64, 128))
    yield from ("0.in-addr.arpa", "127.in-addr.arpa", "255.255.255.255.in-addr.arpa")
    yield from ("2.0.192.in-addr.arpa", "100.51.198.in-addr.arpa", "113.0.203.in-addr.arpa")
    yield reverse_name(IPv6Address("::"))
    yield reverse_name(IPv6Address("::1"))
    # The whole of fc00::/7, fe80::/10 and the prefix of examples.
    yield from ("c.f.ip6.arpa", "d.f.ip6.arpa", "8.b.d.0.1.0.0.2.ip6.arpa")
    yield from (f"{nibble}.e.f.ip6.arpa" for nibble in "89ab")
