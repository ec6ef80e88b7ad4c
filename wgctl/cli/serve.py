"""`wgctl serve`, `wgctl run` and `wgctl down`: starting a host's roles, and clearing up after them.

What a role does is `wgctl.daemon`'s.
"""

import click

from wgctl.cli.command import Verb
from wgctl.cli.output import note
from wgctl.cli.session import Session, pass_session
from wgctl.core.kinds import Role

__all__ = ["down", "run", "serve"]


@click.command(cls=Verb, examples=["wgctl serve", "wgctl --config /etc/wgctl/lab.toml serve"])
@pass_session
def serve(session: Session) -> None:
    """Run every role of this host until it is stopped; tunnels stay up when it is."""
    settings = session.settings()
    from wgctl.daemon.locks import only_one_serves
    from wgctl.daemon.supervisor import serve as supervise

    with only_one_serves(settings.state_dir):
        status = supervise(session.config_path)
    raise click.exceptions.Exit(status)


@click.command(cls=Verb, examples=["wgctl run gateway"])
@click.argument("role", type=click.Choice([role.value for role in Role]))
@pass_session
def run(session: Session, role: str) -> None:
    """Run one role of this host until it is stopped."""
    settings = session.settings()
    from wgctl.daemon import roles

    roles.run(Role(role), settings)


@click.command(cls=Verb, examples=["wgctl down"])
@pass_session
def down(session: Session) -> None:
    """Take away what the gateway made: firewall table, routes, link, userspace process."""
    settings = session.settings()
    from wgctl.daemon import gateway

    gateway.down(settings)
    note(f"interface {settings.gateway.interface} is gone, with its routes and firewall table")
