"""The kinds of click command: what all of them take, how they show examples, when they load.

Leaves what a command does to the file of its noun.
"""

import difflib
import importlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click

from wgctl import __version__
from wgctl.cli.session import shared_options

__all__ = ["Entry", "Noun", "Root", "Verb"]

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Entry(NamedTuple):
    """A command of the root: the module of `wgctl.cli` that has it by name, and its one line."""

    module: str
    summary: str


class _Common(click.Command):
    """What every command has: -h, --json, --config, and examples above the options."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", _CONTEXT)
        super().__init__(*args, **kwargs)
        self.params.extend(shared_options())
        self.examples = examples

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help, then the examples, which are what most people look for."""
        super().format_help_text(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{example}\n")


class Verb(_Common):
    """A command that does something."""


class Noun(_Common, click.Group):
    """A word with verbs under it; a word that is nearly one of them is pointed out."""

    command_class = Verb

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of their file, which is the order of use."""
        del ctx
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; raises a usage error with near misses where there is none."""
        name = args[0]
        known = self.list_commands(ctx)
        if name in known or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        near = difflib.get_close_matches(name, known)
        meant = f"did you mean {' or '.join(near)}?" if near else f"expected {', '.join(known)}"
        raise click.UsageError(f"no command {name!a}: {meant}", ctx)


class Root(Noun):
    """The command `wgctl`, which loads a word's module when that word is used."""

    def __init__(self, name: str, *, help: str, entries: Mapping[str, Entry]) -> None:  # noqa: A002 - click's own word
        super().__init__(name, help=help)
        self._entries = entries
        self.params.append(_version_option())

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the words in the order of the table, which is the order of use."""
        del ctx
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load the command; None when there is no such word."""
        del ctx
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        found = getattr(importlib.import_module(f"wgctl.cli.{entry.module}"), cmd_name)
        return found if isinstance(found, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, without loading what it names."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(word, entry.summary) for word, entry in self._entries.items()])


def _version_option() -> click.Option:
    def show(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
        if value and not ctx.resilient_parsing:
            click.echo(f"wgctl {__version__}")
            ctx.exit()

    return click.Option(
        ["--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=show,
        help="Print the version and exit.",
    )
