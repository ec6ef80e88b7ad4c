from collections.abc import Callable, Iterator
from ipaddress import IPv6Network
from pathlib import Path

import pytest

from peers.names import Label
from tests.store.samples import NOW, add_peer
from wgctl.core.errors import Conflict, Exhausted, NotFound
from wgctl.services import app, network, org, peer
from wgctl.store.store import Store


def _bits(*numbers: int) -> Callable[[int], int]:
    drawn: Iterator[int] = iter(numbers)
    return lambda _bits: next(drawn)


def _add(store: Store, name: str, random_bits: Callable[[int], int]) -> IPv6Network:
    with store.writing() as deployment:
        door = deployment.owned_by("acme")
        return network.add_with(door, Label(name), now=NOW, random_bits=random_bits).prefix


def test_a_drawn_id_that_was_given_out_before_is_drawn_again(store: Store) -> None:
    assert _add(store, "one", _bits(0xABCD)) == IPv6Network("fdaa:0:abcd::/48")
    assert _add(store, "two", _bits(0xABCD, 0xABCD, 5)) == IPv6Network("fdaa:0:5::/48")


def test_the_id_of_a_removed_network_is_never_drawn_again(store: Store) -> None:
    """A laptop may still hold the config of the old network (RFC 4193)."""
    first = _add(store, "one", _bits(7))
    network.remove(store, "acme", "one")
    second = _add(store, "one", _bits(7, 8))

    assert (first, second) == (IPv6Network("fdaa:0:7::/48"), IPv6Network("fdaa:0:8::/48"))


def test_the_id_of_a_removed_orgs_network_is_never_drawn_again(store: Store) -> None:
    _add(store, "one", _bits(7))
    org.remove(store, "acme")
    org.add(store, Label("acme"), now=NOW)

    assert _add(store, "one", _bits(7, 8)) == IPv6Network("fdaa:0:8::/48")


def test_a_pool_where_every_draw_is_spent_is_exhausted(store: Store) -> None:
    _add(store, "one", _bits(7))

    with pytest.raises(Exhausted, match="fdaa::/16"):
        _add(store, "two", lambda _bits: 7)
    assert [found.name for found in network.listed(store, "acme")] == ["default", "one"]


def test_a_taken_name_is_a_conflict_in_its_org_alone(store: Store) -> None:
    network.add(store, "acme", Label("lab"), now=NOW)

    with pytest.raises(Conflict, match="network 'lab' exists already in org 'acme'"):
        network.add(store, "acme", Label("lab"), now=NOW)
    assert network.add(store, "globex", Label("lab"), now=NOW).name == "lab"


def test_networks_are_listed_by_name(store: Store) -> None:
    for name in ("z", "a"):
        network.add(store, "acme", Label(name), now=NOW)

    assert [found.name for found in network.listed(store, "acme")] == ["a", "default", "z"]
    assert network.shown(store, "acme", "z") == network.listed(store, "acme")[2]


def test_a_network_that_is_in_use_is_not_removed(store: Store) -> None:
    """A slip of a name must cost nothing."""
    add_peer(store, "acme", 1)
    app.add(store, "acme", "default", Label("web"), now=NOW)
    with pytest.raises(Conflict, match="has 1 peers and 1 apps"):
        network.remove(store, "acme", "default")
    peer.remove(store, "acme", "default", "peer-1")
    with pytest.raises(Conflict, match="has 0 peers and 1 apps"):
        network.remove(store, "acme", "default")
    app.remove(store, "acme", "default", "web")
    network.remove(store, "acme", "default")

    assert network.listed(store, "acme") == []


@pytest.mark.parametrize(("slug", "name"), [("none", "default"), ("acme", "none")])
def test_a_missing_network_is_not_found(store: Store, slug: str, name: str) -> None:
    with pytest.raises(NotFound, match="'none'"):
        network.shown(store, slug, name)
    with pytest.raises(NotFound, match="'none'"):
        network.remove(store, slug, name)


def test_the_prefix_is_of_the_stores_own_pool(tmp_path: Path) -> None:
    pool = IPv6Network("fd12:3400::/24")
    store = Store.create(tmp_path / "other", pool=pool, epoch="e", now=NOW)
    org.add(store, Label("acme"), now=NOW)
    found = network.shown(store, "acme", "default")
    store.close()

    assert found.prefix.subnet_of(pool)
    assert found.prefix.prefixlen == 48
    assert found.resolver == found.prefix[3]
