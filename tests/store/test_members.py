from dataclasses import replace

import pytest

from peers.names import Label
from tests.services.minting import bearer, mint
from tests.store.samples import NOW
from wgctl.core.errors import Conflict, Denied
from wgctl.core.feed import Kind
from wgctl.core.model import MemberRole, TokenKind
from wgctl.store.store import Store


def _add(store: Store, slug: str, name: str) -> None:
    with store.writing() as deployment:
        door = deployment.owned_by(slug)
        door.add_member(Label(name), MemberRole.MEMBER, networks=None, now=NOW)


def test_a_name_is_taken_once_in_an_org_and_free_in_another(store: Store) -> None:
    _add(store, "acme", "alice")
    _add(store, "globex", "alice")

    with pytest.raises(Conflict, match="member 'alice' exists already in org 'acme'"):
        _add(store, "acme", "alice")


def test_the_same_role_again_is_no_change(store: Store) -> None:
    _add(store, "acme", "alice")
    with store.writing() as deployment:
        before = deployment.revision
        door = deployment.owned_by("acme")
        door.set_role(door.member("alice"), MemberRole.MEMBER, networks=None)
    with store.reading() as deployment:
        assert deployment.revision == before - 1


def test_a_member_goes_with_their_tokens_and_leaves_other_orgs_alone(store: Store) -> None:
    for slug in ("acme", "globex"):
        _add(store, slug, "alice")
        mint(store, slug, "cli", owner="alice")
        mint(store, slug, "ci")
    with store.writing() as deployment:
        door = deployment.owned_by("acme")
        door.remove_member(door.member("alice"))

        assert [token.name for token in door.tokens()] == ["ci"]
        assert len(deployment.owned_by("globex").tokens()) == 2


def test_no_row_of_the_feed_holds_what_proves_a_token(store: Store) -> None:
    token = mint(store, "acme", "cli")
    with store.reading() as deployment:
        (put,) = deployment.snapshot(frozenset({Kind.TOKEN}))
        standing = deployment.standing(token.public_key)

    assert standing is not None
    assert standing.proof.secret_hash.hex() not in repr(put)
    assert "proof" not in repr(put)


def test_a_use_is_taken_while_there_is_one(store: Store) -> None:
    made = mint(store, "acme", "join", kind=TokenKind.ENROL)
    with store.writing() as deployment:
        found = deployment.standing(made.public_key)
        deployment.owned_by("acme").spend_use()  # Of an operator nothing is counted.
    assert found is not None
    seen = store.seen_by(replace(bearer(store, "acme"), token=found.token))
    with seen.writing() as deployment:
        deployment.owned_by("acme").spend_use()

    with pytest.raises(Denied, match="token 'join' was used"), seen.writing() as deployment:
        deployment.owned_by("acme").spend_use()
