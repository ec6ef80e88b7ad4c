from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from peers.names import Label
from tests.services.minting import mint
from tests.store.samples import NOW, add_peer, new_peer
from wgctl.core.access import Caller, Scope
from wgctl.core.errors import Conflict, Denied, Invalid, NotFound, Refusal
from wgctl.core.feed import Kind
from wgctl.core.model import MemberRole
from wgctl.services import app as apps
from wgctl.services import machine as machines
from wgctl.services import member as members
from wgctl.services import network as networks
from wgctl.services import peer as peers
from wgctl.services.entry import caller_with
from wgctl.services.machine import NewMachine
from wgctl.store.store import Store


def _add(
    store: Store, name: str, role: MemberRole, *, networks: tuple[str, ...] | None = None
) -> members.MemberFacts:
    return members.add(store, "acme", Label(name), role, networks=networks, now=NOW)


def _as(store: Store, name: str, doing: Scope) -> Store:
    """Return the store as a member of acme sees it, with a token of their own."""
    bearer = mint(store, "acme", f"of-{name}", owner=name)
    return store.seen_by(_doing(caller_with(store, bearer.render(), origin="", now=NOW), doing))


def _doing(caller: Caller, scope: Scope) -> Caller:
    return replace(caller, doing=scope)


def test_members_are_listed_by_name_with_what_is_theirs(store: Store) -> None:
    _add(store, "bob", MemberRole.VIEWER)
    _add(store, "alice", MemberRole.MEMBER)
    peers.add(_as(store, "alice", Scope.PEER_ENROL), "acme", new_peer(1), now=NOW)
    add_peer(store, "acme", 2)
    found = members.listed(store, "acme")

    assert [(f.member.name, f.peers, f.tokens) for f in found] == [("alice", 1, 1), ("bob", 0, 0)]
    assert members.shown(store, "acme", "alice") == found[0]
    assert members.listed(store, "globex") == []


def test_the_operators_name_and_a_network_that_is_not_there_are_refused(store: Store) -> None:
    with pytest.raises(Invalid, match="choose another"):
        _add(store, "operator", MemberRole.MEMBER)
    with pytest.raises(NotFound, match="network 'lab'"):
        _add(store, "alice", MemberRole.MEMBER, networks=("lab",))
    _add(store, "alice", MemberRole.MEMBER)
    with pytest.raises(Conflict, match="member 'alice' exists already in org 'acme'"):
        _add(store, "alice", MemberRole.ADMIN)


def test_a_change_touches_only_what_it_names(store: Store) -> None:
    networks.add(store, "acme", Label("lab"), now=NOW)
    _add(store, "alice", MemberRole.MEMBER, networks=("lab",))

    def change(**what: object) -> tuple[str, object]:
        found = members.change(store, "acme", "alice", **what).member  # type: ignore[arg-type]  # as given
        return found.role, found.networks

    assert change(role=MemberRole.VIEWER) == ("viewer", ("lab",))
    assert change(networks=["lab", "default", "lab"]) == ("viewer", ("default", "lab"))
    assert change(networks=None) == ("viewer", None)


@pytest.mark.parametrize(
    "go",
    [
        lambda store: members.change(store, "acme", "alice", role=MemberRole.MEMBER),
        lambda store: members.change(store, "acme", "alice", networks=["default"]),
        lambda store: members.remove(store, "acme", "alice"),
    ],
)
def test_the_last_admin_stays(store: Store, go: object) -> None:
    assert callable(go)
    _add(store, "alice", MemberRole.ADMIN)
    _add(store, "carol", MemberRole.ADMIN, networks=("default",))
    with pytest.raises(Conflict, match="'alice' is the last admin of org 'acme'"):
        go(store)

    assert members.shown(store, "acme", "alice").member.administers
    _add(store, "bob", MemberRole.ADMIN)
    go(store)


def test_a_network_that_goes_leaves_nobody_wider(store: Store) -> None:
    networks.add(store, "acme", Label("lab"), now=NOW)
    _add(store, "alice", MemberRole.MEMBER, networks=("lab",))
    mint(store, "acme", "ci", networks=("lab",))
    networks.remove(store, "acme", "lab")
    networks.add(store, "acme", Label("lab"), now=NOW)

    assert members.shown(store, "acme", "alice").member.networks == ()
    with _as(store, "alice", Scope.NETWORK_READ).reading() as deployment:
        assert deployment.owned_by("acme").networks() == []


