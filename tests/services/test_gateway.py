from dataclasses import replace
from pathlib import Path

import pysqlite3
import pytest
from structlog.testing import capture_logs

from peers.endpoint import Endpoint
from peers.names import Label
from tests.store.samples import NOW, key, register
from wgctl.core.errors import Exhausted, NotFound
from wgctl.core.feed import Kind, Put
from wgctl.services import gateway
from wgctl.services.gateway import GatewayFacts
from wgctl.store.store import Store

_FACTS = GatewayFacts(
    region=Label("fra"),
    endpoint=Endpoint.parse("vpn.example.com:51820"),
    public_key=key(1),
    mtu_bytes=1380,
    forwards=True,
)


def _revision(store: Store) -> int:
    with store.reading() as deployment:
        return deployment.revision


def test_a_gateway_is_named_after_its_region_and_number(store: Store) -> None:
    added = gateway.register(store, _FACTS, now=NOW)

    assert (added.name, added.number, added.region) == ("fra-17", 17, "fra")
    assert (added.endpoint, added.mtu_bytes, added.forwards) == (_FACTS.endpoint, 1380, True)
    assert gateway.shown(store, "fra-17") == added
    assert [found.name for found in gateway.listed(store)] == ["ams-16", "fra-17"]


def test_the_same_facts_again_are_no_change(store: Store) -> None:
    before = _revision(store)
    known = register(store)

    assert known.number == 16
    assert _revision(store) == before


def test_new_facts_refresh_the_record_and_keep_number_and_name(store: Store) -> None:
    """The config file of a host is the truth of its record (law 10)."""
    first = gateway.register(store, _FACTS, now=NOW)
    moved = replace(_FACTS, region=Label("ams"), endpoint=Endpoint.parse("[2001:db8::1]:4500"))
    second = gateway.register(store, moved, now=NOW + 9)

    assert (second.id, second.number, second.name) == (first.id, first.number, first.name)
    assert (second.region, second.endpoint) == ("ams", moved.endpoint)
    assert second.created_at == NOW
    assert gateway.shown(store, first.name) == second


def test_a_gateway_that_returns_with_a_new_key_is_the_one_that_it_was(store: Store) -> None:
    """As a second one beside it, configs would go on naming the first, which is dead."""
    first = gateway.register(store, _FACTS, now=NOW)
    revision = _revision(store)
    with capture_logs() as logs:
        second = gateway.register(store, replace(_FACTS, public_key=key(2)), now=NOW + 9)

    assert second == replace(first, public_key=key(2))
    assert gateway.shown(store, first.name) == second
    with store.reading() as deployment:
        changed = deployment.changes(
            since=revision, until=revision + 1, kinds=frozenset({Kind.GATEWAY})
        )
        assert list(changed) == [Put(Kind.GATEWAY, second)]
    assert [log["name"] for log in logs] == ["fra-17"]


def test_a_key_says_more_than_an_endpoint(store: Store) -> None:
    """Two gateways that swap their places stay who they are."""
    first = gateway.register(store, _FACTS, now=NOW)
    there = register(store)
    moved = gateway.register(store, replace(_FACTS, endpoint=there.endpoint), now=NOW)

    assert (moved.id, moved.public_key) == (first.id, first.public_key)


def test_past_the_last_number_no_gateway_is_added(store: Store) -> None:
    _set_next_number(store.path, 65_535)
    last = gateway.register(store, _FACTS, now=NOW)

    assert last.number == 65_535
    with pytest.raises(Exhausted, match="65535"):
        register(store, number=2)


def test_a_missing_gateway_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="no gateway 'none'"):
        gateway.shown(store, "none")


def _set_next_number(path: Path, number: int) -> None:
    connection = pysqlite3.connect(str(path))
    connection.execute("UPDATE deployment SET next_gateway_number = ?", (number,))
    connection.commit()
    connection.close()
