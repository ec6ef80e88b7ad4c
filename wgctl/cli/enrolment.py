"""Enrolling a peer: files are taken first, then the controller is asked, then files are filled.

Leaves to each command where the peer is to be, and what is written to `wgctl.cli.handout`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from peers.names import Label
from wgctl.cli.duration import parse_duration
from wgctl.cli.form import FORMATS
from wgctl.cli.handout import Handout, Wish, form_options, qr_option, wanted
from wgctl.cli.identity import Identity, identity
from wgctl.cli.output import note, print_json
from wgctl.cli.session import Session
from wgctl.core.errors import Invalid

if TYPE_CHECKING:
    from wgctl.client.api import Client
    from wgctl.core import schema

__all__ = [
    "Place",
    "Time",
    "adding",
    "asked_for",
    "expires_in_s",
    "expires_option",
    "hand_over",
    "handout_options",
    "psk_option",
    "time_of",
    "time_options",
]

_Command = TypeVar("_Command", bound=Callable[..., Any])


psk_option = click.option(
    "--psk", is_flag=True, help="A preshared key too, sealed to the gateway alone."
)
expires_option = click.option(
    "--expires", metavar="TIME", help="Remove the peer's access after 30d, 12h, 1d12h."
)
_ephemeral_option = click.option(
    "--ephemeral", metavar="TIME", help="Remove the peer itself after such a time."
)


def time_options(command: _Command) -> _Command:
    """Take how long a peer is to be there; `time_of` reads it."""
    return expires_option(_ephemeral_option(command))


def handout_options(command: _Command) -> _Command:
    """Take where a tunnel goes, in which form, and whose keys it has."""
    own_key = click.option(
        "--public-key", metavar="KEY", help="The peer's own public key; none is made then."
    )
    return form_options(next(iter(FORMATS)))(own_key(qr_option(command)))


def expires_in_s(text: str | None) -> int | None:
    """Return how long --expires says, None where it is left out; raises Invalid."""
    try:
        return None if text is None else parse_duration(text)
    except Invalid as error:
        raise Invalid(f"--expires: {error}") from error


class Time(NamedTuple):
    """How long a peer is to be there, None for good; and whether it leaves then by itself."""

    span_s: int | None
    ephemeral: bool


def time_of(expires: str | None, ephemeral: str | None) -> Time:
    """Return what --expires or --ephemeral says; raises Invalid, also for both."""
    if ephemeral is None:
        return Time(expires_in_s(expires), ephemeral=False)
    if expires is not None:
        raise Invalid("--expires and --ephemeral: expected one of them")
    try:
        return Time(parse_duration(ephemeral), ephemeral=True)
    except Invalid as error:
        raise Invalid(f"--ephemeral: {error}") from error


def asked_for(
    session: Session, name: Label, *, public_key: str | None, psk: bool, **options: Any
) -> tuple[Handout, Identity]:
    """Return where the tunnel of a new peer goes, and its keys; raises Invalid."""
    own_key = public_key is not None
    handout = wanted(Wish(**options), name, as_json=session.as_json, own_key=own_key)
    return handout, identity(public_key, psk=psk)


class Place(NamedTuple):
    """Where a peer is added, whose it is, for how long, and with which tags."""

    org: Label
    network: Label
    member: Label | None
    time: Time
    tags: tuple[Label, ...] = ()


def adding(
    name: Label, place: Place, handout: Handout, keys: Identity
) -> Callable[["Client"], "schema.Enrolment"]:
    """Return what asks a controller to add the peer `name`."""

    def enrol(client: "Client") -> "schema.Enrolment":
        from wgctl.core import schema

        sealed = None
        if keys.preshared_key is not None:
            offered = client.offered_gateway(
                place.org, place.network, needs_forwarding=handout.needs_forwarding
            )
            sealed = keys.sealed_to(offered.public_key)
        new = schema.NewPeer(
            name=name,
            network=place.network,
            owner=place.member,
            public_key=keys.public_key,
            expires_in_s=place.time.span_s,
            ephemeral=place.time.ephemeral,
            tags=list(place.tags),
            needs_forwarding=handout.needs_forwarding,
            preshared_key=sealed,
        )
        return client.add_peer(place.org, new)

    return enrol


def hand_over(
    session: Session,
    handout: Handout,
    keys: Identity,
    *,
    enrol: Callable[["Client"], "schema.Enrolment"],
    done: str,
) -> None:
    """Take the files, ask the controller, then fill the files or stdout."""
    client = session.client()
    with handout.opened() as files:
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
    note(keys.remark)
    handout.tell()


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
