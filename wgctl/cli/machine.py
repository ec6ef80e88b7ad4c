"""`wgctl machine`: running instances of an app, each on a peer.

Starts and stops no process: a stopped machine is one that its app's name does not answer with.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from peers.names import Label
from wgctl.cli import consent, wording
from wgctl.cli.announce import announce
from wgctl.cli.command import Noun
from wgctl.cli.health import check_options, new_check, print_events, written
from wgctl.cli.instance import facts_of, instance_options
from wgctl.cli.options import (
    LabelType,
    name_argument,
    network_filter,
    network_option,
    org_option,
)
from wgctl.cli.output import Columns, note, print_json, print_list, print_one
from wgctl.cli.session import Session, pass_session

if TYPE_CHECKING:
    from wgctl.core import schema

__all__ = ["machine"]

_COLUMNS: Columns["schema.Machine"] = {
    "name": lambda machine: machine.name,
    "app": lambda machine: machine.app,
    "network": lambda machine: machine.network,
    "peer": lambda machine: machine.peer,
    "address": lambda machine: str(machine.address),
    "region": lambda machine: machine.region,
    "group": lambda machine: machine.process_group,
    "state": lambda machine: machine.state,
    "health": lambda machine: machine.health or wording.ABSENT,
    "ports": lambda machine: _words(f"{p.name}={p.number}/{p.protocol}" for p in machine.ports),
    "metadata": lambda machine: _words(f"{k}={v}" for k, v in machine.metadata.items()),
    "lease": lambda machine: wording.lease(machine.lease, now=datetime.now(UTC)),
    "created": lambda machine: wording.date(machine.created_at),
}

_FACTS: Columns["schema.Machine"] = {
    **_COLUMNS,
    "check": lambda machine: written(machine.check),
}

machine = Noun("machine", help="Machines: running instances of an app, each on a peer.")


@machine.command(
    examples=[
        "wgctl machine add web --org acme --peer server-1",
        "wgctl machine add web web-2 --org acme --peer server-2 --region fra --port http=8080/tcp",
    ]
)
@name_argument("app", name="app")
@click.argument("name", type=LabelType("machine"), required=False)
@click.option("--peer", type=LabelType("peer"), required=True, help="The peer that it runs on.")
@instance_options
@org_option
@network_option
@pass_session
def add(session: Session, /, org: Label, **given: Any) -> None:
    """Add a started machine to APP; without a NAME it gets one."""
    new = _new_machine(**given)
    added = session.client().add_machine(org, new)
    note(f"machine {added.name} of app {added.app} added")
    print_one(added, _FACTS, as_json=session.as_json)


machine.add_command(announce)


@machine.command(name="list", examples=["wgctl machine list web --org acme"])
@click.argument("app", type=LabelType("app"), required=False)
@org_option
@network_filter
@pass_session
def list_(session: Session, app: Label | None, org: Label, network: Label | None) -> None:
    """List the machines of an org, or of one APP."""
    found = session.client().machines(org, network=network, app=app)
    print_list(found, _COLUMNS, as_json=session.as_json)


@machine.command(examples=["wgctl machine show web-2 --org acme"])
@name_argument("machine")
@org_option
@network_option
@pass_session
def show(session: Session, name: Label, org: Label, network: Label) -> None:
    """Show one machine, and how its health changed of late."""
    found = session.client().machine(org, network, name)
    print_one(found, _FACTS, as_json=session.as_json)
    if not session.as_json:
        print_events(found.events)


@machine.command(
    examples=[
        "wgctl machine check web-2 --http http://web.internal:8080/health --org acme",
        "wgctl machine check db-1 --tcp 5432 --interval 5s --fall 2 --org acme",
        "wgctl machine check web-2 --off --org acme",
    ]
)
@name_argument("machine")
@check_options
@org_option
@network_option
@pass_session
def check(session: Session, /, name: Label, org: Label, network: Label, **given: Any) -> None:
    """Probe a machine: one that fails is not in the answers to its app's name until it recovers."""
    wanted = new_check(**given)
    found = session.client().set_machine_check(org, network, name, wanted)
    note(f"machine {name} is {'not probed' if wanted is None else f'probed: {wanted.target}'}")
    print_one(found, _FACTS, as_json=session.as_json)


@machine.command(examples=["wgctl machine stop web-2 --org acme"])
@name_argument("machine")
@org_option
@network_option
@pass_session
def stop(session: Session, name: Label, org: Label, network: Label) -> None:
    """Take a machine out of the answers to its app's names, and from behind its service address."""
    _set_state(session, org, network, name=name, state="stopped")


@machine.command(examples=["wgctl machine start web-2 --org acme"])
@name_argument("machine")
@org_option
@network_option
@pass_session
def start(session: Session, name: Label, org: Label, network: Label) -> None:
    """Put a machine into the answers to its app's names, and behind its service address, again."""
    _set_state(session, org, network, name=name, state="started")


@machine.command(examples=["wgctl machine remove web-2 --org acme"])
@name_argument("machine")
@org_option
@network_option
@consent.yes_option
@pass_session
def remove(session: Session, name: Label, org: Label, network: Label, *, yes: bool) -> None:
    """Remove a machine."""
    client = session.client()
    if not yes:
        found = client.machine(org, network, name)
        consent.ask(f"machine {found.name} of app {found.app} in {org}/{network}")
    client.remove_machine(org, network, name)
    note(f"machine {name} of {org}/{network} removed")
    if session.as_json:
        print_json({"removed": name})


def _set_state(session: Session, org: Label, network: Label, *, name: Label, state: str) -> None:
    from wgctl.core.kinds import MachineState

    found = session.client().set_machine_state(org, network, name, state=MachineState(state))
    note(f"machine {name} {state}")
    print_one(found, _FACTS, as_json=session.as_json)


def _new_machine(**given: Any) -> "schema.NewMachine":
    facts = facts_of(given)
    from wgctl.core import schema

    return schema.NewMachine(**facts)


def _words(words: Iterable[str]) -> str:
    return " ".join(words) or wording.ABSENT
