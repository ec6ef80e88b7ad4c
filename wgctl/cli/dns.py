"""`wgctl dns`: what a network's resolver answers, asked in the name of that network.

Which records there are is the resolver's business.
"""

from dataclasses import asdict
from ipaddress import AddressValueError, IPv6Address
from typing import TYPE_CHECKING

import click

from peers.names import Label
from wgctl.cli.command import Verb
from wgctl.cli.options import network_option, org_option
from wgctl.cli.output import escaped, note, print_json
from wgctl.cli.session import Session, pass_session
from wgctl.core.errors import Denied, NotFound, Refusal, Unavailable

if TYPE_CHECKING:
    from wgctl.client.resolver import Reply

__all__ = ["dns"]

_REFUSED = {
    "NXDOMAIN": NotFound,
    "REFUSED": Denied,
    "SERVFAIL": Unavailable,
}

_FOREIGN = (
    ": a network's own names end in .internal, as web.internal does, and others are asked of "
    "resolver.upstreams, if there are any"
)


@click.command(
    cls=Verb,
    examples=[
        "wgctl dns web.internal --org acme",
        "wgctl dns _apps.internal TXT --org acme",
        "wgctl dns _http._tcp.web.internal SRV --org acme",
        "wgctl dns fdaa::2 --org acme",
    ],
)
@click.argument("name")
@click.argument("type_", metavar="[TYPE]", required=False)
@org_option
@network_option
@pass_session
def dns(session: Session, name: str, type_: str | None, org: Label, network: Label) -> None:
    """Ask a network's resolver for NAME, as it is; TYPE is AAAA, or PTR for an address."""
    from wgctl.client import resolver

    asker = session.client().network(org, network).resolver
    reply = resolver.ask(
        session.settings().resolver_socket,
        asker=asker,
        name=name,
        type_=type_ or ("PTR" if _is_address(name) else "AAAA"),
    )
    if reply.rcode != "NOERROR":
        refusal = _REFUSED.get(reply.rcode, Refusal)
        said = ", ".join([reply.rcode, *map(str, reply.extended_errors)])
        hint = _FOREIGN if reply.rcode == "REFUSED" else ""
        raise refusal(f"{name!a} in network {network!a} of org {org!a}: {said}{hint}")
    _print(session, reply)


def _print(session: Session, reply: "Reply") -> None:
    if session.as_json:
        print_json(asdict(reply))
        return
    for answer in reply.answers:
        data = f'"{answer.data}"' if answer.type == "TXT" else answer.data
        click.echo(escaped(f"{answer.name} {answer.ttl_s} IN {answer.type} {data}"))
    for error in reply.extended_errors:
        note(str(error))
    if not reply.answers:
        note("no record of this type: the name exists")


def _is_address(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
