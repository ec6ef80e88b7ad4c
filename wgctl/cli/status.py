"""`wgctl status`: the deployment at a glance.

What is wrong on this host, and its cure, is `wgctl doctor`.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from wgctl.cli import wording
from wgctl.cli.command import Verb
from wgctl.cli.output import Columns, note, print_facts, print_one, print_table
from wgctl.cli.session import Session, pass_session

if TYPE_CHECKING:
    from wgctl.core import schema

__all__ = ["status"]

_FACTS: Columns["schema.Status"] = {
    "version": lambda status: status.version,
    "revision": lambda status: str(status.revision),
    "pool": lambda status: str(status.pool),
    "store": lambda status: status.store,
    "orgs": lambda status: str(status.orgs),
    "networks": lambda status: str(status.networks),
    "peers": lambda status: f"{status.peers}, {status.peers_online} online",
}

_ON_DEMAND: dict[str, Callable[["schema.OnDemand"], int]] = {
    "in use": lambda counts: counts.in_use,
    "let in": lambda counts: counts.admitted,
    "left, being idle": lambda counts: counts.left,
    "in use already": lambda counts: counts.present,
    "replayed": lambda counts: counts.replayed,
    "not allowed in": lambda counts: counts.refused,
    "of no peer": lambda counts: counts.unknown,
    "forged": lambda counts: counts.forged,
    "too many from one source": lambda counts: counts.hurried,
    "for another gateway": lambda counts: counts.foreign,
    "too many at once": lambda counts: counts.lost,
}


@click.command(cls=Verb, examples=["wgctl status"])
@pass_session
def status(session: Session) -> None:
    """Show roles, revision, interface, peers online and on demand, upstreams, drift and store."""
    found = session.client().status()
    print_one(found, _FACTS, as_json=session.as_json)
    if session.as_json:
        return
    columns = _role_columns(datetime.now(UTC))
    click.echo()
    print_table(columns, [[cell(role) for cell in columns.values()] for role in found.roles])
    if len(found.roles) == 1:
        note(f"no other role has reported yet: {session.start_command()} starts them")
    setbacks = [(str(role.role), role.setback) for role in found.roles if role.setback]
    if setbacks:
        click.echo("\nset back within the last week:")
        print_facts(setbacks)
    problems = [(str(role.role), role.problem) for role in found.roles if role.problem]
    if problems:
        click.echo("\nwhat keeps a role from its work:")
        print_facts(problems)
    upstreams = [one for role in found.roles for one in role.upstreams]
    if upstreams:
        click.echo("\nwhere names of others are asked:")
        print_facts((one.upstream, one.reason or "well") for one in upstreams)
    for counts in filter(None, (role.on_demand for role in found.roles)):
        click.echo("\npeers on demand, and what became of the handshakes that were begun:")
        print_facts((words, str(count(counts))) for words, count in _ON_DEMAND.items())
    limited = [one for role in found.roles for one in role.limited]
    if limited:
        click.echo("\nwho asks too much, and queries of the last minute that got nothing:")
        print_facts((str(one.address), str(one.queries)) for one in limited)
    events = [(str(role.role), event) for role in found.roles for event in role.drift_events]
    if events:
        click.echo("\ndrift that was found and repaired, the last of it:")
        print_facts(events)


def _role_columns(now: datetime) -> Columns["schema.RoleStatus"]:
    return {
        "role": lambda role: role.role,
        "alive": lambda role: wording.yes_no(role.alive),
        "revision": lambda role: str(role.revision),
        "started": lambda role: wording.ago(role.started_at, now=now),
        "reported": lambda role: wording.ago(role.reported_at, now=now),
        "interface": lambda role: role.interface or wording.ABSENT,
        "backend": lambda role: role.backend or wording.ABSENT,
        "drift": lambda role: str(role.drift),
    }
