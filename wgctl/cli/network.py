"""`wgctl network`: isolated private networks of an org.

Which prefix one gets is the controller's business.
"""

from typing import TYPE_CHECKING

from peers.names import Label
from wgctl.cli import consent, wording
from wgctl.cli.command import Noun
from wgctl.cli.options import name_argument, org_option
from wgctl.cli.output import Columns, note, print_json, print_list, print_one
from wgctl.cli.session import Session, pass_session

if TYPE_CHECKING:
    from wgctl.core import schema

__all__ = ["network"]

_COLUMNS: Columns["schema.Network"] = {
    "name": lambda network: network.name,
    "org": lambda network: network.org,
    "prefix": lambda network: str(network.prefix),
    "resolver": lambda network: str(network.resolver),
    "created": lambda network: wording.date(network.created_at),
}

network = Noun("network", help="Networks: isolated private networks of an org, one /48 each.")


@network.command(examples=["wgctl network add staging --org acme"])
@name_argument("network")
@org_option
@pass_session
def add(session: Session, name: Label, org: Label) -> None:
    """Add a network."""
    from wgctl.core import schema

    added = session.client().add_network(org, schema.NewNetwork(name=name))
    note(f"network {name} added to org {org}")
    print_one(added, _COLUMNS, as_json=session.as_json)


@network.command(name="list", examples=["wgctl network list --org acme"])
@org_option
@pass_session
def list_(session: Session, org: Label) -> None:
    """List the networks of an org."""
    found = session.client().networks(org)
    print_list(found, _COLUMNS, as_json=session.as_json)


@network.command(examples=["wgctl network show default --org acme"])
@name_argument("network")
@org_option
@pass_session
def show(session: Session, name: Label, org: Label) -> None:
    """Show one network."""
    found = session.client().network(org, name)
    print_one(found, _COLUMNS, as_json=session.as_json)


@network.command(examples=["wgctl network remove staging --org acme"])
@name_argument("network")
@org_option
@consent.yes_option
@pass_session
def remove(session: Session, name: Label, org: Label, *, yes: bool) -> None:
    """Remove a network that has no peers and no apps."""
    client = session.client()
    if not yes:
        consent.ask(f"network {client.network(org, name).name} of org {org}")
    client.remove_network(org, name)
    note(f"network {name} of org {org} removed")
    if session.as_json:
        print_json({"removed": name})
