"""The addresses of a network as names: its own zone under `ip6.arpa`, and one PTR an address.

A name is found by arithmetic: 5,000 addresses have up to 100,000 names above them, and none is
written down. Whose an address is says `wgctl.core.view`.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv6Address, IPv6Network

from peers.addresses import reverse_zone
from wgctl.core.names.record_set import pointer
from wgctl.core.names.zone import Node, Zone, labels_of, zone_at
from wgctl.core.wire import Labels, Qtype

__all__ = ["Reverse"]

_NIBBLES = 32
_ROOT: Labels = (b"ip6", b"arpa")
_HEXADECIMAL = frozenset(b"%x" % nibble for nibble in range(16))


@dataclass(frozen=True)
class Reverse:
    """The reverse zone of a network; `targets` gives its addresses and the names that they have.

    It is called when somebody first asks for one.
    """

    zone: Zone
    targets: Callable[[], Iterable[tuple[IPv6Address, Labels]]]

    @classmethod
    def of(
        cls,
        prefix: IPv6Network,
        targets: Callable[[], Iterable[tuple[IPv6Address, Labels]]],
        *,
        serial: int,
    ) -> "Reverse":
        """Return the zone of `prefix`, which holds all addresses of `targets`, each once."""
        return cls(zone_at(labels_of(reverse_zone(prefix)), serial=serial), targets)

    @cached_property
    def addresses(self) -> tuple[bytes, ...]:
        """The addresses, 32 hexadecimal digits each, sorted."""
        return tuple(sorted(self._names))

    def find(self, labels: Labels) -> Node | None:
        """Return what stands at `labels`; None for no name of this zone.

        A name between the apex and an address exists and holds nothing (RFC 8020).
        """
        nibbles = labels[: -len(_ROOT)]
        in_zone = len(nibbles) <= _NIBBLES and labels[-len(self.zone.apex) :] == self.zone.apex
        if not in_zone or not _HEXADECIMAL.issuperset(nibbles):
            return None
        if labels == self.zone.apex:
            return Node(self.zone, self.zone.records)
        digits = b"".join(reversed(nibbles))
        at = bisect_left(self.addresses, digits)
        if at == len(self.addresses) or not self.addresses[at].startswith(digits):
            return None
        if len(digits) < _NIBBLES:
            return Node(self.zone, {})
        return Node(self.zone, {Qtype.PTR: pointer(self._names[digits])})

    @cached_property
    def _names(self) -> Mapping[bytes, Labels]:
        return {b"%032x" % int(address): name for address, name in self.targets()}
