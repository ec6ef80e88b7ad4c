from contextlib import nullcontext
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from peers.keys import PrivateKey
from peers.names import Label
from tests.services.minting import bearer, mint
from tests.store.samples import NOW, add_peer, key, new_peer
from wgctl.core.access import Scope
from wgctl.core.errors import Conflict, Denied, Invalid, NotFound, Refusal
from wgctl.core.model import MemberRole, TokenKind
from wgctl.services import member as members
from wgctl.services import peer as peers
from wgctl.services import token as tokens
from wgctl.services.entry import caller_with
from wgctl.services.peer import NewKey
from wgctl.store.store import Store


def _with(store: Store, text: str, doing: Scope) -> Store:
    caller = caller_with(store, text, origin="", now=NOW)
    return store.seen_by(replace(caller, doing=doing))


def _as(store: Store, name: str, role: MemberRole, doing: Scope) -> Store:
    members.add(store, "acme", Label(name), role, networks=None, now=NOW)
    return _with(store, mint(store, "acme", f"of-{name}", owner=name).render(), doing)


def test_a_token_is_made_with_an_end_an_owner_and_what_it_is_for(store: Store) -> None:
    mint(store, "acme", "ci", kind=TokenKind.NETWORK, networks=("default",), expires_in_s=60)
    token = tokens.shown(store, "acme", "ci").token

    assert (token.kind, token.owner, token.added_by) == ("network", "operator", "operator")
    assert (token.networks, token.uses_left) == (("default",), None)
    assert (token.created_at, token.expires_at) == (NOW, NOW + 60)


@pytest.mark.parametrize(
    ("kind", "rest", "said"),
    [
        (TokenKind.PEER, {}, "expected the peer"),
        (TokenKind.ORG, {"peer": ("default", "peer-1")}, "a peer is named"),
        (TokenKind.NETWORK, {}, "expected the networks"),
        (TokenKind.ORG, {"uses": 2}, "uses are counted"),
    ],
)
def test_what_does_not_go_with_a_kind_is_refused(
    store: Store, kind: TokenKind, rest: dict[str, Any], said: str
) -> None:
    with pytest.raises(Invalid, match=said):
        mint(store, "acme", "ci", kind=kind, **rest)


@pytest.mark.parametrize(
    ("kind", "rest"),
    [
        (TokenKind.ORG, {"owner": "ghost"}),
        (TokenKind.ORG, {"networks": ("lab",)}),
        (TokenKind.PEER, {"peer": ("default", "ghost")}),
    ],
)
def test_what_is_not_there_is_not_found(
    store: Store, kind: TokenKind, rest: dict[str, Any]
) -> None:
    with pytest.raises(NotFound):
        mint(store, "acme", "ci", kind=kind, **rest)


def test_a_name_is_taken_once_in_an_org(store: Store) -> None:
    mint(store, "acme", "ci")
    mint(store, "globex", "ci")

    with pytest.raises(Conflict, match="token 'ci' exists already in org 'acme'"):
        mint(store, "acme", "ci")


def test_a_member_makes_sees_and_revokes_their_own_alone(store: Store) -> None:
    mint(store, "acme", "ci")
    alice = _as(store, "alice", MemberRole.VIEWER, Scope.TOKEN_WRITE)
    mint(alice, "acme", "mine")

    assert [facts.token.name for facts in tokens.listed(alice, "acme")] == ["mine", "of-alice"]
    for owner in ("bob", "operator"):
        with pytest.raises(Denied):
            mint(alice, "acme", "theirs", owner=owner)
    for ask in (tokens.revoke, tokens.shown):
        with pytest.raises(Denied):
            ask(alice, "acme", "ci")
    tokens.revoke(alice, "acme", "mine")
    assert [f.token.name for f in tokens.listed(store, "acme")] == ["ci", "of-alice"]


