"""`wgctl member`: people in an org, what they are there, and their leaving it.

What a role may do is `wgctl role show`.
"""

from typing import TYPE_CHECKING

import click

from peers.names import Label
from wgctl.cli import consent, wording
from wgctl.cli.command import Noun
from wgctl.cli.options import name_argument, networks_option, org_option
from wgctl.cli.output import Columns, note, print_json, print_list, print_one
from wgctl.cli.session import Session, pass_session
from wgctl.core.errors import Invalid
from wgctl.core.kinds import MemberRole

if TYPE_CHECKING:
    from wgctl.core import access_schema

__all__ = ["member"]

_ROLES = click.Choice([role.value for role in MemberRole])

_COLUMNS: Columns["access_schema.Member"] = {
    "name": lambda member: member.name,
    "role": lambda member: member.role,
    "networks": lambda member: wording.networks(member.networks),
    "peers": lambda member: str(member.peers),
    "tokens": lambda member: str(member.tokens),
    "created": lambda member: wording.date(member.created_at),
}

member = Noun("member", help="Members: people in an org, and what they may do there.")


@member.command(
    examples=[
        "wgctl member add alice --org acme",
        "wgctl member add bob --org acme --role admin --network staging",
    ]
)
@name_argument("member")
@org_option
@click.option("--role", type=_ROLES, default="member", show_default=True, help="What they are.")
@networks_option
@pass_session
def add(session: Session, name: Label, org: Label, role: str, networks: tuple[Label, ...]) -> None:
    """Add a member; a token of theirs lets them in: wgctl token add --member."""
    from wgctl.core import access_schema

    new = access_schema.NewMember(name=name, role=MemberRole(role), networks=list(networks) or None)
    added = session.client().add_member(org, new)
    note(f"member {name} of {org} added")
    print_one(added, _COLUMNS, as_json=session.as_json)


@member.command(name="list", examples=["wgctl member list --org acme"])
@org_option
@pass_session
def list_(session: Session, org: Label) -> None:
    """List the members of an org."""
    print_list(session.client().members(org), _COLUMNS, as_json=session.as_json)


@member.command(examples=["wgctl member show alice --org acme"])
@name_argument("member")
@org_option
@pass_session
def show(session: Session, name: Label, org: Label) -> None:
    """Show one member."""
    print_one(session.client().member(org, name), _COLUMNS, as_json=session.as_json)


@member.command(
    name="set-role",
    examples=[
        "wgctl member set-role alice admin --org acme",
        "wgctl member set-role alice viewer --org acme --network staging",
    ],
)
@name_argument("member")
@click.argument("role", type=_ROLES)
@org_option
@networks_option
@click.option("--all-networks", is_flag=True, help="In every network, from now on.")
@pass_session
def set_role(  # each is a part of the command
    session: Session,
    name: Label,
    role: str,
    org: Label,
    networks: tuple[Label, ...],
    *,
    all_networks: bool,
) -> None:
    """Give a member a role; without a word of networks it holds where it did."""
    from wgctl.core import access_schema

    if networks and all_networks:
        raise Invalid("--network and --all-networks, expected one of them")
    new = access_schema.MemberChange(role=MemberRole(role))
    if networks or all_networks:
        new = access_schema.MemberChange(role=MemberRole(role), networks=list(networks) or None)
    changed = session.client().change_member(org, name, new)
    note(f"member {name} of {org} is {changed.role}")
    print_one(changed, _COLUMNS, as_json=session.as_json)


@member.command(
    examples=["wgctl member remove alice --org acme --dry-run", "wgctl member remove alice --yes"]
)
@name_argument("member")
@org_option
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@consent.yes_option
@pass_session
def remove(session: Session, name: Label, org: Label, *, dry_run: bool, yes: bool) -> None:
    """Remove a member, their tokens and their peers; the tunnels end at once."""
    client = session.client()
    if not yes and not dry_run:
        found = client.member(org, name)
        lost = f"member {name} of {org} (peers: {found.peers}, tokens: {found.tokens})"
        consent.ask_for_name(lost, name=name)
    removal = client.remove_member(org, name, dry_run=dry_run)
    note(f"member {name} of {org} {'would be' if dry_run else 'is'} removed")
    if session.as_json:
        print_json(removal.model_dump(mode="json"))
    else:
        _tell(removal)


def _tell(removal: "access_schema.Removal") -> None:
    gone = [
        *(f"peer {peer.name} of {peer.network}, {peer.address}" for peer in removal.peers),
        *(f"machine {machine.name} of {machine.network}" for machine in removal.machines),
        *(f"token {name}" for name in removal.tokens),
    ]
    for title, lines in (("Goes with it:", gone), ("Left to do:", removal.left_to_do)):
        click.echo(title)
        for line in lines or ["nothing"]:
            click.echo(f"  {line}")
