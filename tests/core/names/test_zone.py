"""The parts of a zone; that replies hold them rightly is in `test_responder`."""

import pytest

from wgctl.core.names.record_set import TTL_S
from wgctl.core.names.zone import labels_of, zone_at
from wgctl.core.wire import Qtype


@pytest.mark.parametrize(
    ("time", "serial"), [(0, 0), (7, 7), (2**32 - 1, 2**32 - 1), (2**32 + 5, 5)]
)
def test_the_serial_is_the_time_in_32_bits(time: int, serial: int) -> None:
    zone = zone_at((b"internal",), serial=time)

    assert int.from_bytes(zone.soa[-20:-16], "big") == serial
    assert int.from_bytes(zone.soa[-4:], "big") == TTL_S


def test_an_apex_has_soa_and_ns_and_nothing_else() -> None:
    zone = zone_at((b"internal",), serial=1)

    assert list(zone.records) == [Qtype.SOA, Qtype.NS]
    assert zone.records[Qtype.SOA].pick(0)[0].record.endswith(zone.soa)


@pytest.mark.parametrize("apex", ["internal", "d.f.ip6.arpa"])
@pytest.mark.parametrize("below", ["", "web.", "a.b.c."])
def test_the_soa_of_a_denial_is_owned_by_the_apex(apex: str, below: str) -> None:
    zone = zone_at(labels_of(apex), serial=1)
    name = b"".join(bytes([len(label)]) + label for label in labels_of(below + apex)) + b"\0"
    pointer = int.from_bytes(zone.denial(name + bytes(4)).octets[:2], "big")

    assert pointer >> 14 == 3
    at = (pointer & 0x3FFF) - 12
    assert name[at:] == b"".join(bytes([len(label)]) + label for label in zone.apex) + b"\0"
