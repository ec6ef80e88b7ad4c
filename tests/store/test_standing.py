from peers.names import Label
from tests.services.minting import mint
from tests.store.samples import NOW
from wgctl.core.model import MemberRole
from wgctl.store.store import Store


def test_a_token_stands_with_its_org_and_its_owner(store: Store) -> None:
    with store.writing() as deployment:
        door = deployment.owned_by("globex")
        alice = door.add_member(Label("alice"), MemberRole.VIEWER, networks=None, now=NOW)
    with store.writing() as deployment:
        # Another org's member of that name is somebody else.
        door = deployment.owned_by("acme")
        door.add_member(Label("alice"), MemberRole.ADMIN, networks=None, now=NOW)
    token = mint(store, "globex", "cli", owner="alice")
    with store.reading() as deployment:
        found = deployment.standing(token.public_key)

    assert found is not None
    assert (found.org.slug, found.member, found.last_used_at) == ("globex", alice, None)
    assert found.proof.public_key == token.public_key


def test_an_operators_token_stands_without_a_member_and_an_unknown_one_not_at_all(
    store: Store,
) -> None:
    token = mint(store, "acme", "cli")
    with store.reading() as deployment:
        found = deployment.standing(token.public_key)

        assert deployment.standing(bytes(32)) is None
    assert found is not None
    assert found.member is None


def test_a_noted_use_changes_nothing_else(store: Store) -> None:
    token = mint(store, "acme", "cli")
    with store.noting() as deployment:
        before = deployment.standing(token.public_key)
        assert before is not None
        deployment.note_use(before.token, now=NOW + 5)
    with store.reading() as deployment:
        after = deployment.standing(token.public_key)

    assert after is not None
    assert (after.token, after.last_used_at) == (before.token, NOW + 5)
