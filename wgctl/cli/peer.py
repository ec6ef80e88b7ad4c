"""`wgctl peer`: laptops, phones and servers with a tunnel.

Makes the key pair here, so that the controller never sees a private key; how the tunnel is handed
over is `wgctl.cli.handout`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from peers.names import Label
from wgctl.cli import consent, wording
from wgctl.cli.command import Noun
from wgctl.cli.duration import parse_duration
from wgctl.cli.form import DNS_CHOICES, FORMATS, Identity
from wgctl.cli.handout import Handout, Wish, identity, wanted
from wgctl.cli.options import name_argument, network_filter, network_option, org_option
from wgctl.cli.output import Columns, note, print_json, print_list, print_one
from wgctl.cli.session import Session, pass_session
from wgctl.core.errors import Invalid

if TYPE_CHECKING:
    from wgctl.client.api import Client
    from wgctl.core import schema

__all__ = ["peer"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

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
        "expiry": lambda peer: wording.expiry(peer.expires_at, now=now),
    }


def _shown_columns(now: datetime) -> Columns["schema.Peer"]:
    return {
        **_columns(now),
        "org": lambda peer: peer.org,
        "public key": lambda peer: str(peer.public_key),
        "created": lambda peer: wording.date(peer.created_at),
    }


def _handout_options(command: _Command) -> _Command:
    """Take where a tunnel goes, in which form, and whose key it has."""
    options = (
        click.option(
            "-o",
            "out",
            metavar="FILE",
            help="Write to a new file, for networkd into a folder; - is stdout.",
        ),
        click.option(
            "--format",
            type=click.Choice(list(FORMATS)),
            default=next(iter(FORMATS)),
            show_default=True,
            help="What takes the tunnel up; json is for programs.",
        ),
        click.option(
            "--interface",
            metavar="NAME",
            help="The tunnel's interface; wg-quick has its file's name.  [default: the peer's]",
        ),
        click.option(
            "--public-key", metavar="KEY", help="The peer's own public key; none is made then."
        ),
        click.option(
            "--dns",
            type=click.Choice(DNS_CHOICES),
            default=DNS_CHOICES[0],
            show_default=True,
            help="Which names go through the tunnel: the network's own, all, none.",
        ),
        click.option(
            "--qr", is_flag=True, help="A QR code: in the terminal, or -o x.png or x.svg."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@peer.command(
    examples=[
        "wgctl peer add alice-laptop --org acme -o alice.conf",
        "wgctl peer add alice-phone --org acme --qr",
        "wgctl peer add build-7 --org acme --network ci --expires 12h --public-key KEY",
        "wgctl peer add web-1 --org acme --format networkd -o /etc/systemd/network",
    ]
)
@name_argument("peer")
@org_option
@network_option
@click.option("--expires", metavar="TIME", help="Remove the peer's access after 30d, 12h, 1d12h.")
@_handout_options
@pass_session
def add(
    session: Session,
    /,
    name: Label,
    org: Label,
    network: Label,
    expires: str | None,
    **options: Any,
) -> None:
    """Add a peer, and hand over its tunnel: a config for the client that it has."""
    expires_in_s = _expires(expires)
    handout, keys = _asked_for(session, name, **options)

    def enrol(client: "Client") -> "schema.Enrolment":
        from wgctl.core import schema

        new = schema.NewPeer(
            name=name,
            network=network,
            public_key=keys.public_key,
            expires_in_s=expires_in_s,
            needs_forwarding=handout.needs_forwarding,
        )
        return client.add_peer(org, new)

    _hand_over(session, handout, keys, enrol=enrol, done="added")


@peer.command(name="list", examples=["wgctl peer list --org acme"])
@org_option
@network_filter
@pass_session
def list_(session: Session, org: Label, network: Label | None) -> None:
    """List the peers of an org, with what their gateways saw of them."""
    with session.client() as client:
        found = client.peers(org, network=network)
    print_list(found, _columns(datetime.now(UTC)), as_json=session.as_json)


@peer.command(examples=["wgctl peer show alice-laptop --org acme"])
@name_argument("peer")
@org_option
@network_option
@pass_session
def show(session: Session, name: Label, org: Label, network: Label) -> None:
    """Show one peer, with what its gateway saw of it."""
    with session.client() as client:
        found = client.peer(org, network, name)
    print_one(found, _shown_columns(datetime.now(UTC)), as_json=session.as_json)


@peer.command(examples=["wgctl peer rekey alice-laptop --org acme -o alice.conf"])
@name_argument("peer")
@org_option
@network_option
@_handout_options
@pass_session
def rekey(session: Session, /, name: Label, org: Label, network: Label, **options: Any) -> None:
    """Give a peer a new key, and hand over its tunnel again; its address stays."""
    handout, keys = _asked_for(session, name, **options)

    def enrol(client: "Client") -> "schema.Enrolment":
        from wgctl.core import schema

        new = schema.NewKey(public_key=keys.public_key, needs_forwarding=handout.needs_forwarding)
        return client.rekey_peer(org, network, name, new)

    _hand_over(session, handout, keys, enrol=enrol, done="has a new key")


@peer.command(examples=["wgctl peer remove alice-laptop --org acme"])
@name_argument("peer")
@org_option
@network_option
@consent.yes_option
@pass_session
def remove(session: Session, name: Label, org: Label, network: Label, *, yes: bool) -> None:
    """Remove a peer and the machines on it; its tunnel ends at once."""
    with session.client() as client:
        if not yes:
            found = client.peer(org, network, name)
            consent.ask(f"peer {found.name} of {org}/{network}, and the machines on it")
        client.remove_peer(org, network, name)
    note(f"peer {name} of {org}/{network} removed")
    if session.as_json:
        print_json({"removed": name})


def _expires(text: str | None) -> int | None:
    try:
        return None if text is None else parse_duration(text)
    except Invalid as error:
        raise Invalid(f"--expires: {error}") from error


def _asked_for(
    session: Session, name: Label, *, public_key: str | None, **options: Any
) -> tuple[Handout, Identity]:
    own_key = public_key is not None
    handout = wanted(Wish(**options), name, as_json=session.as_json, own_key=own_key)
    return handout, identity(public_key)


def _hand_over(
    session: Session,
    handout: Handout,
    keys: Identity,
    *,
    enrol: Callable[["Client"], "schema.Enrolment"],
    done: str,
) -> None:
    """Take the files, ask the controller, then fill the files or stdout."""
    with handout.opened() as files, session.client() as client:
        with _told_when_stopped(session.command("peer list")):
            enrolment = enrol(client)
        documents = handout.form.documents(enrolment.tunnel, keys)
        with _told_when_undelivered(session, enrolment.peer):
            if files or not session.as_json:
                handout.deliver(documents, files)
            if session.as_json:
                text = {} if files else {"config": handout.text(documents)}
                print_json({**enrolment.model_dump(mode="json"), **text})
    saved = [f"{file.path} ({file.mode:04o})" for file in files]
    where = f", saved to {' and '.join(saved)}" if saved else ""
    note(f"peer {enrolment.peer.name} {done}: {enrolment.peer.address}{where}")
    handout.tell(keys)


@contextmanager
def _told_when_stopped(command: str) -> Iterator[None]:
    """Say that the controller may have heard what was interrupted."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        note(f"stopped before the answer: the controller may have done it, {command} shows")
        raise


@contextmanager
def _told_when_undelivered(session: Session, peer: "schema.Peer") -> Iterator[None]:
    """Say how to come by a config when the only one was not written."""
    try:
        yield
    except BaseException:
        again = f"peer rekey {peer.name} --org {peer.org} --network {peer.network} -o FILE"
        note(f"the controller has the peer, its config was lost: {session.command(again)}")
        raise
