"""`wgctl token`: what one comes with from elsewhere, and what is taken from it before it is lent.

How a token's text is read is `wgctl.cli.login`: never from the command line, which every user of a
host can see.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from peers.names import Label
from wgctl.cli import consent, wording
from wgctl.cli.command import Noun
from wgctl.cli.duration import parse_duration
from wgctl.cli.login import read_token, token_file_option
from wgctl.cli.options import LabelType, name_argument, networks_option, org_option, tags_option
from wgctl.cli.output import Columns, note, print_json, print_list, print_one
from wgctl.cli.session import Session, pass_session
from wgctl.core.errors import Invalid
from wgctl.core.kinds import TokenKind

if TYPE_CHECKING:
    from wgctl.core import access_schema

__all__ = ["token"]

_DEFAULT_NETWORK = "default"

token = Noun("token", help="Tokens: what members, programs and machines come with.")


def _columns(now: datetime) -> Columns["access_schema.Token"]:
    return {
        "name": lambda token: token.name,
        "kind": lambda token: token.kind,
        "owner": lambda token: token.owner,
        "networks": lambda token: wording.networks(token.networks),
        "uses left": lambda token: _count(token.uses_left),
        "last used": lambda token: wording.ago(token.last_used_at, now=now),
        "expiry": lambda token: wording.expiry(token.expires_at, now=now),
    }


def _shown_columns(now: datetime) -> Columns["access_schema.Token"]:
    return {
        **_columns(now),
        "org": lambda token: token.org,
        "peer": lambda token: token.peer or wording.ABSENT,
        "tags": lambda token: wording.tags(token.tags),
        "added by": lambda token: token.added_by,
        "created": lambda token: wording.date(token.created_at),
    }


@token.command(
    examples=[
        "wgctl token add alice-cli --org acme --member alice",
        "wgctl token add ci --org acme --kind enrol --network staging --tag ci --uses 20",
        "wgctl token add web-rekey --org acme --kind peer --peer web-server",
    ]
)
@name_argument("token")
@org_option
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in TokenKind]),
    default="org",
    show_default=True,
    help="What it is for.",
)
@click.option("--member", type=LabelType("member"), help="Whose it is; else your own.")
@networks_option
@click.option("--peer", type=LabelType("peer"), help="The one peer, for kind peer.")
@click.option("--uses", type=int, metavar="N", help="How often, for kind enrol; else once.")
@tags_option
@click.option("--expires", metavar="TIME", default="30d", show_default=True, help="As 12h, 7d.")
@pass_session
def add(session: Session, /, name: Label, org: Label, expires: str, **options: Any) -> None:
    """Make a token, and print it: nobody can show it again."""
    new = _new_token(name, expires, **options)
    made = session.client().add_token(org, new)
    note(f"token {name} of {org} added: this is the one time that it is shown")
    if session.as_json:
        print_json(made.model_dump(mode="json"))
    else:
        click.echo(made.token)


@token.command(name="list", examples=["wgctl token list --org acme"])
@org_option
@pass_session
def list_(session: Session, org: Label) -> None:
    """List the tokens of an org, or your own; their texts are nowhere."""
    found = session.client().tokens(org)
    print_list(found, _columns(datetime.now(UTC)), as_json=session.as_json)


@token.command(examples=["wgctl token show ci --org acme"])
@name_argument("token")
@org_option
@pass_session
def show(session: Session, name: Label, org: Label) -> None:
    """Show one token, without its text."""
    found = session.client().token(org, name)
    print_one(found, _shown_columns(datetime.now(UTC)), as_json=session.as_json)


@token.command(examples=["wgctl token revoke ci --org acme"])
@name_argument("token")
@org_option
@consent.yes_option
@pass_session
def revoke(session: Session, name: Label, org: Label, *, yes: bool) -> None:
    """Revoke a token, and every narrower one that was made of it, at once."""
    client = session.client()
    if not yes:
        found = client.token(org, name)
        consent.ask(f"token {found.name} of {org}, and every narrower one made of it")
    client.revoke_token(org, name)
    note(f"token {name} of {org} revoked")
    if session.as_json:
        print_json({"revoked": name})


@token.command(
    examples=[
        "wgctl token attenuate --network staging --expires 1h --token-file token",
        "wgctl token attenuate --read-only --token-file - < token > narrow",
    ]
)
@networks_option
@click.option("--expires", metavar="TIME", help="For 12h, 7d at the most.")
@click.option("--read-only", is_flag=True, help="To look, and to change nothing.")
@token_file_option
@pass_session
def attenuate(
    session: Session,
    networks: tuple[Label, ...],
    expires: str | None,
    token_file: str | None,
    *,
    read_only: bool,
) -> None:
    """Print a token that reaches less far, which nobody can widen again; asks no controller.

    What is made of a token ends with it.
    """
    from wgctl.core.access import Narrowing
    from wgctl.core.bearer import Bearer

    ends_at = None if expires is None else int(datetime.now(UTC).timestamp()) + _span(expires)
    narrowing = Narrowing(frozenset(networks) or None, ends_at, read_only)
    made = Bearer.parse(read_token(token_file)).narrowed(narrowing).render()
    if session.as_json:
        print_json({"token": made})
    else:
        click.echo(made)


def _new_token(
    name: Label,
    expires: str,
    *,
    kind: str,
    networks: tuple[Label, ...],
    peer: Label | None,
    **more: Any,
) -> "access_schema.NewToken":
    from wgctl.core import access_schema

    one_peer = kind == TokenKind.PEER and peer is not None
    if len(networks) > 1 and one_peer:
        raise Invalid("--network twice, expected the one network of the peer")
    place = networks[0] if networks and one_peer else _DEFAULT_NETWORK
    return access_schema.NewToken(
        name=name,
        kind=TokenKind(kind),
        owner=more["member"],
        networks=None if one_peer else list(networks) or None,
        peer=None if peer is None else access_schema.PlacedName(network=place, name=peer),
        uses=more["uses"],
        tags=list(more["tags"]),
        expires_in_s=_span(expires),
    )


def _span(text: str) -> int:
    try:
        return parse_duration(text)
    except Invalid as error:
        raise Invalid(f"--expires: {error}") from error


def _count(left: int | None) -> str:
    return wording.ABSENT if left is None else str(left)
