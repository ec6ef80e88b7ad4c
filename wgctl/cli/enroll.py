"""`wgctl enroll`: this machine becomes a peer by a token, without an account.

The key pair is made here and stays here, as with `wgctl peer add`; what a token may add is the
controller's business.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from peers.names import Label, parse_label
from wgctl.cli.command import Verb
from wgctl.cli.enrolment import (
    Place,
    adding,
    asked_for,
    hand_over,
    handout_options,
    psk_option,
    time_of,
    time_options,
)
from wgctl.cli.login import read_token, token_file_option
from wgctl.cli.options import LabelType, name_argument
from wgctl.cli.session import Session, pass_session
from wgctl.core.errors import Invalid

if TYPE_CHECKING:
    from wgctl.core.access_schema import CallerReply

__all__ = ["enroll"]

_FIRST_NETWORK = Label("default")


@click.command(
    cls=Verb,
    examples=[
        "wgctl enroll alice-laptop --url https://203.0.113.7:8443#SHA256:... --token-file token",
        "wgctl enroll build-7 --ephemeral 1h -o ci.conf",
    ],
)
@name_argument("peer")
@click.option(
    "--network",
    type=LabelType("network"),
    envvar="WGCTL_NETWORK",
    metavar="NET",
    help="The network; of a token for one alone, that is it.  [env: WGCTL_NETWORK]",
)
@token_file_option
@time_options
@psk_option
@handout_options
@pass_session
def enroll(
    session: Session,
    /,
    name: Label,
    network: Label | None,
    token_file: str | None,
    expires: str | None,
    ephemeral: str | None,
    **options: Any,
) -> None:
    """Make a key pair here, add its peer by a token, and hand over the tunnel.

    The token says which org that is. It is used for this, and not kept.
    """
    if session.named_url() is None:
        raise Invalid("no URL: expected --url https://HOST:PORT#FINGERPRINT, or WGCTL_URL")
    time = time_of(expires, ephemeral)
    bearer = replace(session, token=read_token(token_file))
    handout, keys = asked_for(bearer, name, **options)
    caller = bearer.client().caller()
    place = Place(_org(caller), network or _network(caller), None, time)
    hand_over(bearer, handout, keys, enrol=adding(name, place, handout, keys), done="enrolled")


def _org(caller: "CallerReply") -> Label:
    if caller.org is None:
        raise Invalid(f"{caller.caller} is of no org, expected the token of one")
    return parse_label(caller.org, what="org")


def _network(caller: "CallerReply") -> Label:
    """Return the network that the token is for; `default` if that is none or several."""
    only = caller.networks or []
    return parse_label(only[0], what="network") if len(only) == 1 else _FIRST_NETWORK