def test_whoever_goes_takes_what_is_theirs_and_nothing_else(store: Store) -> None:
    networks.add(store, "acme", Label("lab"), now=NOW)
    for name, role in (("alice", MemberRole.MEMBER), ("bob", MemberRole.ADMIN)):
        _add(store, name, role)
    alice = _as(store, "alice", Scope.PEER_ENROL)
    peers.add(alice, "acme", new_peer(1), now=NOW)
    peers.add(alice, "acme", new_peer(2, network="lab"), now=NOW)
    add_peer(store, "acme", 3)
    add_peer(store, "globex", 4)
    apps.add(store, "acme", "default", Label("web"), now=NOW)
    machines.add(store, "acme", _machine("peer-1"), now=NOW)
    machines.add(store, "acme", _machine("peer-3"), now=NOW)
    with store.reading() as deployment:
        before = {(put.kind, put.row.id) for put in deployment.snapshot(frozenset(Kind))}
    removal = members.remove(store, "acme", "alice", dry_run=True)
    with store.reading() as deployment:
        assert {(put.kind, put.row.id) for put in deployment.snapshot(frozenset(Kind))} == before
    assert members.remove(store, "acme", "alice") == removal
    with store.reading() as deployment:
        after = {(put.kind, put.row.id) for put in deployment.snapshot(frozenset(Kind))}

    assert [(network.name, peer.name) for network, peer in removal.peers] == [
        ("default", "peer-1"),
        ("lab", "peer-2"),
    ]
    assert [(network.name, name) for network, name in removal.machines] == [("default", "web-1")]
    assert [token.name for token in removal.tokens] == ["of-alice"]
    gone = [kind for kind, _ in before - after]
    assert sorted(gone) == ["machine", "member", "peer", "peer", "token"]
    assert after < before
    with pytest.raises(NotFound):
        members.remove(store, "acme", "alice")


def _machine(peer: str) -> NewMachine:
    return NewMachine(
        network=Label("default"),
        app=Label("web"),
        peer=Label(peer),
        name=Label(peer.replace("peer", "web")),
        region=None,
        process_group=Label("app"),
        ports=(),
        metadata={},
    )


def test_what_is_left_to_do_names_the_tokens_that_were_made_for_others(store: Store) -> None:
    for name in ("alice", "bob"):
        _add(store, name, MemberRole.ADMIN)
    mint(_as(store, "alice", Scope.TOKEN_WRITE), "acme", "ci", owner="bob")
    left = members.remove(store, "acme", "alice").left_to_do

    assert "wgctl token revoke ci --org acme" in left[0]
    assert len(left) == 3


def test_whoever_went_comes_back_with_nothing(store: Store) -> None:
    _add(store, "alice", MemberRole.MEMBER)
    seen = _as(store, "alice", Scope.PEER_ENROL)
    members.remove(store, "acme", "alice")
    _add(store, "alice", MemberRole.MEMBER)

    with pytest.raises(Refusal):
        peers.add(seen, "acme", new_peer(1), now=NOW)
    assert members.shown(store, "acme", "alice").tokens == 0


def _swap(path: Path, mine: str, other: str, rounds: int) -> int:
    """Raise oneself and lower the other, by turns, with one's own token; return how often."""
    store, done = Store(path), 0
    try:
        for number in range(rounds):
            token = mint(store, "acme", f"{mine}-{number}", owner=mine)
            try:
                caller = caller_with(store, token.render(), origin="", now=NOW)
                seen = store.seen_by(_doing(caller, Scope.MEMBER_WRITE))
                members.change(seen, "acme", other, role=MemberRole.VIEWER)
                members.change(seen, "acme", mine, role=MemberRole.ADMIN)
                done += 1
            except (Conflict, Denied):
                pass
    finally:
        store.close()
    return done


def test_role_changes_at_once_leave_an_admin_and_raise_nobody(store: Store) -> None:
    """Two admins who take each other's role at once: one has lost it before the other asks."""
    for name in ("alice", "bob"):
        _add(store, name, MemberRole.ADMIN)
    pairs = [(store.path, "alice", "bob", 5), (store.path, "bob", "alice", 5)]
    with get_context("spawn").Pool(len(pairs)) as pool:
        done = pool.starmap(_swap, pairs)
    found = [facts.member for facts in members.listed(store, "acme")]

    assert sum(done) > 0
    assert sum(member.administers for member in found) == 1
