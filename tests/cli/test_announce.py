"""What is announced, and how, is shown over a real tunnel in `tests/system/test_static.py`."""

import socket
from collections.abc import Iterator

import pytest

from tests.cli.conftest import Wgctl


@pytest.fixture
def nobody() -> Iterator[str]:
    """Where an API could be, and none is."""
    with socket.socket(socket.AF_INET6) as held:
        held.bind(("::1", 0))
        yield f"http://[::1]:{held.getsockname()[1]}"


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -9 $$", 137)])
def test_the_command_runs_although_nobody_can_be_told(
    bare: Wgctl, nobody: str, script: str, status: int
) -> None:
    """Its work is worth more than its name, which it has as soon as somebody can be told."""
    result = bare(
        *("machine", "announce", "web", "--name", "one", "--api", nobody, "--check-tcp", "80"),
        *("--", "sh", "-c", script),
    )

    assert (result.exit_code, result.stdout) == (status, "")
    assert "machine one is not announced: no answer from" in result.stderr
    assert result.stderr.endswith("trying again\n")


def test_a_command_that_cannot_be_run_is_refused(bare: Wgctl, nobody: str) -> None:
    result = bare("machine", "announce", "web", "--api", nobody, "--", "no-such-command")

    assert result.exit_code == 4
    assert "no command 'no-such-command': expected the program to run" in result.stderr


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["--ttl", "9s"], "--ttl '9s', expected 10s to 3600s"),
        (["--ttl", "2h"], "--ttl '2h', expected 10s to 3600s"),
        (["--ttl", "15"], "'15', expected a time"),
        (["--check-tcp", "0"], "0 is not in the range"),
        (["--check-http", "/healthz"], "--check-http '/healthz', expected PORT/PATH"),
        (["--check-http", "70000/"], "expected PORT/PATH"),
        (["--check-http", "80/a b"], "expected PORT/PATH"),
        (["--check-http", "80", "--check-tcp", "80"], "expected one of them"),
        (["--api", "_api.internal"], "expected http://HOST:PORT"),
        (["--api", "https://_api.internal"], "expected http://HOST:PORT"),
        (["--api", "http://[::1]:x"], "expected http://HOST:PORT"),
        (["--name", "vm"], "vm"),
        (["--port", "http"], "expected NAME=PORT"),
    ],
)
def test_options_that_break_a_rule_run_nothing(bare: Wgctl, words: list[str], rule: str) -> None:
    result = bare("machine", "announce", "web", *words, "--", "false")

    assert result.exit_code == 2
    assert rule in result.stderr


def test_a_command_is_wanted(bare: Wgctl) -> None:
    assert bare("machine", "announce", "web").exit_code == 2
