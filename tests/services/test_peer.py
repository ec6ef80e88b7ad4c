import json
from dataclasses import replace
from pathlib import Path

import pytest

from peers.errors import Invalid, InvalidKey
from peers.names import Label
from peers.seal import SealedKey
from tests.store.samples import (
    NOW,
    add_peer,
    create,
    engine,
    key,
    new_peer,
    register,
    sealed_to,
)
from wgctl.core.errors import Conflict, NotFound, Unavailable
from wgctl.core.model import MemberRole
from wgctl.services import audit, gateway, network, org, peer
from wgctl.services import member as members
from wgctl.services.gateway import GatewayFacts
from wgctl.services.peer import NewKey, NewPeer, SealedTo
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


def _seal(store: Store, name: str) -> SealedKey | None:
    with store.reading() as deployment:
        door = deployment.owned_by("acme")
        found = door.seal(door.peer(door.network("default"), name))
        return None if found is None else found.sealed


def test_a_list_tells_of_each_peer_what_showing_it_does(store: Store) -> None:
    network.add(store, "acme", Label("lab"), now=NOW)
    sealed = sealed_to(register(store).public_key, 2)
    peer.add(store, "acme", new_peer(1), now=NOW)
    peer.add(store, "acme", new_peer(2, preshared_key=sealed), now=NOW)
    peer.add(store, "acme", new_peer(3, network="lab"), now=NOW)
    found = peer.listed(store, "acme", network=None, after=("", 0), limit=9)

    assert [facts.preshared for facts in found] == [False, True, False]
    assert found == [
        peer.shown(store, "acme", place, f"peer-{number}")
        for number, place in ((1, "default"), (2, "default"), (3, "lab"))
    ]


def test_a_preshared_key_is_kept_as_it_was_sealed(store: Store) -> None:
    sealed = sealed_to(register(store).public_key, 1)
    first, is_new = peer.add(store, "acme", new_peer(1, preshared_key=sealed), now=NOW)
    again, is_new_again = peer.add(store, "acme", new_peer(1, preshared_key=sealed), now=NOW)

    assert (is_new, is_new_again) == (True, False)
    assert first == again
    assert _seal(store, "peer-1") == sealed.sealed


@pytest.mark.parametrize("known", [True, False])
def test_the_same_request_with_another_preshared_key_is_a_conflict(
    store: Store,
    known: bool,  # noqa: FBT001 - a case
) -> None:
    """The answer would be a config whose key the gateway has not."""
    gateway = register(store).public_key
    before = sealed_to(gateway, 1) if known else None
    peer.add(store, "acme", new_peer(1, preshared_key=before), now=NOW)

    for other in (sealed_to(gateway, 1), None if known else sealed_to(gateway, 1)):
        with pytest.raises(Conflict, match="another preshared key, or none: wgctl peer rekey"):
            peer.add(store, "acme", new_peer(1, preshared_key=other), now=NOW)
    assert _seal(store, "peer-1") == (before.sealed if before else None)


def test_a_preshared_key_for_another_gateway_than_the_chosen_is_a_conflict(store: Store) -> None:
    """Another was chosen since: only the one that was shown could open it."""
    add_peer(store, "acme", 2)
    stale = sealed_to(key(10**9 + 7), 1)

    with pytest.raises(Conflict, match="sealed to another gateway than 'ams-16'"):
        peer.add(store, "acme", new_peer(1, preshared_key=stale), now=NOW)
    with pytest.raises(Conflict, match="sealed to another gateway than 'ams-16'"):
        peer.rekey(
            store,
            "acme",
            "default",
            "peer-2",
            NewKey(key(3), needs_forwarding=False, preshared_key=stale),
            now=NOW,
        )
    with pytest.raises(NotFound):
        peer.shown(store, "acme", "default", "peer-1")
    assert peer.shown(store, "acme", "default", "peer-2").peer.public_key == key(2)


def test_a_new_key_comes_with_a_new_preshared_key_or_with_none(store: Store) -> None:
    gateway = register(store).public_key
    peer.add(store, "acme", new_peer(1, preshared_key=sealed_to(gateway, 1)), now=NOW)
    second = sealed_to(gateway, 50)

    def rekey(number: int, preshared_key: SealedTo | None) -> SealedKey | None:
        new = NewKey(key(number), needs_forwarding=False, preshared_key=preshared_key)
        peer.rekey(store, "acme", "default", "peer-1", new, now=NOW)
        return _seal(store, "peer-1")

    assert rekey(50, second) == second.sealed
    revision = _revision(store)
    assert rekey(50, second) == second.sealed
    assert _revision(store) == revision
    assert rekey(50, None) is None
    assert _revision(store) == revision + 1
    third = sealed_to(gateway, 50)
    assert rekey(50, third) == third.sealed
    assert rekey(51, None) is None


