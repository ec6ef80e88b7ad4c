from dataclasses import replace

from peers.names import Label
from tests.services.minting import mint
from tests.store.samples import NOW, add_peer
from wgctl.api.access_shapes import caller_shape, token_shape
from wgctl.core.access import CONTROLLER, Narrowing
from wgctl.core.model import MemberRole, TokenKind
from wgctl.services import member as members
from wgctl.services import token as tokens
from wgctl.services.entry import caller_with
from wgctl.store.store import Store


def test_a_caller_is_told_how_far_they_reach(store: Store) -> None:
    members.add(store, "acme", Label("alice"), MemberRole.MEMBER, networks=["default"], now=NOW)
    narrow = mint(store, "acme", "cli", owner="alice").narrowed(Narrowing(None, NOW + 60))
    told = caller_shape(caller_with(store, narrow.render(), origin="", now=NOW))

    assert (told.caller, told.org, told.role, told.token) == ("alice", "acme", "member", "cli")
    assert told.networks == ["default"]
    assert told.expires_at is not None
    assert told.expires_at.timestamp() == NOW + 60
    assert told.scopes["peer:enrol"] == "own"  # type: ignore[index]  # as JSON has it
    assert "member:write" not in told.scopes


def test_who_has_no_token_has_no_end() -> None:
    assert caller_shape(replace(CONTROLLER)).expires_at is None


def test_a_token_for_one_peer_names_it(store: Store) -> None:
    add_peer(store, "acme", 1)
    mint(store, "acme", "self", kind=TokenKind.PEER, peer=("default", "peer-1"))

    assert token_shape("acme", tokens.shown(store, "acme", "self")).peer == "peer-1"
