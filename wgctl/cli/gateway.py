"""`wgctl gateway`: the hosts that end tunnels.

They add themselves when they start; see `wgctl init`.
"""

from typing import TYPE_CHECKING

from peers.names import Label
from wgctl.cli import wording
from wgctl.cli.command import Noun
from wgctl.cli.options import name_argument
from wgctl.cli.output import Columns, print_list, print_one
from wgctl.cli.session import Session, pass_session

if TYPE_CHECKING:
    from wgctl.core import schema

__all__ = ["gateway"]

_COLUMNS: Columns["schema.Gateway"] = {
    "name": lambda gateway: gateway.name,
    "number": lambda gateway: str(gateway.number),
    "region": lambda gateway: gateway.region,
    "endpoint": lambda gateway: str(gateway.endpoint),
    "public key": lambda gateway: str(gateway.public_key),
    "mtu": lambda gateway: str(gateway.mtu_bytes),
    "forwards": lambda gateway: wording.yes_no(gateway.forwards),
    "reported": lambda gateway: (
        wording.ABSENT if gateway.reported_at is None else wording.date(gateway.reported_at)
    ),
}

gateway = Noun("gateway", help="Gateways: hosts that end tunnels.")


@gateway.command(name="list", examples=["wgctl gateway list"])
@pass_session
def list_(session: Session) -> None:
    """List every gateway."""
    found = session.client().gateways()
    print_list(found, _COLUMNS, as_json=session.as_json)


@gateway.command(examples=["wgctl gateway show ams"])
@name_argument("gateway")
@pass_session
def show(session: Session, name: Label) -> None:
    """Show one gateway."""
    found = session.client().gateway(name)
    print_one(found, _COLUMNS, as_json=session.as_json)
