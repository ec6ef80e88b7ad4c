"""A real controller for all tests of the command line, and the command run in this process."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from peers.names import Label
from tests.daemon.running import free_port
from tests.patience import HANG_S
from tests.services.minting import mint
from wgctl.cli import main
from wgctl.core.model import TokenKind
from wgctl.core.settings import STORE_NAME
from wgctl.services import network as network_service
from wgctl.services import org as org_service
from wgctl.store.store import Store

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
    """A controller that runs; `environment` makes a command speak to it, `elsewhere` over TLS.

    The latter has the token of an admin of the org `distant`, `one_use` one to enrol one peer in
    the network `runners` of the org `fleet`.
    """

    folder: Path
    environment: dict[str, str]
    elsewhere: dict[str, str]
    one_use: list[str]

    @property
    def config(self) -> Path:
        return self.folder / "wgctl.toml"


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A controller in a process of its own, ended with the tests."""
    folder = tmp_path_factory.mktemp("wgctl")
    here = {"WGCTL_CONFIG": str(folder / "wgctl.toml"), "HOME": str(folder)}
    made = Deployment(folder, here, {}, [])
    port = free_port()
    api = f'[api]\nlisten = "127.0.0.1:{port}"\n'
    made.config.write_text(CONFIG.format(folder=folder) + api)
    environment = {**os.environ, **made.environment}
    command = [sys.executable, "-m", "wgctl"]
    told = subprocess.run(
        [*command, "init", "--json"], check=True, env=environment, capture_output=True
    )
    admin, enrol = _tokens(folder / "state" / "controller" / STORE_NAME)
    url = f"https://127.0.0.1:{port}#{json.loads(told.stdout)['authority']}"
    made.elsewhere.update(WGCTL_URL=url, WGCTL_TOKEN=admin)
    made.one_use.append(enrol)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "run", "controller"], env=environment, stdout=log, stderr=log
        )
    try:
        _wait_until((folder / "run" / "api.sock").exists, process)
        _wait_until(lambda: _listens(port), process)
        yield made
    finally:
        process.terminate()
        process.wait(HANG_S)


def _tokens(path: Path) -> tuple[str, str]:
    """Return tokens of new orgs, of an admin and to enrol, made before the controller runs."""
    store, now = Store(path), int(time.time())
    try:
        for org in ("distant", "fleet"):
            org_service.add(store, Label(org), now=now)
        network_service.add(store, "fleet", Label("runners"), now=now)
        enrol = mint(
            store, "fleet", "runner", kind=TokenKind.ENROL, uses=1, networks=(Label("runners"),)
        )
        return mint(store, "distant", "tests").render(), enrol.render()
    finally:
        store.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until(holds: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + HANG_S
    while not holds():
        assert process.poll() is None, "the controller ended"
        assert time.monotonic() < deadline, "the controller does not listen"
        time.sleep(0.05)


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Wgctl]:
    """The command with no config, no user's file and no environment of ours."""
    before = signal.getsignal(signal.SIGTERM)
    unset = dict.fromkeys(
        (
            *("WGCTL_CONFIG", "WGCTL_ORG", "WGCTL_NETWORK", "WGCTL_URL", "WGCTL_TOKEN"),
            *("WGCTL_DEBUG", "XDG_CONFIG_HOME"),
        )
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


@pytest.fixture
def elsewhere(bare: Wgctl, deployment: Deployment) -> Wgctl:
    """The command with the same controller behind it, over TLS: in the org `distant`."""

    def run(*arguments: str, env: dict[str, str] | None = None, stdin: str = "") -> Result:
        given = {**deployment.elsewhere, "WGCTL_ORG": "distant", **(env or {})}
        return bare(*arguments, env=given, stdin=stdin)

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
