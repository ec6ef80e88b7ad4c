"""A real controller for all tests of the command line, and the command run in this process."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from wgctl.cli import main

ENDPOINT = "203.0.113.7:51820"
CONFIG = """\
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
[gateway]
region = "ams"
endpoint = "203.0.113.7:51820"
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command left: its exit code and its two streams."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """Stdout, which must be one JSON document."""
        return json.loads(self.stdout)


Wgctl = Callable[..., Result]


@dataclass(frozen=True, slots=True)
class Deployment:
    """A controller that runs; `environment` makes a command speak to it."""

    folder: Path
    environment: dict[str, str]

    @property
    def config(self) -> Path:
        return self.folder / "wgctl.toml"


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A controller in a process of its own, ended with the tests."""
    folder = tmp_path_factory.mktemp("wgctl")
    made = Deployment(folder, {"WGCTL_CONFIG": str(folder / "wgctl.toml"), "HOME": str(folder)})
    made.config.write_text(CONFIG.format(folder=folder))
    environment = {**os.environ, **made.environment}
    command = [sys.executable, "-m", "wgctl"]
    subprocess.run([*command, "init"], check=True, env=environment, capture_output=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "run", "controller"], env=environment, stdout=log, stderr=log
        )
    try:
        _wait_for(folder / "run" / "api.sock", process)
        yield made
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(socket: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while not socket.exists():
        assert process.poll() is None, "the controller ended"
        assert time.monotonic() < deadline, "the controller does not listen"
        time.sleep(0.05)


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Wgctl]:
    """The command with no config, no user's file and no environment of ours."""
    before = signal.getsignal(signal.SIGTERM)
    unset = dict.fromkeys(
        ("WGCTL_CONFIG", "WGCTL_ORG", "WGCTL_NETWORK", "WGCTL_DEBUG", "XDG_CONFIG_HOME")
    )

    def run(*arguments: str, env: dict[str, str] | None = None, stdin: str = "") -> Result:
        given = {**unset, "HOME": str(tmp_path), **(env or {})}
        with CliRunner().isolation(input=stdin, env=given) as (out, err, _):
            code = main(arguments)
            sys.stdout.flush()
            return Result(code, out.getvalue().decode(), err.getvalue().decode())

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def wgctl(bare: Wgctl, deployment: Deployment) -> Wgctl:
    """The command with a controller behind it."""

    def run(*arguments: str, env: dict[str, str] | None = None, stdin: str = "") -> Result:
        return bare(*arguments, env={**deployment.environment, **(env or {})}, stdin=stdin)

    return run


_NUMBERS = itertools.count(1)


@pytest.fixture
def org(wgctl: Wgctl) -> str:
    """An org that no other test has."""
    slug = f"org-{next(_NUMBERS)}"
    assert wgctl("org", "add", slug).exit_code == 0
    return slug


@pytest.fixture
def acme(wgctl: Wgctl, org: str) -> Wgctl:
    """The command within an org of its own."""

    def run(*arguments: str, env: dict[str, str] | None = None, stdin: str = "") -> Result:
        return wgctl(*arguments, env={"WGCTL_ORG": org, **(env or {})}, stdin=stdin)

    return run
