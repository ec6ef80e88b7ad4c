from tests.cli.conftest import Wgctl
from wgctl.core.access import ROLES, SCOPES, Asker, Scope
from wgctl.core.model import MemberRole


def test_the_table_is_the_one_that_the_controller_asks(bare: Wgctl) -> None:
    """With no controller, and no config."""
    lines = [line.split() for line in bare("role", "show").stdout.splitlines()]

    assert lines[0] == ["SCOPE", "ADMIN", "MEMBER", "VIEWER"]
    assert len(lines) == 1 + len(SCOPES[Asker.BEARER])
    for scope, *cells in lines[1:]:
        assert cells == [str(ROLES[role].get(Scope(scope), "-")) for role in MemberRole]


def test_one_role_is_shown_alone_and_as_json(bare: Wgctl) -> None:
    assert bare("role", "show", "viewer").stdout.splitlines()[0].split() == ["SCOPE", "VIEWER"]
    document = bare("role", "show", "viewer", "--json").document
    assert document == {"viewer": {str(s): str(e) for s, e in ROLES[MemberRole.VIEWER].items()}}
    assert bare("role", "show", "root").exit_code == 2
