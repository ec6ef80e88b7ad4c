"""`wgctl init`: setting up a host, once.

What is made is `wgctl.daemon.initialise`.
"""

import select
import sys
from typing import TYPE_CHECKING

import click

from peers.names import Label
from wgctl.cli.command import Verb
from wgctl.cli.options import LabelType
from wgctl.cli.output import note, print_facts, print_json
from wgctl.cli.session import Session, pass_session
from wgctl.core.errors import Invalid

if TYPE_CHECKING:
    from wgctl.core.forward.upstream import Upstream

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
@click.option(
    "--upstream",
    "upstreams",
    multiple=True,
    metavar="ADDRESS",
    help="Where names of others are asked, as in the config; host: this host's own resolvers; "
    "none: nowhere. May be repeated.",
)
@pass_session
def init(
    session: Session,
    region: Label | None,
    endpoint: str | None,
    pool: str,
    upstreams: tuple[str, ...],
) -> None:
    """Make this host's store, gateway key and config file.

    Without --upstream no name is forwarded, unless you say so at the terminal. A config file that
    is there already is read and kept; --region and --endpoint are needed only without one. A state
    folder that is initialised already is refused.
    """
    path = session.config_path
    _check(endpoint, pool)
    if not path.exists() and (region is None or endpoint is None):
        raise Invalid(
            f"no config at {path}: expected --region REGION and --endpoint HOST:PORT to make one"
        )
    from wgctl.daemon.initialise import init as initialise

    chosen = _upstreams(upstreams, may_ask=not (path.exists() or session.as_json))
    report = initialise(path, region=region, endpoint=endpoint, pool=pool, upstreams=chosen)
    told = {
        "config": str(report.config_path),
        "config_made": report.created_config,
        "state": str(report.state_dir),
        "pool": report.pool,
        "public_key": report.public_key,
        "authority": report.authority,
    }
    if session.as_json:
        print_json(told)
        return
    print_facts(
        (title.replace("_", " "), text) for title, text in told.items() if isinstance(text, str)
    )
    note(f"this host is ready: {session.start_command()} starts it")


def _upstreams(words: tuple[str, ...], *, may_ask: bool) -> "list[Upstream] | None":
    """Return the upstreams that `words` say, or that are agreed to; None for no word of them."""
    from wgctl.core.forward.upstream import Upstream
    from wgctl.drivers.host_resolvers import host_resolvers

    if not words and may_ask and _somebody_is_there():
        return _agreed(list(host_resolvers()))
    if not words:
        return None
    if "none" in words and len(words) > 1:
        raise Invalid("--upstream none beside others, expected it alone")
    found: list[Upstream] = []
    for word in words:
        if word == "host":
            found += _of_host(list(host_resolvers()))
        elif word != "none":
            found.append(Upstream.parse(word))
    return list(dict.fromkeys(found))


def _somebody_is_there() -> bool:
    """Whether there is a terminal to ask at, and nothing typed ahead.

    That would be the next lines of a guide that was pasted, which no question may swallow.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return not select.select([sys.stdin], [], [], 0)[0]


def _of_host(found: "list[Upstream]") -> "list[Upstream]":
    if not found:
        raise Invalid("--upstream host: this host's resolv.conf names no resolver to forward to")
    return found


def _agreed(found: "list[Upstream]") -> "list[Upstream] | None":
    if not found:
        return None
    question = f"Forward names beyond .internal to {', '.join(map(str, found))}?"
    return found if click.confirm(question, err=True) else None


def _check(endpoint: str | None, pool: str) -> None:
    from peers.addresses import parse_pool
    from peers.endpoint import Endpoint

    parse_pool(pool)
    if endpoint is not None:
        Endpoint.parse(endpoint)
