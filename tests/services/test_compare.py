from dataclasses import replace
from pathlib import Path

import pytest

from peers.names import Label
from tests.store.samples import CHECK, NOW, add_peer, key
from wgctl.core.feed import Kind
from wgctl.services import app, machine, network, org, peer
from wgctl.services.compare import Difference, contents, differences
from wgctl.services.machine import NewMachine
from wgctl.services.peer import NewKey
from wgctl.store import snapshot
from wgctl.store.store import Store

_MACHINE = NewMachine(
    network=Label("default"),
    app=Label("web"),
    peer=Label("peer-1"),
    name=Label("one"),
    region=None,
    process_group=Label("app"),
    ports=(),
    metadata={},
)


@pytest.fixture
def earlier(store: Store, tmp_path: Path) -> Store:
    """A copy of the store as it is before the test changes it."""
    add_peer(store, "acme", 1)
    add_peer(store, "acme", 2)
    snapshot.take(store.path, tmp_path / "earlier")
    return Store(tmp_path / "earlier")


def _found(running: Store, restored: Store) -> list[Difference]:
    found = differences(contents(running), contents(restored))
    restored.close()
    return found


def test_a_store_does_not_differ_from_its_copy(store: Store, earlier: Store) -> None:
    assert _found(store, earlier) == []


def test_what_came_after_goes_and_what_was_removed_comes_back(store: Store, earlier: Store) -> None:
    add_peer(store, "globex", 3)
    network.add(store, "acme", Label("lab"), now=NOW)
    org.add(store, Label("third"), now=NOW)
    app.add(store, "acme", "lab", Label("web"), now=NOW)
    peer.remove(store, "acme", "default", "peer-1")

    assert _found(store, earlier) == [
        Difference(Kind.ORG, ("third",), (), ()),
        Difference(Kind.NETWORK, ("acme/lab", "third/default"), (), ()),
        Difference(Kind.PEER, ("globex/default/peer-3",), ("acme/default/peer-1",), ()),
        Difference(Kind.APP, ("acme/lab/web",), (), ()),
    ]


def test_a_check_that_was_changed_changes_back(store: Store, tmp_path: Path) -> None:
    add_peer(store, "acme", 1)
    app.add(store, "acme", "default", Label("web"), now=NOW)
    machine.add(store, "acme", _MACHINE, now=NOW)
    machine.set_check(store, "acme", "default", "one", CHECK)
    snapshot.take(store.path, tmp_path / "earlier")
    machine.set_check(store, "acme", "default", "one", replace(CHECK, fall=9))

    assert _found(store, Store(tmp_path / "earlier")) == [
        Difference(Kind.CHECK, (), (), ("acme/default/one",))
    ]


def test_a_key_that_was_replaced_changes_back(store: Store, earlier: Store) -> None:
    """The old one may have been replaced because it was stolen."""
    peer.rekey(store, "acme", "default", "peer-1", NewKey(key(9), needs_forwarding=False), now=NOW)

    assert _found(store, earlier) == [Difference(Kind.PEER, (), (), ("acme/default/peer-1",))]


def test_a_peer_that_was_made_anew_under_its_name_is_another(store: Store, earlier: Store) -> None:
    peer.remove(store, "acme", "default", "peer-1")
    add_peer(store, "acme", 1)

    assert _found(store, earlier) == [Difference(Kind.PEER, (), (), ("acme/default/peer-1",))]
