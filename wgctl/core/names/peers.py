"""The peers of a network as names: the list at `_peer.internal`, and each below it.

Takes the peers that are there, and knows no machines; whose time is over is for
`wgctl.core.view`.
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address
from types import MappingProxyType

from wgctl.core.model import Peer
from wgctl.core.names.branch import Branch, Names, Stands
from wgctl.core.names.record_set import RecordSet, address, listing
from wgctl.core.names.zone import INTERNAL
from wgctl.core.wire import Labels, Qtype

__all__ = ["PEERS", "PeerBranch", "at_address"]

PEERS: Labels = (b"_peer", *INTERNAL)


_Made = Mapping[bytes, tuple[IPv6Address, Stands]]
_NONE: _Made = MappingProxyType({})


class PeerBranch(Branch):
    """The names of peers, each of which is found without a look at the others.

    What was asked for, and is right after a change too, stays the same object: of ten thousand
    names that somebody asked for, those that have changed are told by that. `names` are for whoever
    wants all: nothing that is asked for needs them.
    """

    def __init__(self, living: Sequence[Peer], made: _Made = _NONE) -> None:
        """Make the branch of the peers `living`; `made` is what another one has made."""
        super().__init__(living, lambda: _names(living))
        self._living = living
        at = self._addresses = {peer.name.encode(): peer.address for peer in living}
        self._made = {label: one for label, one in made.items() if at.get(label) is one[0]}

    def after(self, living: Sequence[Peer]) -> "PeerBranch":
        """Return the branch of `living`, who come after those of this one."""
        return self if self.of == living else PeerBranch(living, self._made)

    def find(self, labels: Labels) -> Stands | None:
        """Return what stands at `labels`; None where there is no such name."""
        if labels == PEERS:
            return _list(self._living)
        at = self._addresses.get(labels[0]) if labels[1:] == PEERS else None
        if at is None:
            return None
        known = self._made.get(labels[0])
        if known is None:
            known = self._made[labels[0]] = at, at_address(at)
        return known[1]


def at_address(at: IPv6Address) -> Stands:
    """Return what stands at a name that has the address `at` and nothing else."""
    return {Qtype.AAAA: RecordSet(((address(at),),))}


def _list(living: Sequence[Peer]) -> Stands:
    return listing(sorted(peer.name for peer in living))


def _names(living: Sequence[Peer]) -> Names:
    yield PEERS, _list(living)
    for peer in living:
        yield (peer.name.encode(), *PEERS), at_address(peer.address)
