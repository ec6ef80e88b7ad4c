"""Zones that hold nothing; how names in them are denied is in `test_responder`."""

from ipaddress import IPv6Address

import pytest

from peers.addresses import reverse_name
from wgctl.core.names.special import local_node, never_leaves, special_zones
from wgctl.core.names.zone import labels_of
from wgctl.core.wire import Qtype


def around(name: str) -> str | None:
    labels = labels_of(name)
    found = [labels[at:] for at in range(len(labels)) if labels[at:] in special_zones()]
    return b".".join(found[0]).decode() if found else None


@pytest.mark.parametrize(
    ("name", "apex"),
    [
        ("printer.local", "local"),
        ("web.invalid", "invalid"),
        ("a.b.onion", "onion"),
        ("x.home.arpa", "home.arpa"),
        ("1.0.16.172.in-addr.arpa", "16.172.in-addr.arpa"),
        ("1.0.31.172.in-addr.arpa", "31.172.in-addr.arpa"),
        ("1.0.127.100.in-addr.arpa", "127.100.in-addr.arpa"),
        (reverse_name(IPv6Address("fd12::1")), "d.f.ip6.arpa"),
        (reverse_name(IPv6Address("fc00::1")), "c.f.ip6.arpa"),
        (reverse_name(IPv6Address("febf::1")), "b.e.f.ip6.arpa"),
        (reverse_name(IPv6Address("2001:db8::1")), "8.b.d.0.1.0.0.2.ip6.arpa"),
        # What others may know of.
        ("internal", None),
        ("example.com", None),
        ("1.0.32.172.in-addr.arpa", None),
        ("1.0.63.100.in-addr.arpa", None),
        ("1.0.128.100.in-addr.arpa", None),
        (reverse_name(IPv6Address("2001:db9::1")), None),
        ("e.f.ip6.arpa", None),
    ],
)
def test_a_private_name_is_in_an_empty_zone(name: str, apex: str | None) -> None:
    assert around(name) == apex


@pytest.mark.parametrize(
    ("name", "leaves"),
    [
        ("internal", False),
        ("web.internal", False),
        ("printer.local", False),
        ("web.flycast", False),
        ("8.b.d.0.1.0.0.2.ip6.arpa", False),
        ("example.com", True),
        ("internal.example.com", True),
        ("xinternal", True),
        ("arpa", True),
    ],
)
def test_what_never_leaves_is_internal_or_special(name: str, *, leaves: bool) -> None:
    assert never_leaves(labels_of(name)) is not leaves
    assert not never_leaves(())


def test_localhost_and_what_is_below_it_is_the_asker_s_own_host() -> None:
    for name in ("localhost", "a.b.localhost"):
        node = local_node(labels_of(name))
        assert node is not None
        found = {type_: node.records[type_].pick(0)[0].record[-4:] for type_ in (1, 28)}
        assert found == {1: bytes([127, 0, 0, 1]), 28: bytes([0, 0, 0, 1])}
        assert (Qtype.SOA in node.records) == (name == "localhost")
    assert local_node(labels_of("localhost.example")) is None


def test_each_zone_begins_where_it_is_found_and_none_is_in_another() -> None:
    for apex, zone in special_zones().items():
        assert zone.apex == apex
        assert not any(apex[start:] in special_zones() for start in range(1, len(apex)))
