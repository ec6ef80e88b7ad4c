"""Enrolling a peer: files are taken first, then the controller is asked, then files are filled.

Leaves what is asked for to the command, and what is written to `wgctl.cli.handout`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wgctl.cli.handout import Handout
from wgctl.cli.identity import Identity
from wgctl.cli.output import note, print_json
from wgctl.cli.session import Session

if TYPE_CHECKING:
    from wgctl.client.api import Client
    from wgctl.core import schema

__all__ = ["hand_over"]


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
