import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from peers.names import Label
from tests.services.minting import mint
from tests.store.samples import NOW
from wgctl.core.access import Extent, Narrowing, Scope
from wgctl.core.bearer import Bearer
from wgctl.core.errors import Denied, NotFound, Unidentified
from wgctl.core.model import MemberRole, TokenKind
from wgctl.services import member as members
from wgctl.services import network as networks
from wgctl.services import org as orgs
from wgctl.services import token as tokens
from wgctl.services.entry import NOT_VALID, Entry, caller_with
from wgctl.store.store import Store


def _enter(store: Store, bearer: Bearer, *, now: int = NOW) -> object:
    return caller_with(store, bearer.render(), origin="198.51.100.9", now=now)


def _refused(store: Store, text: str, *, now: int = NOW) -> None:
    with pytest.raises(Unidentified) as refused:
        caller_with(store, text, origin="198.51.100.9", now=now)
    assert str(refused.value) == NOT_VALID


def test_who_comes_with_a_token_is_its_owner_in_its_org(store: Store) -> None:
    members.add(store, "acme", Label("alice"), MemberRole.VIEWER, networks=None, now=NOW)
    bearer = mint(store, "acme", "cli", owner="alice")
    caller = caller_with(store, bearer.render(), origin="198.51.100.9", now=NOW)

    assert (caller.title, caller.origin) == ("viewer alice", "198.51.100.9")
    assert caller.org is not None
    assert caller.org.slug == "acme"
    assert caller.extent(Scope.PEER_READ) is Extent.ALL
    assert caller.extent(Scope.PEER_REMOVE) is None


@pytest.mark.parametrize("text", ["", "wgctl_", "wgctl_AAAA000000", "root", "é" * 90, "x" * 9_000])
def test_what_is_no_token_is_refused_as_every_wrong_one_is(store: Store, text: str) -> None:
    _refused(store, text)


def test_a_token_that_is_forged_cut_expired_or_revoked_is_refused_alike(store: Store) -> None:
    bearer = mint(store, "acme", "cli", expires_in_s=60)
    narrow = bearer.narrowed(Narrowing(expires_at=NOW + 30))
    stranger, _ = Bearer.make(seed=bytes(32), secret=bytes(32))
    text = bearer.render()

    for wrong in (stranger.render(), text[:-1], text[:-9], text.swapcase(), f"{text}A"):
        _refused(store, wrong)
    _refused(store, text, now=NOW + 60)
    _refused(store, narrow.render(), now=NOW + 30)
    tokens.revoke(store, "acme", "cli")
    _refused(store, text)
    _refused(store, narrow.render())


def test_a_narrower_token_reaches_less_until_its_own_end(store: Store) -> None:
    networks.add(store, "acme", Label("lab"), now=NOW)
    narrow = mint(store, "acme", "cli").narrowed(Narrowing(frozenset({"lab"}), NOW + 30))
    caller = caller_with(store, narrow.render(), origin="", now=NOW)
    with store.seen_by(replace(caller, doing=Scope.NETWORK_READ)).reading() as deployment:
        door = deployment.owned_by("acme")

        assert [network.name for network in door.networks()] == ["lab"]
        with pytest.raises(NotFound):
            deployment.owned_by("globex")


def test_what_has_changed_since_the_door_counts(store: Store) -> None:
    """Else a role that is taken away, or a token, would do one more thing."""
    for name in ("alice", "bob"):
        members.add(store, "acme", Label(name), MemberRole.ADMIN, networks=None, now=NOW)
    bearer = mint(store, "acme", "cli", owner="alice")
    caller = caller_with(store, bearer.render(), origin="", now=NOW)
    seen = store.seen_by(replace(caller, doing=Scope.MEMBER_WRITE))

    members.change(store, "acme", "alice", role=MemberRole.MEMBER)
    with pytest.raises(Denied, match="member alice may not member:write"):
        members.change(seen, "acme", "alice", role=MemberRole.ADMIN)
    tokens.revoke(store, "acme", "cli")
    with pytest.raises(Unidentified):
        members.listed(seen, "acme")


def test_what_changes_in_the_commit_that_a_change_shares_counts(store: Store) -> None:
    members.add(store, "acme", Label("alice"), MemberRole.ADMIN, networks=None, now=NOW)
    bearer = mint(store, "acme", "cli", owner="alice")
    caller = caller_with(store, bearer.render(), origin="", now=NOW)
    seen = store.seen_by(replace(caller, doing=Scope.MEMBER_WRITE))

    def add(name: str) -> object:
        return members.add(seen, "acme", Label(name), MemberRole.VIEWER, networks=None, now=NOW)

    with store.together():
        with store.writing() as deployment:
            door = deployment.owned_by("acme")
            door.set_role(door.member("alice"), MemberRole.VIEWER, networks=None)
        with pytest.raises(Denied, match="viewer alice may not"):
            add("carol")

    assert caller.as_of == store.revision() - 1
    assert [facts.member.name for facts in members.listed(store, "acme")] == ["alice"]


def test_the_last_use_is_noted_to_a_minute_and_is_no_change(store: Store) -> None:
    bearer = mint(store, "acme", "cli")
    with store.reading() as deployment:
        revision = deployment.revision
    found = []
    for now in (NOW, NOW + 59, NOW + 60):
        _enter(store, bearer, now=now)
        found.append(tokens.shown(store, "acme", "cli").last_used_at)

    assert found == [NOW, NOW, NOW + 60]
    with store.reading() as deployment:
        assert deployment.revision == revision


