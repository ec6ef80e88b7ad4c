"""A zone: where it begins, what its SOA says, and what a name in it is.

Which zones there are and which names they hold is for `wgctl.core.view` and the modules beside
this one.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from wgctl.core.names.record_set import TTL_S, RecordSet, single
from wgctl.core.wire import Labels, Qtype, Records, encode_name, record

__all__ = ["API", "FLYCAST", "INTERNAL", "Node", "Zone", "labels_of", "zone_at"]

INTERNAL: Labels = (b"internal",)
FLYCAST: Labels = (b"flycast",)
API: Labels = (b"_api", *INTERNAL)
"""The one server of every zone."""

_HOSTMASTER: Labels = (b"hostmaster", *INTERNAL)

# No secondary server exists to read these three; the last field is the negative TTL (RFC 2308).
_REFRESH_S, _RETRY_S, _EXPIRE_S = 3600, 600, 86400
_SOA_NUMBERS = struct.Struct("!5I")
_POINTER = struct.Struct("!H")
_POINTER_BITS = 0xC000
_HEADER_BYTES = 12
_QUESTION_TAIL_BYTES = 4


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone: the name it begins at, the SOA that goes with «no», and the apex's own records."""

    apex: Labels
    soa: bytes
    records: Mapping[int, RecordSet]

    def denial(self, question: bytes) -> Records:
        """Return the authority section of a negative reply to `question`, which is in this zone.

        The SOA's owner is a pointer to the end of the question's name.
        """
        apex_bytes = 1 + sum(1 + len(label) for label in self.apex)
        offset = _HEADER_BYTES + len(question) - _QUESTION_TAIL_BYTES - apex_bytes
        owner = _POINTER.pack(_POINTER_BITS | offset)
        return Records(1, record(Qtype.SOA, self.soa, ttl_s=TTL_S, owner=owner))


@dataclass(frozen=True, slots=True)
class Node:
    """A name that exists: its zone, and its records by type; none where only names below exist."""

    zone: Zone
    records: Mapping[int, RecordSet]


def zone_at(apex: Labels, *, serial: int) -> Zone:
    """Return the zone that begins at `apex`; of `serial` the lowest 32 bits count."""
    numbers = _SOA_NUMBERS.pack(serial & 0xFFFFFFFF, _REFRESH_S, _RETRY_S, _EXPIRE_S, TTL_S)
    soa = encode_name(API) + encode_name(_HOSTMASTER) + numbers
    server = single(Qtype.NS, encode_name(API))
    return Zone(apex, soa, {Qtype.SOA: single(Qtype.SOA, soa), Qtype.NS: server})


def labels_of(text: str) -> Labels:
    """Return the labels of a name in ASCII and lower case, written with dots and no final one."""
    return tuple(text.encode("ascii").split(b"."))
