"""`wgctl peer`: laptops, phones and servers with a tunnel.

Makes the key pair here, so that the controller never sees a private key; how the tunnel is handed
over is `wgctl.cli.handout`.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from peers.names import Label, parse_label
from wgctl.cli import consent, wording
from wgctl.cli.command import Noun
from wgctl.cli.enrolment import (
    Place,
    adding,
    asked_for,
    expires_in_s,
    expires_option,
    hand_over,
    handout_options,
    psk_option,
    time_of,
    time_options,
)
from wgctl.cli.handout import Wish, form_options, wanted
from wgctl.cli.identity import existing_config, identity_of
from wgctl.cli.options import (
    LabelType,
    name_argument,
    network_filter,
    network_option,
    org_option,
    tags_option,
)
from wgctl.cli.output import Columns, note, print_json, print_list, print_one
from wgctl.cli.session import Session, pass_session
from wgctl.core.errors import Invalid

if TYPE_CHECKING:
    from peers.formats.existing import Existing
    from wgctl.client.api import Client
    from wgctl.core import schema

__all__ = ["peer"]

_member_option = click.option(
    "--member", type=LabelType("member"), metavar="MEMBER", help="Whose it is; else your own."
)
peer = Noun("peer", help="Peers: laptops, phones and servers with a tunnel.")


def _columns(now: datetime) -> Columns["schema.Peer"]:
    return {
        "name": lambda peer: peer.name,
        "network": lambda peer: peer.network,
        "owner": lambda peer: peer.owner,
        "address": lambda peer: str(peer.address),
        "gateway": lambda peer: peer.gateway,
        "last handshake": lambda peer: wording.ago(peer.last_handshake, now=now),
        "received": lambda peer: wording.size(peer.received_bytes),
        "sent": lambda peer: wording.size(peer.sent_bytes),
        "endpoint": lambda peer: peer.endpoint or wording.ABSENT,
        "online": lambda peer: wording.yes_no(peer.online),
        "tags": lambda peer: wording.tags(peer.tags),
        "expiry": lambda peer: _expiry(peer, now=now),
    }


def _shown_columns(now: datetime) -> Columns["schema.Peer"]:
    return {
        **_columns(now),
        "org": lambda peer: peer.org,
        "public key": lambda peer: str(peer.public_key),
        "preshared key": lambda peer: wording.yes_no(peer.preshared_key),
        "created": lambda peer: wording.date(peer.created_at),
    }


@peer.command(
    examples=[
        "wgctl peer add alice-laptop --org acme -o alice.conf",
        "wgctl peer add alice-phone --org acme --qr",
        "wgctl peer add bastion --org acme --psk -o bastion.conf",
        "wgctl peer add build-7 --org acme --network ci --ephemeral 12h --public-key KEY",
        "wgctl peer add web-1 --org acme --format networkd -o /etc/systemd/network",
    ]
)
@name_argument("peer")
@org_option
@network_option
@_member_option
@time_options
@tags_option
@psk_option
@handout_options
@pass_session
def add(
    session: Session,
    /,
    name: Label,
    org: Label,
    network: Label,
    member: Label | None,
    expires: str | None,
    ephemeral: str | None,
    **options: Any,
) -> None:
    """Add a peer, and hand over its tunnel: a config for the client that it has."""
    tags = options.pop("tags")
    handout, keys = asked_for(session, name, **options)
    place = Place(org, network, member, time_of(expires, ephemeral), tags)
    hand_over(session, handout, keys, enrol=adding(name, place, handout, keys), done="added")


@peer.command(
    name="import",
    examples=[
        "wgctl peer import /etc/wireguard/office.conf alice-laptop --org acme",
        "wgctl peer import office.nmconnection --org acme -o acme.nmconnection",
    ],
)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.argument("name", type=LabelType("peer"), metavar="[NAME]", required=False)
@org_option
@network_option
@_member_option
@expires_option
@psk_option
@form_options(None)
@pass_session
def import_(
    session: Session,
    /,
    file: Path,
    name: Label | None,
    org: Label,
    network: Label,
    expires: str | None,
    *,
    psk: bool,
    **options: Any,
) -> None:
    """Add a peer by the key in a config that it has, and show what that config is to say.

    FILE ends in .conf, .netdev or .nmconnection; NAME is FILE's unless it is given. The private
    key is never sent: it stays in FILE, and goes into the new file with -o.
    """
    name = name or _name_of(file)
    place = Place(org, network, options.pop("member"), time_of(expires, None))
    existing = existing_config(file)
    handout = wanted(_wish(existing, **options), name, as_json=session.as_json, own_key=False)
    keys = identity_of(existing, file, moves=handout.path is not None, psk=psk)
    hand_over(session, handout, keys, enrol=adding(name, place, handout, keys), done="added")


@peer.command(name="list", examples=["wgctl peer list --org acme"])
@org_option
@network_filter
@click.option("--tag", type=LabelType("tag"), metavar="TAG", help="Only those with this tag.")
@pass_session
def list_(session: Session, org: Label, network: Label | None, tag: Label | None) -> None:
    """List the peers of an org, with what their gateways saw of them."""
    found = session.client().peers(org, network=network, tag=tag)
    print_list(found, _columns(datetime.now(UTC)), as_json=session.as_json)


@peer.command(examples=["wgctl peer show alice-laptop --org acme"])
@name_argument("peer")
@org_option
@network_option
@pass_session
def show(session: Session, name: Label, org: Label, network: Label) -> None:
    """Show one peer, with what its gateway saw of it."""
    found = session.client().peer(org, network, name)
    print_one(found, _shown_columns(datetime.now(UTC)), as_json=session.as_json)


@peer.command(examples=["wgctl peer rekey alice-laptop --org acme -o alice.conf"])
@name_argument("peer")
@org_option
@network_option
@click.option(
    "--psk/--no-psk",
    default=None,
    help="With a new preshared key, or with none; else with one if it had one.",
)
@expires_option
@handout_options
@pass_session
def rekey(
    session: Session,
    /,
    name: Label,
    org: Label,
    network: Label,
    expires: str | None,
    *,
    psk: bool | None,
    **options: Any,
) -> None:
    """Give a peer new keys, and hand over its tunnel again; its address stays."""
    ends_in_s = expires_in_s(expires)
    if psk is None:
        psk = session.client().peer(org, network, name).preshared_key
    handout, keys = asked_for(session, name, psk=psk, **options)

    def enrol(client: "Client") -> "schema.Enrolment":
        from wgctl.core import schema

        sealed = None
        if keys.preshared_key is not None:
            shown = client.gateway_of_peer(org, network, name)
            sealed = keys.sealed_to(shown.public_key)
        new = schema.NewKey(
            public_key=keys.public_key,
            needs_forwarding=handout.needs_forwarding,
            preshared_key=sealed,
            expires_in_s=ends_in_s,
        )
        return client.rekey_peer(org, network, name, new)

    hand_over(session, handout, keys, enrol=enrol, done="has a new key")


@peer.command(examples=["wgctl peer remove alice-laptop --org acme"])
@name_argument("peer")
@org_option
@network_option
@consent.yes_option
@pass_session
def remove(session: Session, name: Label, org: Label, network: Label, *, yes: bool) -> None:
    """Remove a peer and the machines on it; its tunnel ends at once."""
    client = session.client()
    if not yes:
        found = client.peer(org, network, name)
        consent.ask(f"peer {found.name} of {org}/{network}, and the machines on it")
    client.remove_peer(org, network, name)
    note(f"peer {name} of {org}/{network} removed")
    if session.as_json:
        print_json({"removed": name})


def _expiry(peer: "schema.Peer", *, now: datetime) -> str:
    told = wording.expiry(peer.expires_at, now=now)
    return f"{told}, leaves" if peer.ephemeral else told


def _name_of(file: Path) -> Label:
    try:
        return parse_label(file.stem, what="peer")
    except Invalid as error:
        raise Invalid(f"{error}: give the peer's name after the file") from error


def _wish(existing: "Existing", *, format: str | None, interface: str | None, **rest: Any) -> Wish:  # noqa: A002 - the option's name
    """Let the config that is there say what the options do not."""
    if format in {None, existing.format}:
        interface = interface or existing.interface
    return Wish(format=format or existing.format, interface=interface, **rest)
