from dataclasses import replace
from ipaddress import IPv6Address

import pytest

from peers.names import Label
from tests.store.samples import CHECK, NOW, add_peer
from wgctl.core.errors import Conflict, Exhausted, NotFound
from wgctl.core.model import MachineState, Peer, Port, Protocol
from wgctl.services import app, lease, machine
from wgctl.services.machine import MachineFacts, NewMachine
from wgctl.store.store import Store

_NEW = NewMachine(
    network=Label("default"),
    app=Label("web"),
    peer=Label("peer-1"),
    name=Label("one"),
    region=None,
    process_group=Label("app"),
    ports=(Port(Label("http"), 8080, Protocol.TCP),),
    metadata={},
)


@pytest.fixture
def peer(store: Store) -> Peer:
    """The peer `peer-1` of `acme`, whose network has the app `web`."""
    app.add(store, "acme", "default", Label("web"), now=NOW)
    return add_peer(store, "acme", 1).peer


def _announce(store: Store, peer: Peer, new: NewMachine = _NEW, *, now: int = NOW) -> MachineFacts:
    return lease.announce(store, "acme", peer.address, new, lease_s=15, now=now)


def _revision(store: Store) -> int:
    with store.reading() as deployment:
        return deployment.revision


def test_a_peer_announces_a_machine_of_its_own(store: Store, peer: Peer) -> None:
    facts = _announce(store, peer)

    assert facts == machine.shown(store, "acme", "default", "one")
    assert (facts.machine.lease_s, facts.peer.id, facts.machine.region) == (15, peer.id, "ams")


def test_the_same_again_changes_nothing_and_something_else_is_written(
    store: Store, peer: Peer
) -> None:
    """Its state is an operator's, and stays."""
    first = _announce(store, peer).machine
    machine.set_state(store, "acme", "default", "one", MachineState.STOPPED)
    before = _revision(store)
    again = _announce(store, peer, now=NOW + 60).machine

    assert (_revision(store), again) == (before, replace(first, state=MachineState.STOPPED))
    moved = _announce(store, peer, replace(_NEW, region=Label("fra"), ports=())).machine
    assert (_revision(store), moved) == (before + 1, replace(again, region=Label("fra"), ports=()))


def test_one_that_is_announced_again_is_shown_with_its_check(store: Store, peer: Peer) -> None:
    _announce(store, peer)
    machine.set_check(store, "acme", "default", "one", CHECK)

    assert _announce(store, peer) == machine.shown(store, "acme", "default", "one")


def test_an_app_that_is_not_there_is_told_with_its_cure(store: Store, peer: Peer) -> None:
    with pytest.raises(NotFound, match="wgctl app add shop --org acme --network default"):
        _announce(store, peer, replace(_NEW, app=Label("shop")))


def test_a_name_is_taken_by_any_other_machine(store: Store, peer: Peer) -> None:
    add_peer(store, "acme", 2)
    app.add(store, "acme", "default", Label("db"), now=NOW)
    machine.add(store, "acme", _NEW, now=NOW)
    for new in (
        replace(_NEW, name=Label("two"), peer=Label("peer-2")),
        replace(_NEW, name=Label("three"), app=Label("db")),
    ):
        address = peer.address if new.peer == "peer-1" else peer.address + 1
        lease.announce(store, "acme", address, new, lease_s=15, now=NOW)

    for name in ("one", "two", "three"):
        with pytest.raises(Conflict, match=f"machine '{name}' exists already"):
            _announce(store, peer, replace(_NEW, name=Label(name)))


def test_an_address_that_is_not_the_peers_any_more_is_not_found(store: Store, peer: Peer) -> None:
    """A role's copy may be older than the store, and the name may be another's by then."""
    with pytest.raises(NotFound, match="no peer 'peer-1' at"):
        lease.announce(store, "acme", IPv6Address(peer.address + 9), _NEW, lease_s=15, now=NOW)


def test_a_peer_cannot_fill_the_store(store: Store, peer: Peer) -> None:
    machine.add(store, "acme", replace(_NEW, name=Label("by-hand")), now=NOW)
    for number in range(64):
        _announce(store, peer, replace(_NEW, name=Label(f"m{number}")))

    with pytest.raises(Exhausted, match="64 machines"):
        _announce(store, peer, replace(_NEW, name=Label("m64")))
    # One that it has may begin anew.
    _announce(store, peer, replace(_NEW, name=Label("m0")))


def test_ended_leases_take_their_machines_along_and_nothing_else(store: Store, peer: Peer) -> None:
    by_hand = machine.add(store, "acme", replace(_NEW, name=Label("by-hand")), now=NOW).machine
    one = _announce(store, peer).machine
    two = _announce(store, peer, replace(_NEW, name=Label("two"))).machine
    ended = [("acme", one.id), ("acme", by_hand.id), ("acme", 999), ("none", two.id)]
    lease.end(store, [*ended, ("globex", two.id)])

    left = machine.listed(store, "acme", network=None, app=None)
    assert [found.machine.name for found in left] == ["by-hand", "two"]
    before = _revision(store)
    lease.end(store, ended)
    assert _revision(store) == before