def test_the_gateway_that_is_offered_is_the_one_that_a_peer_gets(store: Store) -> None:
    register(store, number=1)
    offered = peer.offered_gateway(store, "acme", "default", needs_forwarding=False)

    assert add_peer(store, "acme", 1).gateway == offered
    with pytest.raises(Invalid, match="no upstreams"):
        peer.offered_gateway(store, "acme", "default", needs_forwarding=True)
    with pytest.raises(NotFound):
        peer.offered_gateway(store, "acme", "none", needs_forwarding=False)


def test_peers_are_sent_to_the_gateway_that_lives(store: Store) -> None:
    """It came back with another key, to the endpoint that it had."""
    dead = add_peer(store, "acme", 1).gateway
    facts = GatewayFacts(dead.region, dead.endpoint, key(99), dead.mtu_bytes, dead.forwards)
    gateway.register(store, facts, now=NOW)

    assert add_peer(store, "acme", 2).gateway.public_key == key(99)
    assert peer.shown(store, "acme", "default", "peer-1").gateway.public_key == key(99)


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
        store, "acme", "default", "peer-1", NewKey(key(50), needs_forwarding=False), now=NOW
    ).peer
    reused = NewPeer(Label("default"), Label("other"), key(1), None, needs_forwarding=False)

    assert (after.id, after.address, after.public_key) == (before.id, before.address, key(50))
    assert peer.add(store, "globex", reused, now=NOW)[1]


def test_the_same_new_key_again_is_no_change(store: Store) -> None:
    add_peer(store, "acme", 1)
    new = NewKey(key(50), needs_forwarding=False)
    first = peer.rekey(store, "acme", "default", "peer-1", new, now=NOW)
    revision = _revision(store)

    assert peer.rekey(store, "acme", "default", "peer-1", new, now=NOW) == first
    assert _revision(store) == revision


def test_a_new_key_that_is_in_use_is_refused(store: Store) -> None:
    add_peer(store, "acme", 1)
    add_peer(store, "globex", 2)

    with pytest.raises(Invalid, match="already in use"):
        peer.rekey(
            store, "acme", "default", "peer-1", NewKey(key(2), needs_forwarding=False), now=NOW
        )


def test_a_new_key_for_full_dns_needs_a_gateway_that_forwards(store: Store) -> None:
    add_peer(store, "acme", 1)

    with pytest.raises(Invalid, match="no upstreams"):
        peer.rekey(
            store, "acme", "default", "peer-1", NewKey(key(3), needs_forwarding=True), now=NOW
        )
    assert peer.shown(store, "acme", "default", "peer-1").peer.public_key == key(1)


def test_what_is_asked_of_a_peer_whose_time_is_over_is_no_success(store: Store) -> None:
    """The tunnel would be handed over, and stay dead."""
    first, _ = peer.add(store, "acme", new_peer(1, expires_in_s=60), now=NOW)
    revision, over = _revision(store), NOW + 60
    again = NewKey(key(50), needs_forwarding=False)

    with pytest.raises(Conflict, match=r"expired at 2027-01-15T08:01:00Z: remove it, or .*--expir"):
        peer.add(store, "acme", new_peer(1), now=over)
    with pytest.raises(Conflict, match="expired at"):
        peer.rekey(store, "acme", "default", "peer-1", again, now=over)
    assert peer.add(store, "acme", new_peer(1), now=over - 1) == (first, False)
    assert _revision(store) == revision


def test_a_new_time_brings_an_expired_peer_back_as_it_was(store: Store) -> None:
    first = peer.add(store, "acme", new_peer(1, expires_in_s=60), now=NOW)[0].peer
    again = peer.add(store, "acme", new_peer(1, expires_in_s=60), now=NOW + 60)[0].peer
    new = NewKey(key(50), needs_forwarding=False, expires_in_s=30)
    rekeyed = peer.rekey(store, "acme", "default", "peer-1", new, now=NOW + 120).peer

    assert again == replace(first, expires_at=NOW + 120)
    assert rekeyed == replace(first, expires_at=NOW + 150, public_key=key(50))


