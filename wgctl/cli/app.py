"""`wgctl app`: named services in a network.

What runs them is the business of `wgctl machine`.
"""

from typing import TYPE_CHECKING

import click

from peers.names import Label
from wgctl.cli import consent, wording
from wgctl.cli.command import Noun
from wgctl.cli.options import name_argument, network_filter, network_option, org_option
from wgctl.cli.output import Columns, note, print_json, print_list, print_one
from wgctl.cli.session import Session, pass_session

if TYPE_CHECKING:
    from wgctl.core import schema

__all__ = ["app"]

_COLUMNS: Columns["schema.App"] = {
    "name": lambda app: app.name,
    "org": lambda app: app.org,
    "network": lambda app: app.network,
    "machines": lambda app: str(app.machines),
    "started": lambda app: str(app.started),
    "service address": lambda app: str(app.service_address or wording.ABSENT),
    "created": lambda app: wording.date(app.created_at),
}

app = Noun("app", help="Apps: services with a name in a network; `web` is web.internal.")


@app.command(examples=["wgctl app add web --org acme", "wgctl app add db --org acme --flycast"])
@name_argument("app")
@org_option
@network_option
@click.option(
    "--flycast", is_flag=True, help="With a service address, APP.flycast: any of its machines."
)
@pass_session
def add(session: Session, name: Label, org: Label, network: Label, *, flycast: bool) -> None:
    """Add an app."""
    from wgctl.core import schema

    new = schema.NewApp(name=name, network=network, flycast=flycast)
    added = session.client().add_app(org, new)
    note(f"app {name} added: {name}.internal{_flycast(added)}")
    print_one(added, _COLUMNS, as_json=session.as_json)


@app.command(name="list", examples=["wgctl app list --org acme"])
@org_option
@network_filter
@pass_session
def list_(session: Session, org: Label, network: Label | None) -> None:
    """List the apps of an org."""
    found = session.client().apps(org, network=network)
    print_list(found, _COLUMNS, as_json=session.as_json)


@app.command(examples=["wgctl app show web --org acme"])
@name_argument("app")
@org_option
@network_option
@pass_session
def show(session: Session, name: Label, org: Label, network: Label) -> None:
    """Show one app."""
    found = session.client().app(org, network, name)
    print_one(found, _COLUMNS, as_json=session.as_json)


@app.command(
    name="set",
    examples=[
        "wgctl app set web --org acme --flycast",
        "wgctl app set web --org acme --no-flycast",
    ],
)
@name_argument("app")
@org_option
@network_option
@click.option(
    "--flycast/--no-flycast",
    required=True,
    help="Give it a service address, APP.flycast, or take it away for good.",
)
@pass_session
def set_(session: Session, name: Label, org: Label, network: Label, *, flycast: bool) -> None:
    """Change what an app has."""
    from wgctl.core import schema

    changed = session.client().change_app(org, network, name, schema.AppChange(flycast=flycast))
    note(f"app {name}: {name}.internal{_flycast(changed)}")
    print_one(changed, _COLUMNS, as_json=session.as_json)


@app.command(examples=["wgctl app remove web --org acme"])
@name_argument("app")
@org_option
@network_option
@consent.yes_option
@pass_session
def remove(session: Session, name: Label, org: Label, network: Label, *, yes: bool) -> None:
    """Remove an app and its machines; its name is gone at once."""
    client = session.client()
    if not yes:
        found = client.app(org, network, name)
        consent.ask(f"app {found.name} of {org}/{network} (machines: {found.machines})")
    client.remove_app(org, network, name)
    note(f"app {name} of {org}/{network} removed")
    if session.as_json:
        print_json({"removed": name})


def _flycast(app: "schema.App") -> str:
    return f", {app.name}.flycast" if app.service_address else ""
