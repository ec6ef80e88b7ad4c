import subprocess
from pathlib import Path

import click
import pytest

from wgctl.cli import root
from wgctl.cli.manual import pages
from wgctl.core.errors import REFUSALS

PAGES = pages()


def words_of(command: click.Command, above: tuple[str, ...]) -> list[tuple[str, ...]]:
    context = click.Context(command)
    found = [above]
    if isinstance(command, click.Group):
        for word in command.list_commands(context):
            below = command.get_command(context, word)
            assert below is not None
            found += words_of(below, (*above, word))
    return found


def test_every_command_has_a_page() -> None:
    assert set(PAGES) == {f"{'-'.join(words)}.1" for words in words_of(root, ("wgctl",))}


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_names_exit_codes_and_files(name: str) -> None:
    page = PAGES[name]

    for codes in REFUSALS.values():
        assert f"\\fB{codes.exit_code}\\fR" in page
    assert "/etc/wgctl/wgctl.toml" in page
    assert page.startswith(f'.TH "{name.removesuffix(".1").upper()}" 1')


def test_options_and_examples_are_those_of_the_command() -> None:
    page = PAGES["wgctl-peer-add.1"]

    assert "\\fB\\-\\-public\\-key KEY\\fR" in page
    assert "wgctl peer add alice\\-laptop \\-\\-org acme \\-o alice.conf" in page
    assert "\\-h, \\-\\-help" in page


def test_the_manual_reads_every_page_without_a_warning(tmp_path: Path) -> None:
    for name, text in PAGES.items():
        (tmp_path / name).write_text(text)

    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", *sorted(tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
