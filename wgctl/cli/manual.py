"""Man pages, one for each command, from what click knows.

Their text is roff; what a command says of itself is in its own file. click-man is kept, but has no
place for examples, exit codes and files.
"""

import inspect
import re
from collections.abc import Iterator, Mapping

import click

from wgctl import __version__
from wgctl.cli import root
from wgctl.cli.command import Noun, Verb
from wgctl.core.errors import REFUSALS

__all__ = ["pages"]

_CODES = {
    0: "ok",
    1: "failed",
    2: "the input breaks a rule, which the message names",
    3: "denied",
    4: "not found",
    5: "conflict: the name is taken, or the thing is in use",
    6: "exhausted",
    7: "unavailable: a part that is needed does not run",
}

_FILES = {
    "/etc/wgctl/wgctl.toml": "the settings of this host",
    "/var/lib/wgctl": "the state: a folder for each role, and the gateway's key",
    "/run/wgctl": "the sockets: api.sock and resolver.sock for operators, node.sock for the roles; "
    "and how leases stand",
    "~/.config/wgctl/config.toml": "your own org, network and config",
}

_ENVIRONMENT = {
    "WGCTL_CONFIG": "the config, as --config names it",
    "WGCTL_ORG, WGCTL_NETWORK": "the org and the network, as --org and --network name them",
    "WGCTL_DEBUG": "1: show where in the code a failure comes from",
}


def pages() -> Mapping[str, str]:
    """Return the text of every page by the name of its file, such as `wgctl-peer-add.1`."""
    return {f"{'-'.join(words)}.1": _page(words, context) for words, context in _commands()}


def _commands() -> Iterator[tuple[tuple[str, ...], click.Context]]:
    """Find every command with the words that call it, each before those under it."""
    waiting: list[tuple[tuple[str, ...], click.Context]] = [
        (("wgctl",), click.Context(root, info_name="wgctl", **root.context_settings))
    ]
    while waiting:
        words, context = waiting.pop(0)
        yield words, context
        command = context.command
        if isinstance(command, click.Group):
            waiting.extend(
                ((*words, word), _below(context, word)) for word in command.list_commands(context)
            )


def _below(context: click.Context, word: str) -> click.Context:
    group = context.command
    command = group.get_command(context, word) if isinstance(group, click.Group) else None
    if command is None:
        raise LookupError(f"{context.command_path} has no command {word}")
    return click.Context(command, parent=context, info_name=word, **command.context_settings)


def _page(words: tuple[str, ...], context: click.Context) -> str:
    command = context.command
    summary = command.get_short_help_str(200).rstrip(".")
    parts = [
        f'.TH "{"-".join(words).upper()}" 1 "" "wgctl {__version__}" "wgctl"',
        *(".SH NAME", f"{_text('-'.join(words))} \\- {_text(summary)}"),
        *(".SH SYNOPSIS", _bold(" ".join(words))),
        _text(" ".join(command.collect_usage_pieces(context))),
        *(".SH DESCRIPTION", _paragraphs(command.help or "")),
        *_section("COMMANDS", _verbs(context, words)),
        *_section("OPTIONS", _options(context)),
        *_examples(command),
        *_section("EXIT STATUS", {str(code): _CODES[code] for code in _codes()}),
        *_section("ENVIRONMENT", _ENVIRONMENT),
        *_section("FILES", _FILES),
        *(".SH SEE ALSO", _see_also(words)),
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _codes() -> list[int]:
    return sorted({0, 1} | {codes.exit_code for codes in REFUSALS.values()})


def _section(title: str, rows: Mapping[str, str]) -> Iterator[str]:
    if rows:
        yield f".SH {title}"
    for term, meaning in rows.items():
        yield f".TP\n{_bold(term)}\n{_text(meaning)}"


def _verbs(context: click.Context, words: tuple[str, ...]) -> dict[str, str]:
    command = context.command
    if not isinstance(command, click.Group):
        return {}
    found = ((word, command.get_command(context, word)) for word in command.list_commands(context))
    return {
        " ".join((*words, word)): one.get_short_help_str(200)
        for word, one in found
        if one is not None
    }


def _options(context: click.Context) -> dict[str, str]:
    records = (one.get_help_record(context) for one in context.command.get_params(context))
    return {record[0]: record[1] for record in records if record is not None}


def _examples(command: click.Command) -> Iterator[str]:
    if isinstance(command, Noun | Verb) and command.examples:
        lines = "\n".join(_text(example) for example in command.examples)
        yield f".SH EXAMPLES\n.nf\n{lines}\n.fi"


def _see_also(words: tuple[str, ...]) -> str:
    above = "wgctl-run" if words == ("wgctl",) else "-".join(words[:-1])
    return f"{_bold(above)}(1), {_bold('wg')}(8), {_bold('systemctl')}(1)"


def _paragraphs(text: str) -> str:
    # click marks with \b and \f what it is not to wrap, and where it is to stop.
    told = inspect.cleandoc(text).partition("\f")[0].replace("\b\n", "")
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", told)]
    return "\n.PP\n".join(_text(part) for part in paragraphs)


def _bold(text: str) -> str:
    return f"\\fB{_text(text)}\\fR"


def _text(text: str) -> str:
    """Return `text` with nothing in it that roff would obey."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{escaped}" if escaped.startswith(".") else escaped
