"""`wgctl doctor`: staged checks of this host, each with its cure.

What is checked is `wgctl.daemon.doctor`.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from wgctl.cli.command import Verb
from wgctl.cli.output import escaped, print_json
from wgctl.cli.session import Session, pass_session

if TYPE_CHECKING:
    from wgctl.daemon.doctor import Check

__all__ = ["doctor"]

_MARKS = {True: "ok", False: "FAIL", None: "-"}


@click.command(cls=Verb, examples=["wgctl doctor"])
@pass_session
def doctor(session: Session) -> None:
    """Check this host stage by stage, and say what cures what is wrong."""
    from wgctl.daemon.doctor import examine

    checks = examine(session.config_path)
    if session.as_json:
        print_json([asdict(check) for check in checks])
    else:
        _print(checks)
    if any(check.ok is False for check in checks):
        raise click.exceptions.Exit(1)


def _print(checks: list["Check"]) -> None:
    stage = None
    for check in checks:
        if check.stage != stage:
            stage = check.stage
            click.echo(escaped(stage))
        click.echo(escaped(f"  {_MARKS[check.ok]:<6}{check.name}: {check.found}"))
        if check.cure is not None:
            click.echo(escaped(f"        cure: {check.cure}"))
