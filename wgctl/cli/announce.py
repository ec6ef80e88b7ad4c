"""`wgctl machine announce`: a program on a peer, and a machine that is there while it runs.

Asks the API inside the network, from the peer's own host: no config and no controller is needed.
"""

import re
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from peers.errors import shown
from wgctl.cli.command import Verb
from wgctl.cli.duration import parse_duration
from wgctl.cli.instance import facts_of, instance_options
from wgctl.cli.options import LabelType, name_argument
from wgctl.cli.output import note
from wgctl.core.errors import Invalid

if TYPE_CHECKING:
    from wgctl.client.internal import Place
    from wgctl.core.lease_schema import NewLease
    from wgctl.drivers.own_check import Check

__all__ = ["announce"]

_HTTP_CHECK = re.compile(r"([1-9][0-9]{0,4})(/[!-~]*)?")
_MAX_PORT = 65535
_HOLDER_BYTES = 16
_NAME_BYTES = 7


@click.command(
    cls=Verb,
    examples=[
        "wgctl machine announce web -- ./server --port 8080",
        "wgctl machine announce web --name web-2 --port http=8080 --check-tcp 8080 -- ./server",
    ],
)
@name_argument("app", name="app")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--name", type=LabelType("machine"), help="The machine's name; without, it gets one each time."
)
@instance_options
@click.option(
    "--ttl",
    metavar="TIME",
    default="15s",
    show_default=True,
    help="How long the machine is there after the last sign of life, 10s to 1h.",
)
@click.option(
    "--check-tcp",
    type=click.IntRange(1, _MAX_PORT),
    metavar="PORT",
    help="Healthy while this host takes connections there, at the tunnel's address.",
)
@click.option(
    "--check-http", metavar="PORT[/PATH]", help="Healthy while GET is answered there with 2xx."
)
@click.option(
    "--api",
    metavar="URL",
    help="Where the network's API is.  [default: ::3 of this host's one tunnel, or what "
    "_api.internal resolves to]",
)
def announce(
    command: tuple[str, ...],
    check_tcp: int | None,
    check_http: str | None,
    api: str | None,
    **given: Any,
) -> None:
    """Run COMMAND, and announce a machine of APP on this peer for as long as it runs.

    COMMAND gets the signals that are sent to wgctl, and wgctl exits with its status, 128 and more
    after a signal. When wgctl itself is killed COMMAND gets SIGTERM, and the machine is gone when
    its lease ends. The app must be there.
    """
    check = _check(check_tcp, check_http)
    place = None if api is None else _place(api)
    new = _new_lease(**given)
    from wgctl.client.internal import InternalApi
    from wgctl.daemon.announcer import Announcer
    from wgctl.drivers.child import adopted

    announcer = Announcer(
        InternalApi(_find if place is None else lambda: place), new, check=check, tell=note
    )
    announcer.begin()
    try:
        with adopted(command) as child:
            announcer.start()
            status = child.wait()
    finally:
        announcer.stop()
    raise click.exceptions.Exit(status)


def _new_lease(*, ttl: str, name: str | None, **given: Any) -> "NewLease":
    from wgctl.core.lease import LONGEST_S, SHORTEST_S
    from wgctl.core.lease_schema import NewLease

    ttl_s = parse_duration(ttl)
    if not SHORTEST_S <= ttl_s <= LONGEST_S:
        raise Invalid(f"--ttl {shown(ttl)}, expected {SHORTEST_S}s to {LONGEST_S}s")
    return NewLease(
        name=name or secrets.token_hex(_NAME_BYTES),
        ttl_s=ttl_s,
        holder=secrets.token_hex(_HOLDER_BYTES),
        **facts_of(given),
    )


def _check(tcp: int | None, http: str | None) -> "Check | None":
    from wgctl.drivers.own_check import answers_http, answers_tcp

    if tcp is not None and http is not None:
        raise Invalid("--check-tcp and --check-http, expected one of them")
    if tcp is not None:
        return partial(answers_tcp, port=tcp)
    if http is None:
        return None
    match = _HTTP_CHECK.fullmatch(http)
    if match is None or int(match[1]) > _MAX_PORT:
        raise Invalid(f"--check-http {shown(http)}, expected PORT/PATH: 8080/healthz")
    return partial(answers_http, port=int(match[1]), path=match[2] or "/")


def _place(url: str) -> "Place":
    from wgctl.client.internal import PORT

    expected = f"--api {shown(url)}, expected http://HOST:PORT"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or PORT
    except ValueError as error:
        raise Invalid(expected) from error
    if host is None or parts.scheme != "http":
        raise Invalid(expected)
    return host, port


def _find() -> "Place":
    from wgctl.client.internal import HOST, PORT
    from wgctl.drivers.own_tunnel import api_address, tunnel_addresses

    return api_address(HOST, PORT, tunnels=tunnel_addresses()), PORT