def test_an_ephemeral_peer_is_removed_when_its_time_is_over(store: Store) -> None:
    """By the controller, as the audit trail says; its address is not given out again."""
    first = peer.add(store, "acme", new_peer(1, expires_in_s=60, ephemeral=True), now=NOW)[0].peer
    peer.add(store, "acme", new_peer(2, expires_in_s=60), now=NOW)
    early, late = (peer.remove_ended(store, now=NOW + after) for after in (59, 60))
    record = json.loads(audit.listed(store, "acme", after=0, limit=100)[-1].body)
    revision = _revision(store)

    assert (early, late, peer.remove_ended(store, now=NOW + 60)) == ([], [first.id], [])
    assert _revision(store) == revision
    with pytest.raises(NotFound):
        peer.shown(store, "acme", "default", "peer-1")
    assert peer.shown(store, "acme", "default", "peer-2").peer.expired(now=NOW + 60)
    assert [record[name] for name in ("who", "from", "did", "outcome")] == [
        *("operator", "controller", "peer:remove", "allowed")
    ]
    assert [(one["before"]["name"], one["after"]) for one in record["changes"]] == [
        ("peer-1", None)
    ]
    again = peer.add(store, "acme", new_peer(1), now=NOW + 61)[0].peer
    assert int(again.address) == int(first.address) + 2


def test_an_ephemeral_peer_that_was_given_another_time_stays_till_then(store: Store) -> None:
    peer.add(store, "acme", new_peer(1, expires_in_s=60, ephemeral=True), now=NOW)
    new = NewKey(key(50), needs_forwarding=False, expires_in_s=60)
    peer.rekey(store, "acme", "default", "peer-1", new, now=NOW + 30)

    assert peer.remove_ended(store, now=NOW + 89) == []
    assert len(peer.remove_ended(store, now=NOW + 90)) == 1


def test_an_ephemeral_peer_whose_time_is_over_makes_room_at_once(store: Store) -> None:
    """The next run of a pipeline has the same name, and a key of its own."""
    first = peer.add(store, "acme", new_peer(1, expires_in_s=60, ephemeral=True), now=NOW)[0].peer
    other = replace(new_peer(1, expires_in_s=60, ephemeral=True), public_key=key(2))
    with pytest.raises(Conflict, match="another key"):
        peer.add(store, "acme", other, now=NOW + 59)
    second, is_new = peer.add(store, "acme", other, now=NOW + 60)

    assert is_new
    assert (second.peer.public_key, second.peer.id) != (first.public_key, first.id)
    assert second.peer.address != first.address


def test_a_peer_that_is_there_otherwise_than_asked_is_no_success(store: Store) -> None:
    """Whether it is to leave by itself, and what it is to be known by."""
    peer.add(store, "acme", new_peer(1, expires_in_s=60), now=NOW)
    with pytest.raises(Conflict, match="as one that stays"):
        peer.add(store, "acme", new_peer(1, expires_in_s=60, ephemeral=True), now=NOW)
    for now in (NOW, NOW + 60):
        with pytest.raises(Conflict, match="without tag 'ci'"):
            peer.add(store, "acme", replace(new_peer(1), tags=(Label("ci"),)), now=now)

    peer.add(store, "acme", new_peer(2, expires_in_s=60, ephemeral=True), now=NOW)
    with pytest.raises(Conflict, match="as an ephemeral one"):
        peer.add(store, "acme", new_peer(2), now=NOW)


def test_a_peer_that_cannot_be_read_keeps_no_other_from_leaving(store: Store) -> None:
    for number in (1, 2):
        new = new_peer(number, expires_in_s=60, ephemeral=True)
        second = peer.add(store, "acme", new, now=NOW)[0].peer
    with engine(store.path).begin() as connection:
        connection.exec_driver_sql("UPDATE peers SET public_key = x'01' WHERE name = 'peer-1'")

    assert peer.remove_ended(store, now=NOW + 60) == [second.id]
    with pytest.raises(InvalidKey):
        peer.remove_ended(store, now=NOW + 60)


def test_an_expired_peer_is_asked_to_leave_from_now_on(store: Store) -> None:
    peer.add(store, "acme", new_peer(1, expires_in_s=60), now=NOW)
    again = new_peer(1, expires_in_s=60, ephemeral=True)
    renewed = peer.add(store, "acme", again, now=NOW + 60)[0].peer

    assert (renewed.ephemeral, renewed.expires_at) == (True, NOW + 120)


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


def test_a_peer_of_somebody_is_not_given_to_another_by_asking_again(store: Store) -> None:
    for name in ("alice", "bob"):
        members.add(store, "acme", Label(name), MemberRole.MEMBER, networks=None, now=NOW)
    mine = replace(new_peer(1), owner="alice")

    assert peer.add(store, "acme", mine, now=NOW)[0].peer.owner == "alice"
    assert peer.add(store, "acme", new_peer(1), now=NOW)[0].peer.owner == "alice"
    with pytest.raises(Conflict, match="is of 'alice'"):
        peer.add(store, "acme", replace(mine, owner="bob"), now=NOW)
    with pytest.raises(NotFound):
        peer.add(store, "acme", replace(new_peer(2), owner="ghost"), now=NOW)
