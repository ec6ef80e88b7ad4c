"""`wgctl role`: what each role may do, from the one table that the controller asks too."""

import click

from wgctl.cli.command import Noun
from wgctl.cli.output import print_json, print_table
from wgctl.cli.session import Session, pass_session
from wgctl.cli.wording import ABSENT
from wgctl.core.access import ROLES, SCOPES, Asker, Scope
from wgctl.core.kinds import MemberRole

__all__ = ["role"]

role = Noun("role", help="Roles: what members may do in their org.")


@role.command(examples=["wgctl role show", "wgctl role show viewer"])
@click.argument("name", type=click.Choice([found.value for found in MemberRole]), required=False)
@pass_session
def show(session: Session, name: str | None) -> None:
    """Show what a role may do, or all of them: everything, what is one's own, or nothing."""
    shown = [found for found in MemberRole if name in {None, found.value}]
    if session.as_json:
        print_json({found.value: _scopes(found) for found in shown})
        return
    titles = ["scope", *(found.value for found in shown)]
    print_table(titles, [[scope, *_cells(scope, shown)] for scope in _grantable()])


def _grantable() -> list[Scope]:
    """Return what a role can have: not what a host's own roles, peers or operators do."""
    return [scope for scope in Scope if scope in SCOPES[Asker.BEARER]]


def _cells(scope: Scope, shown: list[MemberRole]) -> list[str]:
    return [str(ROLES[found].get(scope, ABSENT)) for found in shown]


def _scopes(found: MemberRole) -> dict[str, str]:
    return {str(scope): str(extent) for scope, extent in ROLES[found].items()}
