from pathlib import Path

import pytest

from peers.errors import Invalid
from peers.names import Label
from tests.store.samples import NOW, add_peer, create, key, new_peer, register
from wgctl.core.errors import Conflict, NotFound, Unavailable
from wgctl.services import network, org, peer
from wgctl.services.peer import NewKey, NewPeer
from wgctl.store.store import Store


def _revision(store: Store) -> int:
    with store.reading() as deployment:
        return deployment.revision


def test_a_peer_gets_the_next_address_of_its_network_and_gateway(store: Store) -> None:
    network.add(store, "acme", Label("lab"), now=NOW)
    places = [
        add_peer(store, "acme", number, network=name)
        for number, name in enumerate(["default", "default", "lab"])
    ]

    assert [facts.peer.address for facts in places] == [
        facts.network.prefix[(facts.gateway.number << 64) + number]
        for facts, number in zip(places, (2, 3, 2), strict=True)
    ]
    assert places[0].network.name == "default"
    assert places[0].peer.owner == "operator"


def test_the_same_request_again_is_the_same_peer_and_no_change(store: Store) -> None:
    """A lost answer is asked for again, and no peer is orphaned."""
    first, is_new = peer.add(store, "acme", new_peer(1), now=NOW)
    revision = _revision(store)
    again, is_new_again = peer.add(store, "acme", new_peer(1, expires_in_s=5), now=NOW + 100)

    assert (is_new, is_new_again) == (True, False)
    assert again == first
    assert _revision(store) == revision


def test_a_name_with_another_key_is_a_conflict(store: Store) -> None:
    add_peer(store, "acme", 1)
    other = NewPeer(Label("default"), Label("peer-1"), key(2), None, needs_forwarding=False)

    with pytest.raises(Conflict, match=r"another key: wgctl peer rekey"):
        peer.add(store, "acme", other, now=NOW)


@pytest.mark.parametrize("slug", ["acme", "globex"])
def test_a_key_in_use_is_refused_without_telling_whose(store: Store, slug: str) -> None:
    add_peer(store, "acme", 1)
    other = NewPeer(Label("default"), Label("other"), key(1), None, needs_forwarding=False)

    with pytest.raises(Invalid, match="already in use") as refused:
        peer.add(store, slug, other, now=NOW)
    assert "acme" not in str(refused.value)
    assert "peer-1" not in str(refused.value)


def test_a_gateways_key_is_in_use(store: Store) -> None:
    taken = register(store).public_key
    other = NewPeer(Label("default"), Label("other"), taken, None, needs_forwarding=False)

    with pytest.raises(Invalid, match="already in use"):
        peer.add(store, "acme", other, now=NOW)


def test_an_expiry_counts_from_now(store: Store) -> None:
    facts, _ = peer.add(store, "acme", new_peer(1, expires_in_s=60), now=NOW)

    assert facts.peer.expires_at == NOW + 60
    assert add_peer(store, "acme", 2).peer.expires_at is None


def test_full_dns_needs_a_gateway_that_forwards(store: Store) -> None:
    with pytest.raises(Invalid, match="no upstreams"):
        peer.add(store, "acme", new_peer(1, full=True), now=NOW)
    register(store, forwards=True)
    facts, is_new = peer.add(store, "acme", new_peer(1, full=True), now=NOW)

    assert is_new
    assert facts.gateway.forwards


def test_without_a_gateway_no_peer_can_be_added(tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    store = create(folder)
    org.add(store, Label("acme"), now=NOW)

    with pytest.raises(Unavailable, match="no gateway"):
        peer.add(store, "acme", new_peer(1), now=NOW)
    store.close()


def test_a_refused_peer_spends_no_number(store: Store) -> None:
    add_peer(store, "acme", 1)
    with pytest.raises(Invalid):
        peer.add(store, "acme", new_peer(1, network="default", full=True), now=NOW)
    with pytest.raises(Conflict):
        peer.add(
            store,
            "acme",
            NewPeer(Label("default"), Label("peer-1"), key(9), None, needs_forwarding=False),
            now=NOW,
        )

    assert int(add_peer(store, "acme", 2).peer.address) & 0xFFFF == 3


def test_a_new_key_keeps_the_address_and_frees_the_old_key(store: Store) -> None:
    before = add_peer(store, "acme", 1).peer
    after = peer.rekey(
        store, "acme", "default", "peer-1", NewKey(key(50), needs_forwarding=False)
    ).peer
    reused = NewPeer(Label("default"), Label("other"), key(1), None, needs_forwarding=False)

    assert (after.id, after.address, after.public_key) == (before.id, before.address, key(50))
    assert peer.add(store, "globex", reused, now=NOW)[1]


def test_the_same_new_key_again_is_no_change(store: Store) -> None:
    add_peer(store, "acme", 1)
    new = NewKey(key(50), needs_forwarding=False)
    first = peer.rekey(store, "acme", "default", "peer-1", new)
    revision = _revision(store)

    assert peer.rekey(store, "acme", "default", "peer-1", new) == first
    assert _revision(store) == revision


def test_a_new_key_that_is_in_use_is_refused(store: Store) -> None:
    add_peer(store, "acme", 1)
    add_peer(store, "globex", 2)

    with pytest.raises(Invalid, match="already in use"):
        peer.rekey(store, "acme", "default", "peer-1", NewKey(key(2), needs_forwarding=False))


def test_a_new_key_for_full_dns_needs_a_gateway_that_forwards(store: Store) -> None:
    add_peer(store, "acme", 1)

    with pytest.raises(Invalid, match="no upstreams"):
        peer.rekey(store, "acme", "default", "peer-1", NewKey(key(3), needs_forwarding=True))
    assert peer.shown(store, "acme", "default", "peer-1").peer.public_key == key(1)


def test_peers_are_listed_by_name_over_all_networks(store: Store) -> None:
    network.add(store, "acme", Label("lab"), now=NOW)
    for number, name in ((3, "lab"), (1, "default"), (2, "lab")):
        add_peer(store, "acme", number, network=name)
    add_peer(store, "globex", 9)

    def names(network: str | None) -> list[str]:
        found = peer.listed(store, "acme", network=network, after=("", 0), limit=9)
        return [facts.peer.name for facts in found]

    assert names(None) == ["peer-1", "peer-2", "peer-3"]
    assert names("lab") == ["peer-2", "peer-3"]


def test_a_removed_peer_is_gone_and_its_address_stays_spent(store: Store) -> None:
    first = add_peer(store, "acme", 1).peer
    peer.remove(store, "acme", "default", "peer-1")
    with pytest.raises(NotFound, match="no peer 'peer-1'"):
        peer.shown(store, "acme", "default", "peer-1")
    second = add_peer(store, "acme", 1).peer

    assert second.id > first.id
    assert int(second.address) == int(first.address) + 1


@pytest.mark.parametrize(
    ("slug", "name", "what"), [("none", "default", "org"), ("acme", "none", "network")]
)
def test_a_missing_place_is_not_found(store: Store, slug: str, name: str, what: str) -> None:
    with pytest.raises(NotFound, match=f"no {what} 'none'"):
        peer.add(store, slug, new_peer(1, network=name), now=NOW)
    with pytest.raises(NotFound, match=f"no {what} 'none'"):
        peer.listed(store, slug, network=name, after=("", 0), limit=1)
