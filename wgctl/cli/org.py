"""`wgctl org`: tenants.

Which words they may have is `peers.names`.
"""

from typing import TYPE_CHECKING

from peers.names import Label
from wgctl.cli import consent, wording
from wgctl.cli.command import Noun
from wgctl.cli.options import name_argument
from wgctl.cli.output import Columns, note, print_json, print_list, print_one
from wgctl.cli.session import Session, pass_session

if TYPE_CHECKING:
    from wgctl.core import schema

__all__ = ["org"]

_COLUMNS: Columns["schema.Org"] = {
    "slug": lambda org: org.slug,
    "networks": lambda org: str(org.networks),
    "peers": lambda org: str(org.peers),
    "created": lambda org: wording.date(org.created_at),
}

org = Noun("org", help="Orgs: tenants that own networks, peers, apps and machines.")


@org.command(examples=["wgctl org add acme"])
@name_argument("org", name="slug")
@pass_session
def add(session: Session, slug: Label) -> None:
    """Add an org, and its network `default`."""
    from wgctl.core import schema

    added = session.client().add_org(schema.NewOrg(slug=slug))
    note(f"org {slug} added")
    print_one(added, _COLUMNS, as_json=session.as_json)


@org.command(name="list", examples=["wgctl org list"])
@pass_session
def list_(session: Session) -> None:
    """List every org."""
    found = session.client().orgs()
    print_list(found, _COLUMNS, as_json=session.as_json)


@org.command(examples=["wgctl org show acme"])
@name_argument("org", name="slug")
@pass_session
def show(session: Session, slug: Label) -> None:
    """Show one org."""
    found = session.client().org(slug)
    print_one(found, _COLUMNS, as_json=session.as_json)


@org.command(examples=["wgctl org remove acme"])
@name_argument("org", name="slug")
@consent.yes_option
@pass_session
def remove(session: Session, slug: Label, *, yes: bool) -> None:
    """Remove an org and all that it owns; its tunnels end at once."""
    client = session.client()
    if not yes:
        found = client.org(slug)
        lost = f"org {slug} (networks: {found.networks}, peers: {found.peers})"
        consent.ask_for_name(lost, name=slug)
    client.remove_org(slug)
    note(f"org {slug} removed")
    if session.as_json:
        print_json({"removed": slug})
