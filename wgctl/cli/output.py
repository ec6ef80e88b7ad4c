"""What a command prints: JSON, tables and facts on stdout, notes on stderr.

Knows nothing of what the values mean; control characters never reach a terminal as they are.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import click

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pydantic import BaseModel

    Document: TypeAlias = BaseModel | DataclassInstance

__all__ = [
    "Columns",
    "escaped",
    "note",
    "print_facts",
    "print_json",
    "print_list",
    "print_one",
    "print_table",
]

_GAP = "  "

_Item = TypeVar("_Item", bound="Document")

Columns: TypeAlias = Mapping[str, Callable[[_Item], str]]
"""The title of each column, and its cell for an item."""


def print_list(items: Sequence[_Item], columns: Columns[_Item], *, as_json: bool) -> None:
    """Print items as one JSON array, or as a table."""
    if as_json:
        print_json([_document(item) for item in items])
    else:
        print_table(columns, [[cell(item) for cell in columns.values()] for item in items])


def print_one(item: _Item, columns: Columns[_Item], *, as_json: bool) -> None:
    """Print an item as one JSON object, or a line for each of its columns."""
    if as_json:
        print_json(_document(item))
    else:
        print_facts([(title, cell(item)) for title, cell in columns.items()])


def print_json(document: object) -> None:
    """Print a value as JSON in ASCII, so that nothing in it can steer a terminal."""
    click.echo(json.dumps(document, indent=2))


def print_table(titles: Iterable[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under titles, columns two spaces apart and no cell empty.

    On a terminal that is too narrow each row is a block of its own, a line for each cell.
    """
    heads = [title.upper() for title in titles]
    cells = [[escaped(cell) for cell in row] for row in rows]
    lines = _lines([heads, *cells])
    if not sys.stdout.isatty():
        click.echo("\n".join(lines))
    elif max(map(len, lines)) <= shutil.get_terminal_size().columns:
        bold = os.environ.get("TERM", "dumb") != "dumb"
        click.echo("\n".join([click.style(lines[0], bold=True) if bold else lines[0], *lines[1:]]))
    else:
        blocks = (_lines(list(zip(heads, row, strict=True))) for row in cells)
        click.echo("\n\n".join("\n".join(block) for block in blocks))


def print_facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Print a line for each pair of title and text, the texts one under another."""
    click.echo("\n".join(_lines([[title, escaped(text)] for title, text in pairs])))


def note(text: str) -> None:
    """Tell the one at the terminal something that is no data."""
    click.echo(escaped(text), err=True)


def escaped(text: str, *, keep_lines: bool = False) -> str:
    r"""Return `text` with control and other unprintable characters as `\x1b` and the like."""
    if keep_lines:
        return "\n".join(map(escaped, text.split("\n")))
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _document(item: "Document") -> object:
    if is_dataclass(item):
        return asdict(item)
    return item.model_dump(mode="json")


def _lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows as lines with aligned columns and no space at their ends."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
