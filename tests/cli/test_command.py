import json
import os
import subprocess
import sys

import click
import pytest

from tests.cli.conftest import Deployment, Wgctl
from tests.patience import HANG_S
from wgctl import __version__
from wgctl.cli import root
from wgctl.cli.command import Verb

# A word of each kind of loading that `wgctl --help` has no time for.
HEAVY = ("pydantic", "cryptography", "segno", "asyncio", "wgctl.cli.peer")
# And one that a command has no time for which asks the controller.
NEEDLESS = ("asyncio", "rich", "wgctl.core.model", "wgctl.store", "wgctl.api", "wgctl.client.https")


def _verbs() -> list[tuple[str, click.Command]]:
    context = click.Context(root)
    found = []
    for word in root.list_commands(context):
        command = root.get_command(context, word)
        assert command is not None
        below = command.commands if isinstance(command, click.Group) else {}
        found += [(f"{word} {verb}", below[verb]) for verb in below] or [(word, command)]
    return found


VERBS = _verbs()
NAMES = [name for name, _ in VERBS]


@pytest.mark.parametrize(("name", "verb"), VERBS, ids=NAMES)
def test_every_command_takes_json_and_config(name: str, verb: click.Command) -> None:
    assert isinstance(verb, Verb)
    assert {"--json", "--config"} <= {opt for param in verb.params for opt in param.opts}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_shows_an_example_before_the_options(bare: Wgctl, name: str, flag: str) -> None:
    shown = bare(*name.split(), flag)

    assert shown.exit_code == 0
    assert shown.stdout.startswith(f"Usage: wgctl {name}")
    assert 0 < shown.stdout.index("\n  wgctl ") < shown.stdout.index("Options:")


def test_every_noun_of_the_table_is_there_under_its_name() -> None:
    assert {name.split()[0] for name in NAMES} == set(root.list_commands(click.Context(root)))


def _loaded(*arguments: str) -> set[str]:
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "wgctl", *arguments],
        capture_output=True,
        check=True,
        text=True,
    )
    return {line.rpartition("|")[2].strip() for line in told.stderr.splitlines()}


def test_help_loads_nothing_heavy() -> None:
    loaded = _loaded("--help")

    assert "click" in loaded
    assert not loaded & set(HEAVY)


def test_a_command_that_asks_loads_nothing_of_those_who_answer(
    org: str, deployment: Deployment
) -> None:
    loaded = _loaded(*("--config", str(deployment.config), "peer", "add", "laptop", "--org", org))

    assert "wgctl.client.api" in loaded
    assert not loaded & set(NEEDLESS)


def test_a_command_looks_for_no_garbage_at_its_end() -> None:
    asked = "import atexit, gc\nfrom wgctl.cli import main\n"
    at_the_end = "atexit.register(lambda: print(gc.get_freeze_count() > 0))\nmain(['--version'])"

    told = subprocess.run(
        [sys.executable, "-c", asked + at_the_end], capture_output=True, check=True, text=True
    )

    assert told.stdout.endswith("True\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pee"], "no command 'pee': did you mean peer? See wgctl --help"),
        (["peer", "ad"], "no command 'ad': did you mean add? See wgctl peer --help"),
        (["org", "zzz"], "no command 'zzz': expected add, list, show, remove. See wgctl org"),
        (["org", "list", "--jsn"], "No such option '--jsn'"),
        (["org", "show"], "Missing argument 'SLUG'. See wgctl org show --help"),
        (["peer", "add", "a", "--dns", "some"], "'some' is not one of 'split', 'full', 'none'"),
        (["run", "everything"], "'everything' is not one of 'controller'"),
        (["\x1b[31m"], "no command '\\x1b[31m'"),
    ],
)
def test_a_wrong_word_is_a_usage_error(bare: Wgctl, arguments: list[str], told: str) -> None:
    result = bare(*arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("wgctl: ")
    assert told in result.stderr


def test_no_word_at_all_shows_the_words_on_stderr(bare: Wgctl) -> None:
    result = bare("peer")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "rekey" in result.stderr


def test_the_version_is_the_packages(bare: Wgctl) -> None:
    assert bare("--version").stdout == f"wgctl {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "org", "list"],
        ["org", "--json", "list"],
        ["org", "list", "--json"],
    ],
)
def test_json_may_stand_anywhere(wgctl: Wgctl, org: str, arguments: list[str]) -> None:
    assert org in [found["slug"] for found in wgctl(*arguments).document]


@pytest.mark.parametrize("before", [True, False])
def test_config_may_stand_before_and_after_the_command(
    bare: Wgctl,
    deployment: Deployment,
    before: bool,  # noqa: FBT001 - a case
) -> None:
    words, option = ["org", "list"], ["--config", str(deployment.config)]

    assert bare(*(option + words if before else words + option)).exit_code == 0


@pytest.mark.parametrize("arguments", [["org", "show", "no-such", "--json"], ["--json", "nope"]])
def test_errors_are_json_where_it_was_asked_for(wgctl: Wgctl, arguments: list[str]) -> None:
    result = wgctl(*arguments)

    assert result.stdout == ""
    assert set(json.loads(result.stderr)["error"]) == {"type", "detail"}


def test_a_traceback_is_shown_only_to_who_asks_for_it(bare: Wgctl) -> None:
    assert "Traceback" not in bare("org", "list").stderr
    assert "Traceback" in bare("org", "list", env={"WGCTL_DEBUG": "1"}).stderr


def test_a_reader_that_had_enough_is_no_error(deployment: Deployment) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as broken:
        told = subprocess.run(
            [sys.executable, "-m", "wgctl", "org", "list"],
            env=deployment.environment,
            stdout=broken,
            stderr=subprocess.PIPE,
            check=False,
        )

    assert (told.returncode, told.stderr) == (1, b"")


def _shell(line: str, deployment: Deployment) -> subprocess.CompletedProcess[str]:
    """Run a line of sh in which `$W` is the command."""
    return subprocess.run(
        ["sh", "-c", line],
        env={**os.environ, **deployment.environment, "W": f"{sys.executable} -m wgctl"},
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )


@pytest.mark.parametrize("command", ["--help", "completion bash", "org list", "org list --json"])
def test_a_reader_that_has_left_ends_it_without_a_word(
    command: str, org: str, deployment: Deployment
) -> None:
    """As `| head -1` does to what is long."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "wgctl", *command.split()],
        env={**os.environ, **deployment.environment},
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=HANG_S,
        check=False,
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("command", ["--help", "org list", "peer add laptop --org {org}"])
@pytest.mark.parametrize(("closed", "said"), [(">&-", "stdout is closed"), (">&- 2>&-", "")])
def test_a_closed_stdout_is_told_before_anything_is_done(
    command: str, closed: str, said: str, org: str, deployment: Deployment, wgctl: Wgctl
) -> None:
    done = _shell(f"$W {command.format(org=org)} {closed}", deployment)

    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert wgctl("peer", "list", "--org", org, "--json").document == []


@pytest.mark.parametrize("command", ["--help", "org list", "completion bash"])
def test_a_full_disk_is_told(command: str, org: str, deployment: Deployment) -> None:
    done = _shell(f"$W {command} > /dev/full", deployment)

    assert done.returncode == 1
    assert done.stderr == "wgctl: No space left on device\n"


def test_closed_stdin_and_stderr_are_no_fault(org: str, deployment: Deployment) -> None:
    done = _shell("$W org list <&- 2>&-", deployment)

    assert done.returncode == 0
    assert org in done.stdout
