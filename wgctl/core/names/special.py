"""Zones of names that mean nothing beyond a private network and must not be asked elsewhere.

All but `localhost` are empty, and the same for everybody: the reverse zone of another network is
part of one just as an unused one is.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType

from peers.addresses import reverse_name
from wgctl.core.names.record_set import RecordSet, single
from wgctl.core.names.zone import INTERNAL, Node, Zone, labels_of, zone_at
from wgctl.core.wire import Labels, Qtype

__all__ = ["local_node", "never_leaves", "special_zones"]

_OURS: frozenset[Labels] = frozenset({INTERNAL, (b"flycast",)})
_LOCALHOST: Labels = (b"localhost",)


@cache
def special_zones() -> Mapping[Labels, Zone]:
    """Return the zones by their apexes."""
    return MappingProxyType(
        {labels_of(text): zone_at(labels_of(text), serial=1) for text in _apexes()}
    )


def never_leaves(labels: Labels) -> bool:
    """Whether the name, in lower case, is for no upstream to know of, whoever asks."""
    zones = special_zones()
    below = (labels[start:] for start in range(len(labels)))
    return labels[-1:] in _OURS or any(ending in zones for ending in below)


def local_node(labels: Labels) -> Node | None:
    """Return what stands at `localhost` or below it: the asker's own host (RFC 6761, section 6.3).

    None for any other name.
    """
    if labels[-1:] != _LOCALHOST:
        return None
    zone = special_zones()[_LOCALHOST]
    records: dict[int, RecordSet] = {
        Qtype.AAAA: single(Qtype.AAAA, IPv6Address("::1").packed),
        Qtype.A: single(Qtype.A, IPv4Address("127.0.0.1").packed),
    }
    return Node(zone, {**(zone.records if labels == _LOCALHOST else {}), **records})


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
