from ipaddress import IPv6Network
from pathlib import Path

import pysqlite3
import pytest

from peers.names import Label
from tests.store.samples import NOW, add_peer
from wgctl.core.errors import Conflict, Exhausted, NotFound
from wgctl.services import app, network, org, peer
from wgctl.store.store import Store


def _count_from(store: Store, index: int) -> None:
    """Have the next network take the id of `index`, whatever was given out."""
    connection = pysqlite3.connect(str(store.path))
    connection.execute("UPDATE network_ids SET next_index = ?", (index,))
    connection.commit()
    connection.close()


def _add(store: Store, name: str) -> IPv6Network:
    return network.add(store, "acme", Label(name), now=NOW).prefix


def test_an_id_that_was_given_out_before_is_passed_over(store: Store) -> None:
    _count_from(store, 100)
    first = _add(store, "one")
    _count_from(store, 100)

    assert first != _add(store, "two")


def test_the_id_of_a_removed_network_is_never_given_out_again(store: Store) -> None:
    """A laptop may still hold the config of the old network (RFC 4193)."""
    _count_from(store, 100)
    first = _add(store, "one")
    network.remove(store, "acme", "one")
    _count_from(store, 100)

    assert first != _add(store, "one")


def test_the_id_of_a_removed_orgs_network_is_never_given_out_again(store: Store) -> None:
    first = network.shown(store, "acme", "default").prefix
    org.remove(store, "acme")
    _count_from(store, 0)
    org.add(store, Label("acme"), now=NOW)

    assert network.shown(store, "acme", "default").prefix != first


def test_a_pool_whose_last_id_was_given_out_is_exhausted(store: Store) -> None:
    _count_from(store, 2**32 - 1)
    _add(store, "one")

    with pytest.raises(Exhausted, match="fdaa::/16"):
        _add(store, "two")
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
