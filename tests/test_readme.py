"""The README names every command, exit code and setting, and nothing that is not there."""

import re
from dataclasses import replace
from pathlib import Path

import click
import pytest

from peers.names import Label
from tests.core.names.samples import NETWORK, NOW, app, labels, machine, peer
from tests.systemd import guide
from wgctl.cli import root
from wgctl.cli.command import Noun
from wgctl.core.access import ROLES, SCOPES, Asker
from wgctl.core.errors import REFUSALS
from wgctl.core.model import MemberRole, TokenKind
from wgctl.core.settings import ApiSettings, GatewaySettings, ResolverSettings, Settings
from wgctl.core.view import build

README = (Path(__file__).parents[1] / "README.md").read_text()
WORDS = root.list_commands(click.Context(root))


def command(word: str) -> click.Command:
    found = root.get_command(click.Context(root), word)
    assert found is not None
    return found


def row_of(first_cell: str) -> str:
    """Return the table row that begins with this cell, in backquotes."""
    rows = [line for line in README.splitlines() if line.startswith(f"| `{first_cell}")]
    assert rows, f"no row for {first_cell}"
    return rows[0]


@pytest.mark.parametrize("word", WORDS)
def test_every_command_has_a_row_with_its_verbs(word: str) -> None:
    found, row = command(word), row_of(f"wgctl {word}")

    if isinstance(found, Noun):
        assert set(re.findall(r"`([a-z-]+)`", row)) == set(found.commands)


def test_every_row_is_a_command() -> None:
    rows = re.findall(r"^\| `wgctl ([a-z]+)", README, re.MULTILINE)

    assert sorted(rows) == sorted(WORDS)


def test_what_a_role_may_do_is_what_the_table_says() -> None:
    section = README.split("### Roles")[1].split("###")[0]
    rows = re.findall(r"^\| `([a-z]+:[a-z]+)` \| (.*?) \|$", section, re.MULTILINE)
    said = {scope: cells.split(" | ") for scope, cells in rows}

    assert said == {
        str(scope): [str(ROLES[role].get(scope, "-")) for role in MemberRole]
        for scope in SCOPES[Asker.BEARER]
    }


def test_every_kind_of_token_has_a_row() -> None:
    section = README.split("### Tokens")[1].split("###")[0]

    assert re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE) == [
        kind.value for kind in TokenKind
    ]


def test_every_exit_code_has_a_row() -> None:
    rows = {int(code) for code in re.findall(r"^\| (\d) \|", README, re.MULTILINE)}

    assert rows == {0, 1} | {codes.exit_code for codes in REFUSALS.values()}


def test_every_setting_has_a_row() -> None:
    top = [name for name in Settings.model_fields if name not in {"gateway", "resolver", "api"}]
    settings = [
        *top,
        *(f"gateway.{name}" for name in GatewaySettings.model_fields),
        *(f"resolver.{name}" for name in ResolverSettings.model_fields),
        *(f"api.{name}" for name in ApiSettings.model_fields),
    ]

    for name in settings:
        row_of(f"{name}`")


def names_of_the_table() -> list[str]:
    section = README.split("## Names")[1].split("## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]*internal)`", cell)]


@pytest.mark.parametrize("name", names_of_the_table())
def test_every_name_of_the_table_has_records(name: str) -> None:
    web = replace(
        machine(1, 1, 2, ports=["http=80/tcp"], metadata={"role": "primary"}),
        name=Label("web-1"),
        process_group=Label("worker"),
    )
    view = build(NETWORK, [peer(2, name="alice-laptop")], [app(1, "web")], [web], now=NOW)
    node = view.find(labels(name))

    assert node is not None
    assert node.records


@pytest.mark.parametrize("target", re.findall(r"make ([a-z]+)", README))
def test_every_make_target_is_in_the_makefile(target: str) -> None:
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()

    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_every_unit_that_is_named_is_there() -> None:
    folder = Path(__file__).parents[1] / "systemd"
    named = set(re.findall(r"`(wgctl-[a-z-]+@?)(?:wgctl0|wg7)?`", README)) - {"wgctl-node"}
    there = {path.stem for path in folder.glob("wgctl-*.service")}

    assert named == there
    assert (folder / "wgctl.target").exists()


def test_the_guide_goes_from_nothing_to_nothing() -> None:
    """A guest runs it word by word: it must be whole, and need nobody who answers."""
    lines = [line for block in guide.blocks() for line in block.splitlines()]

    assert lines[0] == "make install"
    assert lines[-1] == "make uninstall"
    assert {line.split()[0] for line in lines} == {"make", "wgctl", "systemctl", "journalctl"}
    assert {line.split()[1] for line in lines if line.startswith("wgctl ")} <= set(WORDS)
