"""`wgctl init`: setting up a host, once.

What is made is `wgctl.daemon.initialise`.
"""

import click

from peers.names import Label
from wgctl.cli.command import Verb
from wgctl.cli.options import LabelType
from wgctl.cli.output import note, print_facts, print_json
from wgctl.cli.session import Session, pass_session
from wgctl.core.errors import Invalid

__all__ = ["init"]


@click.command(
    cls=Verb, examples=["wgctl init --region ams --endpoint 203.0.113.7:51820", "wgctl serve"]
)
@click.option("--region", type=LabelType("region"), help="Where this host is, in one word.")
@click.option("--endpoint", metavar="HOST:PORT", help="Where peers reach this host over UDP.")
@click.option(
    "--pool",
    default="fdaa::/16",
    show_default=True,
    metavar="PREFIX",
    help="The addresses of all networks: a prefix of fd00::/8, /16 to /32. It never changes.",
)
@pass_session
def init(session: Session, region: Label | None, endpoint: str | None, pool: str) -> None:
    """Make this host's store, gateway key and config file.

    A config file that is there already is read and kept; --region and --endpoint are needed only
    without one. A state folder that is initialised already is refused.
    """
    path = session.config_path
    _check(endpoint, pool)
    if not path.exists() and (region is None or endpoint is None):
        raise Invalid(
            f"no config at {path}: expected --region REGION and --endpoint HOST:PORT to make one"
        )
    from wgctl.daemon.initialise import init as initialise

    report = initialise(path, region=region, endpoint=endpoint, pool=pool)
    told = {
        "config": str(report.config_path),
        "config_made": report.created_config,
        "state": str(report.state_dir),
        "pool": report.pool,
        "public_key": report.public_key,
    }
    if session.as_json:
        print_json(told)
        return
    print_facts(
        (title.replace("_", " "), text) for title, text in told.items() if isinstance(text, str)
    )
    note(f"this host is ready: {session.start_command()} starts it")


def _check(endpoint: str | None, pool: str) -> None:
    from peers.addresses import parse_pool
    from peers.endpoint import Endpoint

    parse_pool(pool)
    if endpoint is not None:
        Endpoint.parse(endpoint)
