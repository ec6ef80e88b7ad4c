"""`wgctl backup` and `wgctl restore`: the whole deployment in one file, and back.

What is in the file is `wgctl.daemon.backup`, how it takes its place `wgctl.daemon.restore`.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from wgctl.cli import consent
from wgctl.cli.command import Verb
from wgctl.cli.output import note, print_facts, print_json, print_table
from wgctl.cli.session import Session, pass_session
from wgctl.core.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from wgctl.daemon.restore import Draft, RestoreReport
    from wgctl.services.compare import Difference

__all__ = ["backup", "restore"]

_STDOUT = Path("-")
_NAMES_SHOWN = 8


@click.command(
    cls=Verb,
    examples=["wgctl backup /var/backups/wgctl-$(date +%F).tar.xz", "wgctl backup - | age -r ..."],
)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--without-key", is_flag=True, help="Leave the keys of gateway and authority out.")
@pass_session
def backup(session: Session, file: Path, *, without_key: bool) -> None:
    """Write store, gateway key and config to FILE, while everything runs.

    FILE is a tar archive under xz, 0600, and is there only when it is whole; - is stdout. Keep it
    as you keep a private key: it holds the gateway's.
    """
    settings = session.settings()
    from wgctl.daemon.backup import back_up

    with _output(file) as into:
        report = back_up(
            session.config_path, settings, into, now=int(time.time()), with_key=not without_key
        )
    told = f"revision {report.revision}, {'with' if report.with_key else 'without'} the gateway key"
    if file == _STDOUT:
        note(f"back-up written: {told}")
    elif session.as_json:
        print_json({"file": str(file), **asdict(report)})
    else:
        note(f"{file} written: {told}")


@click.command(
    cls=Verb, examples=["wgctl restore --verify backup.tar.xz", "wgctl restore backup.tar.xz"]
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--verify", is_flag=True, help="Change nothing: open it and compare.")
@consent.yes_option
@pass_session
def restore(session: Session, file: Path, *, verify: bool, yes: bool) -> None:
    """Make the back-up FILE this host's deployment.

    The controller must be stopped; tunnels and names go on meanwhile. Whatever was changed since
    the back-up is undone, and shown first. No network id, address or revision that was given out
    since is given out again. The old store is kept beside the new one.
    """
    from wgctl.daemon.restore import drafted

    now = int(time.time())
    with drafted(session.config_path, file, beside=verify) as draft:
        draft.require_restorable(now=now)
        if verify:
            _tell_of(draft, as_json=session.as_json)
            if draft.unreadable is not None:
                raise Unavailable(f"nothing to compare with: {draft.unreadable}")
            return
        if draft.replaces and not yes:
            _print_draft(draft)
            consent.ask_to("Put the back-up in the place of what is there")
        report = draft.put_in_place(now=now)
        _tell_restored(session, draft, report)


@contextmanager
def _output(file: Path) -> Iterator[IO[bytes]]:
    if file != _STDOUT:
        from wgctl.drivers.files import new_whole_file

        with new_whole_file(file) as into:
            yield into
        return
    if sys.stdout.isatty():
        raise Invalid("stdout is a terminal, expected a file or a pipe")
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


def _tell_of(draft: "Draft", *, as_json: bool) -> None:
    if as_json:
        print_json(_document(draft))
    else:
        _print_draft(draft)


def _document(draft: "Draft") -> dict[str, object]:
    return {
        "made_at": _moment(draft.manifest.made_at).isoformat(),
        "wgctl": draft.manifest.wgctl,
        "revision": draft.found.lineage.marks.revision,
        "running_revision": draft.running and draft.running.lineage.marks.revision,
        "holds": draft.counts,
        "differences": [asdict(one) for one in draft.differences()],
    }


def _print_draft(draft: "Draft") -> None:
    running = draft.running
    print_facts(
        [
            ("made", f"{_moment(draft.manifest.made_at):%Y-%m-%d %H:%M:%S} UTC"),
            ("revision", str(draft.found.lineage.marks.revision)),
            ("holds", ", ".join(f"{kind}s: {count}" for kind, count in draft.counts.items())),
            (
                "here",
                _here(draft) if running is None else f"revision {running.lineage.marks.revision}",
            ),
        ]
    )
    found = draft.differences()
    if found:
        click.echo()
        print_table(["kind", "goes", "comes back", "changes back"], list(map(_row, found)))
    elif running is not None:
        note("restoring it changes nothing")


def _here(draft: "Draft") -> str:
    return "no store" if draft.unreadable is None else f"unreadable: {draft.unreadable}"


def _row(found: "Difference") -> list[str]:
    return [str(found.kind), *map(_names, (found.gone, found.back, found.changed))]


def _names(names: tuple[str, ...]) -> str:
    if not names:
        return "-"
    more = len(names) - _NAMES_SHOWN
    return " ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _tell_restored(session: Session, draft: "Draft", report: "RestoreReport") -> None:
    if session.as_json:
        print_json(
            {
                **_document(draft),
                "new_revision": report.revision,
                "state": str(report.state_dir),
                "kept": report.kept and str(report.kept),
                "config_made": report.created_config,
            }
        )
        return
    print_facts([("state", str(report.state_dir)), ("revision", str(report.revision))])
    if report.kept is not None:
        note(f"the old store is kept as {report.kept}")
    note("every token has ended: wgctl token add makes new ones")
    note(f"restored to revision {report.cut}: {session.start_command()} starts it")


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
