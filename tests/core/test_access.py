from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.names import Label
from wgctl.core.access import (
    CONTROLLER,
    KINDS,
    ROLES,
    SCOPES,
    WHOLE,
    Asker,
    Caller,
    Extent,
    Narrowing,
    Scope,
    allowed,
    common,
)
from wgctl.core.model import OPERATOR, Member, MemberRole, Org, Token, TokenKind

NOW = 1_800_000_000

_ORG = Org(1, Label("acme"), NOW)
_TOKEN = Token(
    id=1,
    org_id=1,
    name=Label("cli"),
    kind=TokenKind.ORG,
    owner=OPERATOR,
    added_by=OPERATOR,
    networks=None,
    only_peer_id=None,
    uses_left=None,
    created_at=NOW,
    expires_at=NOW + 60,
)

_names = st.none() | st.frozensets(st.sampled_from(["default", "lab", "staging"]))
_labels = _names.map(lambda names: None if names is None else tuple(map(Label, sorted(names))))
_narrowings = st.builds(Narrowing, _names, st.none() | st.integers(0, 2 * NOW), st.booleans())
_members = st.builds(
    Member,
    st.just(1),
    st.just(1),
    st.just("alice"),
    st.sampled_from(MemberRole),
    _labels,
    st.just(NOW),
)
_callers = st.builds(
    Caller,
    asker=st.just(Asker.BEARER),
    origin=st.just("198.51.100.9"),
    org=st.just(_ORG),
    member=st.none() | _members,
    token=st.builds(
        lambda kind, networks: replace(_TOKEN, kind=kind, networks=networks),
        st.sampled_from(TokenKind),
        _labels,
    ),
    narrowing=_narrowings,
)


def bearer(role: MemberRole | None = None, **of_token: object) -> Caller:
    member = None if role is None else Member(1, 1, Label("alice"), role, None, NOW)
    token = replace(_TOKEN, **of_token)  # type: ignore[arg-type]  # fields of a token
    return Caller(Asker.BEARER, "198.51.100.9", org=_ORG, member=member, token=token)


def scopes_of(caller: Caller, extent: Extent = Extent.ALL) -> set[Scope]:
    return {scope for scope in Scope if caller.extent(scope) is extent}


@pytest.mark.parametrize(
    ("asker", "scopes"),
    [(Asker.NODE, {"feed:read", "node:write"}), (Asker.PEER, {"machine:announce", "self:read"})],
)
def test_a_role_and_a_peer_may_do_this_and_nothing_else(asker: Asker, scopes: set[str]) -> None:
    assert {scope.value for scope in Scope if allowed(asker, scope)} == scopes
    assert {scope.value for scope in scopes_of(Caller(asker, ""))} == scopes


def test_an_operator_may_do_all_that_is_not_a_roles_or_a_peers_own() -> None:
    """Only a host's own role may say what its gateway is or what it saw."""
    assert scopes_of(CONTROLLER) == set(Scope) - SCOPES[Asker.NODE] - SCOPES[Asker.PEER]


def test_who_comes_with_a_token_never_has_what_stands_above_orgs() -> None:
    assert SCOPES[Asker.OPERATOR] - SCOPES[Asker.BEARER] == {
        Scope.ORG_WRITE,
        Scope.DEPLOYMENT_READ,
        Scope.STATUS_READ,
        Scope.STORE_READ,
    }


def test_a_role_and_a_peer_share_no_scope_with_anybody() -> None:
    for asker in (Asker.NODE, Asker.PEER):
        for other in set(Asker) - {asker}:
            assert not SCOPES[asker] & SCOPES[other]


def test_who_is_unknown_may_nothing() -> None:
    assert not any(allowed("stranger", scope) for scope in Scope)  # type: ignore[arg-type]  # that is the point
    assert not scopes_of(Caller("stranger", ""))  # type: ignore[arg-type]  # that is the point
    assert not scopes_of(Caller(Asker.BEARER, "198.51.100.9", org=_ORG))
    assert not scopes_of(bearer("owner"))  # type: ignore[arg-type]  # that is the point
    assert not scopes_of(bearer(kind="root"))


def test_an_unknown_scope_is_denied_to_everyone() -> None:
    callers = [*(Caller(asker, "") for asker in Asker), bearer(), bearer(MemberRole.ADMIN)]

    assert not any(caller.extent("org:paint") for caller in callers)  # type: ignore[arg-type]  # that is the point


def test_the_tables_cannot_be_changed() -> None:
    for table in (SCOPES, ROLES, KINDS, ROLES[MemberRole.VIEWER]):
        with pytest.raises(TypeError):
            table[next(iter(table))] = frozenset(Scope)  # type: ignore[index]  # that is the point


