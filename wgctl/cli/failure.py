"""What went wrong, as one message and one exit code.

Which code a refusal has is `wgctl.core.errors.REFUSALS` alone; here are those of the rest.
"""

import json
from dataclasses import dataclass

import click

from wgctl.cli.output import escaped
from wgctl.core.errors import REFUSALS, Invalid, Refusal

__all__ = ["Failure", "failure_of", "report"]

_FAILED = 1
_INTERRUPTED = 130  # 128 and SIGINT, as shells say it


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed command: the kind's name, what to tell, the exit code."""

    kind: str
    detail: str
    exit_code: int


def failure_of(error: Exception) -> Failure:
    """Return what `error` is to the one who typed the command."""
    for kind, codes in REFUSALS.items():
        if isinstance(error, kind):
            return Failure(codes.name, str(error), codes.exit_code)
    if isinstance(error, click.UsageError):
        return Failure(REFUSALS[Invalid].name, _usage(error), REFUSALS[Invalid].exit_code)
    if isinstance(error, click.Abort):
        return Failure("interrupted", "interrupted", _INTERRUPTED)
    return Failure("failed", _told(error), _FAILED)


def report(failure: Failure, *, as_json: bool) -> None:
    """Write the failure to stderr: a line for people, or one JSON document."""
    if as_json:
        told = {"error": {"type": failure.kind, "detail": failure.detail}}
        click.echo(json.dumps(told), err=True)
    else:
        click.echo(f"wgctl: {escaped(failure.detail, keep_lines=True)}", err=True)


def _usage(error: click.UsageError) -> str:
    message = error.format_message()
    if error.ctx is None:
        return message
    end = "" if message.endswith((".", "?")) else "."
    return f"{message}{end} See {error.ctx.command_path} --help"


def _told(error: Exception) -> str:
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OSError):
        where = "" if error.filename is None else f"{error.filename}: "
        return f"{where}{error.strerror or error}"
    if isinstance(error, Refusal):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}: WGCTL_DEBUG=1 shows where"
