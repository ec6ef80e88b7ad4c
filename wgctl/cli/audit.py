"""`wgctl audit`: who did what, and whether that is what was written down.

The chain is checked here, from its first record on: a controller is not asked whether to trust it.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from peers.names import Label
from wgctl.cli import wording
from wgctl.cli.command import Noun
from wgctl.cli.options import LabelType
from wgctl.cli.output import note, print_json, print_table
from wgctl.cli.session import Session, pass_session
from wgctl.core.errors import Denied, Invalid

if TYPE_CHECKING:
    from wgctl.core.access_schema import AuditRecord
    from wgctl.core.audit import Record

__all__ = ["audit"]

_TITLES = ("place", "at", "who", "token", "from", "outcome", "did", "what")

audit = Noun("audit", help="Audit: who did what to what, in a chain that shows a change.")

_org_option = click.option(
    "--org",
    type=LabelType("org"),
    envvar="WGCTL_ORG",
    metavar="ORG",
    help="The org; else of what no org owns, for operators.  [env: WGCTL_ORG]",
)


@audit.command(name="list", examples=["wgctl audit list --org acme", "wgctl audit list --last 5"])
@_org_option
@click.option(
    "--last", type=click.IntRange(1), default=50, show_default=True, help="How many, at the most."
)
@pass_session
def list_(session: Session, org: Label | None, last: int) -> None:
    """List what was done, and what was denied, the latest last."""
    records = session.client().audit(org)[-last:]
    if session.as_json:
        print_json([_document(record) for record in records])
    else:
        print_table(_TITLES, [_cells(record) for record in records])


@audit.command(examples=["wgctl audit export --org acme > acme-audit.jsonl"])
@_org_option
@pass_session
def export(session: Session, org: Label | None) -> None:
    """Print the whole trail, a line of JSON for each record: to be kept elsewhere, and verified."""
    for record in session.client().audit(org):
        click.echo(record.model_dump_json())


@audit.command(
    examples=["wgctl audit verify --org acme", "wgctl audit verify --file acme-audit.jsonl"]
)
@_org_option
@click.option("--file", type=click.Path(path_type=Path), help="An export, and not the controller.")
@click.option("--head", metavar="PLACE:HASH", help="What an earlier verify showed, to be there.")
@pass_session
def verify(session: Session, org: Label | None, file: Path | None, head: str | None) -> None:
    """Check that no record was changed, taken out or put in, and show the head to note.

    An end that was cut off shows only against a --head that was noted elsewhere.
    """
    from wgctl.core import audit as chain

    noted = None if head is None else chain.Head.parse(head)
    shapes = session.client().audit(org) if file is None else _read(file)
    found = chain.verify(_records(shapes), noted=noted)
    note(f"{found.place} records, each follows from the one before")
    if session.as_json:
        print_json({"records": found.place, "head": str(found)})
    else:
        click.echo(str(found))


def _records(shapes: Iterable["AuditRecord"]) -> Iterator["Record"]:
    from wgctl.core.audit import Record

    for one in shapes:
        yield Record(
            one.place,
            int(one.at.timestamp()),
            one.body,
            bytes.fromhex(one.previous),
            bytes.fromhex(one.hash),
        )


def _read(file: Path) -> list["AuditRecord"]:
    from pydantic import ValidationError

    from wgctl.core.access_schema import AuditRecord

    try:
        lines = file.read_text("utf-8").splitlines()
    except PermissionError as error:
        raise Denied(f"no permission to read {file}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{file}: expected a file that wgctl audit export has written") from error
    try:
        return [AuditRecord.model_validate_json(line) for line in lines]
    except ValidationError as error:
        raise Invalid(f"{file}: a line that is no record, expected one of wgctl audit") from error


def _document(record: "AuditRecord") -> dict[str, Any]:
    told: dict[str, Any] = json.loads(record.body)
    return {"place": record.place, "at": wording.date(record.at), **told}


def _cells(record: "AuditRecord") -> list[str]:
    told = _document(record)
    cells = (
        *(str(told["place"]), told["at"], told["who"], told["token"], told["from"]),
        *(told["outcome"], told["did"], _what(told)),
    )
    return [cell or wording.ABSENT for cell in cells]


def _what(told: dict[str, Any]) -> str:
    """Return what became of what, as `+peer laptop, -token ci`, or the request that was denied."""
    return told.get("request") or ", ".join(map(_change, told["changes"]))


def _change(change: dict[str, Any]) -> str:
    before, after = change["before"], change["after"]
    sign = "+" if before is None else "-" if after is None else "~"
    row = before if after is None else after
    return f"{sign}{change['kind']} {row.get('name') or row.get('slug') or row['id']}"
