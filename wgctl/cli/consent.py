"""The question before something goes away.

Leaves to each noun what would go.
"""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from wgctl.cli.output import escaped
from wgctl.core.errors import Invalid, Refusal

__all__ = ["ask", "ask_for_name", "ask_to", "yes_option"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def yes_option(command: _Command) -> _Command:
    """Take --yes, for those who were asked elsewhere."""
    return click.option("--yes", "-y", is_flag=True, help="Do not ask.")(command)


def ask(what: str) -> None:
    """Ask whether `what` may be removed; raises Refusal for a no, Invalid without a terminal."""
    _require_terminal()
    if not click.confirm(f"Remove {escaped(what)}?", err=True):
        raise Refusal("nothing was removed")


def ask_to(deed: str) -> None:
    """Ask whether to do `deed`; raises Refusal for a no, Invalid without a terminal."""
    _require_terminal()
    if not click.confirm(f"{escaped(deed)}?", err=True):
        raise Refusal("nothing was changed")


def ask_for_name(what: str, *, name: str) -> None:
    """Ask for `name` to be typed before `what` is removed.

    Raises Invalid for another word and without a terminal.
    """
    _require_terminal()
    click.echo(f"This removes {escaped(what)}.", err=True)
    typed = click.prompt(f"Type {name} to go on", err=True, default="", show_default=False)
    if typed != name:
        raise Invalid(f"{typed!a} was typed, expected {name!a}: nothing was removed")


def _require_terminal() -> None:
    if not sys.stdin.isatty():
        raise Invalid("nobody to ask: stdin is no terminal, expected --yes")