def test_an_admin_makes_one_for_a_member_and_none_for_an_operator(store: Store) -> None:
    """What an operator owns outlives every admin."""
    admin = _as(store, "alice", MemberRole.ADMIN, Scope.TOKEN_WRITE)
    members.add(store, "acme", Label("bob"), MemberRole.MEMBER, networks=None, now=NOW)
    mint(admin, "acme", "for-bob", owner="bob")

    assert tokens.shown(store, "acme", "for-bob").token.added_by == "alice"
    with pytest.raises(Denied, match="admin alice may not make what an operator owns"):
        mint(admin, "acme", "forever", owner="operator")


def test_an_enrolled_peer_is_its_tokens_owners(store: Store) -> None:
    members.add(store, "acme", Label("alice"), MemberRole.MEMBER, networks=None, now=NOW)
    text = mint(store, "acme", "join", kind=TokenKind.ENROL, owner="alice").render()
    seen = _with(store, text, Scope.PEER_ENROL)

    assert peers.add(seen, "acme", new_peer(1), now=NOW)[0].peer.owner == "alice"


def test_a_use_is_spent_once_and_a_lost_answer_is_asked_for_again(store: Store) -> None:
    text = mint(store, "acme", "join", kind=TokenKind.ENROL, uses=2).render()

    for number, is_new in ((1, True), (1, False), (2, True), (2, False)):
        seen = _with(store, text, Scope.PEER_ENROL)
        assert peers.add(seen, "acme", new_peer(number), now=NOW)[1] is is_new
    with pytest.raises(Denied, match="token 'join' was used as often as it may be"):
        peers.add(_with(store, text, Scope.PEER_ENROL), "acme", new_peer(3), now=NOW)
    assert tokens.shown(store, "acme", "join").token.uses_left == 0


def test_what_a_token_adds_has_its_tags_and_none_that_its_holder_chose(store: Store) -> None:
    """Also when an admin owns it: who has it may be anybody's pipeline."""
    tags = (Label("prod"), Label("ci"), Label("ci"))
    text = mint(store, "acme", "join", kind=TokenKind.ENROL, uses=2, tags=tags).render()
    seen = _with(store, text, Scope.PEER_ENROL)
    chosen = replace(new_peer(1), tags=(Label("ci"), Label("root")))
    with pytest.raises(Denied, match="may not give tags"):
        peers.add(seen, "acme", chosen, now=NOW)
    peers.add(seen, "acme", new_peer(1), now=NOW)
    peers.add(seen, "acme", replace(new_peer(2), tags=(Label("ci"),)), now=NOW)
    add_peer(store, "acme", 3)
    found = {
        tag: [
            str(facts.peer.name)
            for facts in peers.listed(store, "acme", network=None, tag=tag, after=("", 0), limit=9)
        ]
        for tag in ("ci", "c", "ci%", "prod", None)
    }

    assert peers.shown(store, "acme", "default", "peer-1").peer.tags == ("ci", "prod")
    assert found == {
        "ci": ["peer-1", "peer-2"],
        "c": [],
        "ci%": [],
        "prod": ["peer-1", "peer-2"],
        None: ["peer-1", "peer-2", "peer-3"],
    }


@pytest.mark.parametrize(("role", "may"), [(MemberRole.ADMIN, True), (MemberRole.MEMBER, False)])
def test_tags_are_an_admins_to_give(
    store: Store,
    role: MemberRole,
    may: bool,  # noqa: FBT001 - a case
) -> None:
    caller = bearer(store, "acme", role=role)
    enrolling = store.seen_by(replace(caller, doing=Scope.PEER_ENROL))
    minting = store.seen_by(replace(caller, doing=Scope.TOKEN_WRITE))
    tagged = replace(new_peer(1), tags=(Label("ci"),))
    with nullcontext() if may else pytest.raises(Denied, match="may not give tags"):
        peers.add(enrolling, "acme", tagged, now=NOW)
    with nullcontext() if may else pytest.raises(Denied, match="may not give tags"):
        mint(minting, "acme", "join", kind=TokenKind.ENROL, tags=(Label("ci"),))


