import pytest

from wgctl.core.access import SCOPES, Asker, Scope, allowed


@pytest.mark.parametrize(
    ("asker", "scopes"),
    [(Asker.NODE, {"feed:read", "node:write"}), (Asker.PEER, {"machine:announce", "self:read"})],
)
def test_a_role_and_a_peer_may_do_this_and_nothing_else(asker: Asker, scopes: set[str]) -> None:
    assert {scope.value for scope in Scope if allowed(asker, scope)} == scopes


def test_an_operator_may_do_all_that_is_not_a_roles_or_a_peers_own() -> None:
    """Only a host's own role may say what its gateway is or what it saw."""
    operators = {scope for scope in Scope if allowed(Asker.OPERATOR, scope)}

    assert operators == set(Scope) - {
        Scope.FEED_READ,
        Scope.NODE_WRITE,
        Scope.SELF_READ,
        Scope.MACHINE_ANNOUNCE,
    }


def test_no_scope_is_shared_by_two_doors() -> None:
    for scope in Scope:
        assert sum(allowed(asker, scope) for asker in Asker) == 1


def test_who_is_unknown_may_nothing() -> None:
    assert not any(allowed("stranger", scope) for scope in Scope)  # type: ignore[arg-type]  # that is the point


def test_an_unknown_scope_is_denied_to_everyone() -> None:
    assert not any(allowed(asker, "org:paint") for asker in Asker)  # type: ignore[arg-type]  # that is the point


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        SCOPES[Asker.PEER] = frozenset(Scope)  # type: ignore[index]  # that is the point