def test_an_orgs_tokens_go_with_it(store: Store) -> None:
    bearer = mint(store, "acme", "cli")
    orgs.remove(store, "acme")

    _refused(store, bearer.render())


def test_a_token_whose_owner_is_nobody_is_refused(store: Store) -> None:
    """Not taken for an operator's, which can do more."""
    bearer = mint(store, "acme", "cli", owner=None)
    with store.writing() as deployment:
        door = deployment.owned_by("acme")
        deployment._connection.exec_driver_sql("UPDATE tokens SET owner = 'ghost'")  # noqa: SLF001 - nothing else does this
        door.add_member(Label("x"), MemberRole.VIEWER, networks=None, now=NOW)

    _refused(store, bearer.render())


def test_who_is_known_comes_from_where_this_request_does(store: Store) -> None:
    entry, text = Entry(store), mint(store, "acme", "cli").render()
    unknown = entry.known(text, origin="", now=NOW)
    looked_at = entry.look(text, origin="198.51.100.9", now=NOW)
    known = entry.known(text, origin="192.0.2.7", now=NOW)

    assert unknown is None
    assert known == replace(looked_at, origin="192.0.2.7")


@pytest.mark.parametrize(
    "change",
    [
        lambda store: tokens.revoke(store, "acme", "cli"),
        lambda store: members.change(store, "acme", "alice", role=MemberRole.VIEWER),
        lambda store: members.remove(store, "acme", "alice"),
        lambda store: orgs.remove(store, "acme"),
    ],
)
def test_nobody_is_known_once_anything_of_theirs_has_changed(
    store: Store, second: Store, change: Callable[[Store], object]
) -> None:
    """Wherever it was changed: what is remembered is bound to the store's own revision."""
    for name in ("alice", "bob"):
        members.add(store, "acme", Label(name), MemberRole.ADMIN, networks=None, now=NOW)
    text = mint(store, "acme", "cli", owner="alice").render()
    entry = Entry(second)
    entry.look(text, origin="", now=NOW)
    before = entry.known(text, origin="", now=NOW)
    change(store)

    assert before is not None
    assert entry.known(text, origin="", now=NOW) is None


def test_who_is_known_stays_so_while_others_change(store: Store, second: Store) -> None:
    """And is known as of then, so that nothing is read twice for what has not changed since."""
    for name in ("alice", "bob"):
        members.add(store, "acme", Label(name), MemberRole.ADMIN, networks=None, now=NOW)
    text = mint(store, "acme", "cli", owner="alice").render()
    entry = Entry(second)
    looked_at = entry.look(text, origin="", now=NOW)
    members.change(store, "acme", "bob", role=MemberRole.VIEWER)
    mint(store, "acme", "other")
    tokens.revoke(store, "acme", "other")
    known = entry.known(text, origin="", now=NOW)

    assert known == replace(looked_at, as_of=store.revision())
    assert looked_at.as_of != store.revision()


def test_nobody_is_known_past_their_time_and_none_that_was_refused(store: Store) -> None:
    entry, bearer = Entry(store), mint(store, "acme", "cli", expires_in_s=50)
    narrow, wrong = bearer.narrowed(Narrowing(expires_at=NOW + 30)).render(), "wgctl_x"
    for text in (bearer.render(), narrow):
        entry.look(text, origin="", now=NOW)
    with pytest.raises(Unidentified):
        entry.look(wrong, origin="", now=NOW)
    known = {
        (name, after)
        for name, text in (("all", bearer.render()), ("narrow", narrow), ("wrong", wrong))
        for after in (29, 30, 49, 50)
        if entry.known(text, origin="", now=NOW + after) is not None
    }

    assert known == {("all", 29), ("all", 30), ("all", 49), ("narrow", 29)}


def test_who_is_known_is_looked_at_again_when_their_use_is_to_be_noted(store: Store) -> None:
    entry, text = Entry(store), mint(store, "acme", "cli").render()
    entry.look(text, origin="", now=NOW)
    early, late = (entry.known(text, origin="", now=NOW + after) for after in (59, 60))
    entry.look(text, origin="", now=NOW + 60)

    assert early is not None
    assert late is None
    assert tokens.shown(store, "acme", "cli").last_used_at == NOW + 60
    assert entry.known(text, origin="", now=NOW + 119) is not None


def test_only_so_many_are_known(store: Store) -> None:
    entry = Entry(store, most=2)
    texts = [mint(store, "acme", f"cli-{number}").render() for number in range(3)]
    for text in texts:
        entry.look(text, origin="", now=NOW)
    found = [entry.known(text, origin="", now=NOW) is not None for text in texts]

    assert found == [False, True, True]


@pytest.fixture
def second(store: Store) -> Iterator[Store]:
    """The same store, as another process has it open."""
    opened = Store(Path(store.path))
    yield opened
    opened.close()


def test_a_revoked_token_is_refused_at_once_wherever_the_store_is_open(
    store: Store, second: Store
) -> None:
    bearer = mint(store, "acme", "cli", kind=TokenKind.READ_ONLY)
    _enter(second, bearer)
    done = threading.Thread(target=tokens.revoke, args=(store, "acme", "cli"))
    done.start()
    done.join()

    _refused(second, bearer.render())
