"""The records of one name and type, packed, and which of them an asker gets in which order.

Knows no names but those that it packs; which set stands where is for the modules beside it.
"""

import math
from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address
from typing import NamedTuple

from wgctl.core.wire import Labels, Qtype, encode_name, record, service_data, text_data

__all__ = [
    "MOST",
    "TTL_S",
    "Entry",
    "RecordSet",
    "Target",
    "address",
    "listing",
    "pointer",
    "service",
    "single",
    "target",
]

TTL_S = 5
"""How long an answer, or the lack of one, may be kept: what a change takes to be seen."""

MOST = 32
"""The most records of one answer: so many AAAA fit behind the longest name into 1,232 octets."""

# One message of 65,535 octets holds a whole list, with the lengths of its strings, or none of it.
_MAX_LIST_BYTES = 60_000
_CUT = b"the list is cut: it has no room for all"


class Entry(NamedTuple):
    """A packed record; `glue` is one that belongs beside it, among the additional ones."""

    record: bytes
    glue: bytes = b""


class Target(NamedTuple):
    """A name on the wire, and its AAAA record under that name."""

    name: bytes
    glue: bytes


class RecordSet(NamedTuple):
    """The records of one type at one name.

    Whoever asks gets `most` of them at most: all of the first group before any of the second.
    `note` tells a reader what is out of the ordinary, as an extended error (RFC 8914).
    """

    groups: tuple[Sequence[Entry], ...]
    most: int = MOST
    note: bytes = b""

    @property
    def turns(self) -> int:
        """After how many turns `pick` begins anew."""
        return math.lcm(*(len(group) or 1 for group in self.groups))

    def pick(self, turn: int) -> list[Entry]:
        """Return the entries that asker number `turn`, 0 or more, gets, in its order.

        Over as many turns as a group has entries each of them is picked, and comes first, as
        often as any other: a group is walked from `turn` on and around its end, in even steps.
        """
        picked: list[Entry] = []
        for group in self.groups:
            total, room = len(group), self.most - len(picked)
            start = turn % total if total else 0
            if total <= room:
                picked += group[start:]
                picked += group[:start]
            else:
                picked += [group[(start + step * total // room) % total] for step in range(room)]
        return picked


def single(type_: Qtype, data: bytes, *, note: bytes = b"", ttl_s: int = TTL_S) -> RecordSet:
    """Return the set of one record."""
    return RecordSet(((Entry(record(type_, data, ttl_s=ttl_s)),),), note=note)


def address(of: IPv6Address, *, ttl_s: int = TTL_S) -> Entry:
    """Return an AAAA record."""
    return Entry(record(Qtype.AAAA, of.packed, ttl_s=ttl_s))


def pointer(target: Labels) -> RecordSet:
    """Return the PTR record of an address that `target` has."""
    return single(Qtype.PTR, encode_name(target))


def target(name: Labels, at: IPv6Address, *, ttl_s: int = TTL_S) -> Target:
    """Return `name`, which has the address `at`, as what SRV records point to."""
    packed = encode_name(name)
    return Target(packed, record(Qtype.AAAA, at.packed, ttl_s=ttl_s, owner=packed))


def service(at: Target, port: int, *, ttl_s: int = TTL_S) -> Entry:
    """Return an SRV record, with its target's AAAA beside it.

    All have priority 0 and weight 1: with weight 0 everywhere, clients that follow RFC 2782 to
    the letter would always choose the first.
    """
    return Entry(record(Qtype.SRV, service_data(port, at.name), ttl_s=ttl_s), at.glue)


def listing(
    words: Iterable[str], *, separator: str = ",", ttl_s: int = TTL_S
) -> dict[int, RecordSet]:
    """Return one TXT record of `words` in their order, separators between; none for no words.

    Fly's format: strings of 255 octets that readers join without a separator. Words from the first
    on that does not fit into one message are left out, and not even taken from `words`.
    """
    taken: list[str] = []
    room, note = _MAX_LIST_BYTES + len(separator), b""
    for word in words:
        room -= len(word) + len(separator)
        if room < 0:
            note = _CUT
            break
        taken.append(word)
    text = separator.join(taken).encode("ascii")
    return {Qtype.TXT: single(Qtype.TXT, text_data(text), note=note, ttl_s=ttl_s)} if text else {}
