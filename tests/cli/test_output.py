import json
import os
import pty
import subprocess
import sys
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgctl.cli import output


@dataclass(frozen=True)
class Thing:
    name: str
    size: int


COLUMNS: output.Columns[Thing] = {"name": lambda it: it.name, "size": lambda it: str(it.size)}
THINGS = [Thing("a", 1), Thing("longer-name", 22)]


def test_a_table_is_aligned_and_has_no_space_at_line_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.print_list(THINGS, COLUMNS, as_json=False)

    assert capsys.readouterr().out == "NAME         SIZE\na            1\nlonger-name  22\n"


def test_an_empty_table_is_its_titles(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_list([], COLUMNS, as_json=False)

    assert capsys.readouterr().out == "NAME  SIZE\n"


def test_a_list_is_one_json_array(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_list(THINGS, COLUMNS, as_json=True)

    assert json.loads(capsys.readouterr().out) == [
        {"name": "a", "size": 1},
        {"name": "longer-name", "size": 22},
    ]


def test_one_item_is_a_line_for_each_column(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_one(THINGS[1], COLUMNS, as_json=False)

    assert capsys.readouterr().out == "name  longer-name\nsize  22\n"


def test_a_note_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    output.note("told")

    assert capsys.readouterr() == ("", "told\n")


@pytest.mark.parametrize("as_json", [False, True])
def test_control_characters_never_come_out_as_they_are(
    capsys: pytest.CaptureFixture[str],
    as_json: bool,  # noqa: FBT001 - a case
) -> None:
    output.print_list([Thing("\x1b]0;owned\x07\n\u2028", 1)], COLUMNS, as_json=as_json)

    shown = capsys.readouterr().out
    assert not set(shown) & set("\x1b\x07\u2028")
    assert "owned" in shown


@given(st.text())
def test_escaped_text_is_printable_and_printable_text_is_kept(text: str) -> None:
    shown = output.escaped(text)

    assert shown.isprintable()
    assert shown == text or not text.isprintable()


def test_lines_are_kept_where_asked() -> None:
    assert output.escaped("a\n\x1bb", keep_lines=True) == "a\n\\x1bb"


TABLE = """
from wgctl.cli.output import print_table
print_table(["name", "a title"], [["web", "\\x1b[31m" + "x" * 20], ["db", "y"]])
"""


def _on_a_terminal(columns: int, **environment: str) -> str:
    """Return what TABLE prints on a terminal that is so wide."""
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-c", TABLE],
            stdout=theirs,
            env={"COLUMNS": str(columns), "TERM": "xterm", **environment},
            check=True,
        )
        return os.read(ours, 4096).decode().replace("\r\n", "\n")
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_terminal_gets_bold_titles_and_no_escapes_of_others() -> None:
    shown = _on_a_terminal(80)

    assert "\x1b[1mNAME" in shown
    assert "\x1b[31m" not in shown
    assert "\\x1b[31mxxxxxxxxxxxxxxxxxxxx" in shown


def test_a_terminal_without_escapes_gets_none() -> None:
    assert "\x1b" not in _on_a_terminal(80, TERM="dumb")


def test_a_table_that_just_fits_is_one_and_one_that_does_not_is_blocks() -> None:
    cell = "\\x1b[31m" + "x" * 20
    width = len(f"NAME  {cell}")

    assert _on_a_terminal(width, TERM="dumb").splitlines()[1].rstrip() == f"web   {cell}"
    assert _on_a_terminal(width - 1, TERM="dumb") == (
        f"NAME     web\nA TITLE  {cell}\n\nNAME     db\nA TITLE  y\n"
    )