def test_a_token_gives_its_tags_for_as_long_as_its_owner_may(store: Store) -> None:
    for name in ("ann", "bob"):
        members.add(store, "acme", Label(name), MemberRole.ADMIN, networks=None, now=NOW)
    prod = (Label("prod"),)
    made = mint(store, "acme", "join", kind=TokenKind.ENROL, uses=3, tags=prod, owner="ann")
    text = made.render()
    peers.add(_with(store, text, Scope.PEER_ENROL), "acme", new_peer(1), now=NOW)
    members.change(store, "acme", "ann", role=MemberRole.MEMBER)
    demoted = _with(store, text, Scope.PEER_ENROL)

    with pytest.raises(Denied, match="member ann may not give tags"):
        peers.add(demoted, "acme", new_peer(2), now=NOW)


def test_a_refused_enrolment_spends_nothing(store: Store) -> None:
    add_peer(store, "acme", 1)
    text = mint(store, "acme", "join", kind=TokenKind.ENROL).render()
    taken = replace(new_peer(9), name=Label("peer-1"))
    with pytest.raises(Conflict):
        peers.add(_with(store, text, Scope.PEER_ENROL), "acme", taken, now=NOW)

    assert tokens.shown(store, "acme", "join").token.uses_left == 1


def test_a_token_for_one_peer_rekeys_it_and_goes_with_it(store: Store) -> None:
    add_peer(store, "acme", 1)
    add_peer(store, "acme", 2)
    text = mint(store, "acme", "self", kind=TokenKind.PEER, peer=("default", "peer-1")).render()
    seen, new = _with(store, text, Scope.PEER_REKEY), NewKey(key(9), needs_forwarding=False)

    assert peers.rekey(seen, "acme", "default", "peer-1", new, now=NOW).peer.public_key == key(9)
    with pytest.raises(NotFound):
        peers.rekey(seen, "acme", "default", "peer-2", new, now=NOW)
    longer = replace(new, expires_in_s=60)
    with pytest.raises(Denied, match="not its time"):
        peers.rekey(seen, "acme", "default", "peer-1", longer, now=NOW)
    peers.remove(store, "acme", "default", "peer-1")
    assert tokens.listed(store, "acme") == []
    with pytest.raises(Refusal):
        _with(store, text, Scope.PEER_REKEY)


def _redeem(path: Path, text: str, first: int, count: int) -> list[str]:
    store, outcomes = Store(path), []
    for number in range(first, first + count):
        new = replace(
            new_peer(number), public_key=PrivateKey.generate().public(), name=Label(f"p-{number}")
        )
        try:
            seen = _with(store, text, Scope.PEER_ENROL)
            outcomes.append("added" if peers.add(seen, "acme", new, now=NOW)[1] else "known")
        except Denied:
            outcomes.append("denied")
    store.close()
    return outcomes


def test_a_token_of_one_use_gives_one_peer_to_a_hundred_who_ask_at_once(store: Store) -> None:
    """The use is spent in the transaction that adds the peer."""
    text = mint(store, "acme", "join", kind=TokenKind.ENROL).render()
    asks = [(store.path, text, 13 * process, 13) for process in range(8)]
    with get_context("spawn").Pool(8) as pool:
        outcomes = [found for part in pool.starmap(_redeem, asks) for found in part]

    assert sorted(set(outcomes)) == ["added", "denied"]
    assert (len(outcomes), outcomes.count("added")) == (104, 1)
    assert len(peers.listed(store, "acme", network=None, after=("", 0), limit=99)) == 1


def test_a_used_token_does_not_prolong_a_peer_whose_time_is_over(store: Store) -> None:
    text = mint(store, "acme", "join", kind=TokenKind.ENROL).render()
    brief = new_peer(1, expires_in_s=60)
    peers.add(_with(store, text, Scope.PEER_ENROL), "acme", brief, now=NOW)

    with pytest.raises(Denied):
        peers.add(_with(store, text, Scope.PEER_ENROL), "acme", brief, now=NOW + 60)
