import os
import pty
import subprocess
import sys

import pytest

from tests.cli.conftest import Deployment, Wgctl
from tests.patience import HANG_S

NOUNS = ["network", "app", "peer"]


def _at_a_terminal(deployment: Deployment, org: str, *words: str, answer: str) -> tuple[int, str]:
    """Run a removal with a terminal as stdin, and type `answer`."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "wgctl", *words],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**deployment.environment, "WGCTL_ORG": org},
        )
        os.write(ours, f"{answer}\n".encode())
        told, _ = process.communicate(timeout=HANG_S)
        return process.returncode, told.decode()
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("noun", NOUNS)
def test_without_a_terminal_nothing_is_removed_and_the_flag_is_named(
    acme: Wgctl, noun: str
) -> None:
    assert acme(noun, "add", "web").exit_code == 0

    result = acme(noun, "remove", "web")

    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert acme(noun, "show", "web").exit_code == 0


@pytest.mark.parametrize("flag", ["--yes", "-y"])
def test_yes_does_not_ask(acme: Wgctl, flag: str) -> None:
    acme("app", "add", "web")

    assert acme("app", "remove", "web", flag).exit_code == 0
    assert acme("app", "show", "web").exit_code == 4


@pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, 4), ("n", 1, 0), ("", 1, 0)])
def test_a_terminal_is_asked(
    deployment: Deployment, acme: Wgctl, org: str, answer: str, code: int, left: int
) -> None:
    acme("app", "add", "web")

    done, told = _at_a_terminal(deployment, org, "app", "remove", "web", answer=answer)

    assert "Remove app web of" in told
    assert done == code
    assert acme("app", "show", "web").exit_code == left


@pytest.mark.parametrize("right", [True, False])
def test_an_org_goes_only_when_its_name_is_typed(
    deployment: Deployment,
    wgctl: Wgctl,
    org: str,
    right: bool,  # noqa: FBT001 - a case
) -> None:
    answer = org if right else "y"

    done, told = _at_a_terminal(deployment, org, "org", "remove", org, answer=answer)

    assert f"This removes org {org} (networks: 1, peers: 0)." in told
    assert done == (0 if right else 2)
    assert wgctl("org", "show", org).exit_code == (4 if right else 0)


def test_what_is_not_there_is_said_before_anything_is_asked(
    deployment: Deployment, org: str
) -> None:
    done, told = _at_a_terminal(deployment, org, "app", "remove", "nope", answer="y")

    assert done == 4
    assert "Remove" not in told