def test_an_admin_has_all_that_a_token_can_have_and_others_have_less() -> None:
    admin, member, viewer = (set(ROLES[role]) for role in MemberRole)

    assert admin == SCOPES[Asker.BEARER] > member > viewer
    assert {s for s in viewer if s.verb != "read"} == {Scope.TOKEN_WRITE}
    assert ROLES[MemberRole.VIEWER][Scope.TOKEN_WRITE] is Extent.OWN


def test_a_member_reaches_their_own_peers_and_tokens_alone() -> None:
    assert scopes_of(bearer(MemberRole.MEMBER), Extent.OWN) == {
        Scope.PEER_ENROL,
        Scope.PEER_REKEY,
        Scope.PEER_REMOVE,
        Scope.TOKEN_READ,
        Scope.TOKEN_WRITE,
    }


@pytest.mark.parametrize("kind", [TokenKind.ENROL, TokenKind.PEER])
def test_a_token_for_one_thing_has_nothing_else(kind: TokenKind) -> None:
    scopes = {str(scope) for scope in scopes_of(bearer(kind=kind))}

    assert (
        scopes
        == {
            TokenKind.ENROL: {"peer:enrol", "caller:read", "document:read"},
            TokenKind.PEER: {"peer:read", "peer:rekey", "caller:read", "document:read"},
        }[kind]
    )


@given(_callers, _narrowings)
def test_what_is_made_narrower_never_reaches_further(caller: Caller, other: Narrowing) -> None:
    narrower = replace(caller, narrowing=caller.narrowing.and_also(other))

    for scope in Scope:
        assert narrower.extent(scope) in {None, caller.extent(scope)}
    assert caller.networks is None or (
        narrower.networks is not None and narrower.networks <= caller.networks
    )
    assert narrower.expired(now=NOW) or not caller.expired(now=NOW)


@given(_callers)
def test_a_token_gives_nobody_more_than_their_role(caller: Caller) -> None:
    role = MemberRole.ADMIN if caller.member is None else caller.member.role

    for scope in Scope:
        assert caller.extent(scope) in {None, ROLES[role].get(scope)}


@given(_callers)
def test_who_is_narrowed_to_networks_changes_nothing_of_the_org(caller: Caller) -> None:
    if caller.networks is not None:
        for scope in (Scope.NETWORK_WRITE, Scope.MEMBER_WRITE, Scope.TOKEN_WRITE, Scope.AUDIT_READ):
            assert caller.extent(scope) is None


def test_a_token_that_was_made_narrower_makes_no_other() -> None:
    narrowing = WHOLE.and_also(Narrowing(expires_at=NOW + 30))

    assert bearer().extent(Scope.TOKEN_WRITE) is Extent.ALL
    assert replace(bearer(), narrowing=narrowing).extent(Scope.TOKEN_WRITE) is None


@pytest.mark.parametrize(
    ("now", "ends_at", "over"),
    [(59, None, False), (60, None, True), (29, 30, False), (30, 30, True), (60, 90, True)],
)
def test_the_earlier_end_counts(now: int, ends_at: int | None, over: bool) -> None:  # noqa: FBT001
    end = None if ends_at is None else NOW + ends_at
    caller = replace(bearer(), narrowing=Narrowing(expires_at=end))

    assert caller.expired(now=NOW + now) is over


@pytest.mark.parametrize(
    ("caller", "doing", "owner", "may"),
    [
        (CONTROLLER, None, "bob", True),
        (bearer(), None, "operator", False),
        (bearer(), Scope.PEER_REMOVE, "bob", True),
        (bearer(MemberRole.ADMIN), Scope.PEER_REMOVE, "bob", True),
        (bearer(MemberRole.MEMBER), Scope.PEER_REMOVE, "alice", True),
        (bearer(MemberRole.MEMBER), Scope.PEER_REMOVE, "bob", False),
        (bearer(MemberRole.MEMBER), Scope.PEER_REMOVE, "operator", False),
        (bearer(MemberRole.VIEWER), Scope.PEER_REMOVE, "alice", False),
    ],
)
def test_who_touches_whose(caller: Caller, doing: Scope | None, owner: str, may: bool) -> None:  # noqa: FBT001
    assert replace(caller, doing=doing).may_touch(owner) is may


@pytest.mark.parametrize(
    ("caller", "name", "title"),
    [
        (CONTROLLER, "operator", "operator"),
        (Caller(Asker.NODE, ""), "node", "node"),
        (bearer(), "operator", "operator"),
        (bearer(MemberRole.VIEWER), "alice", "viewer alice"),
    ],
)
def test_what_a_caller_is_called(caller: Caller, name: str, title: str) -> None:
    assert (caller.name, caller.title) == (name, title)


def test_no_limit_is_not_an_empty_one() -> None:
    assert common(None, None) is None
    assert common(None, frozenset()) == frozenset()
    assert common(frozenset("ab"), None, frozenset("bc")) == frozenset("b")
