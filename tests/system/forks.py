"""A gateway whose roles and commands are forks of this process, which has loaded them all once.

For emulated machines, which take half a minute to load one. How an installed one starts is seen by
the tests that install it.
"""

import importlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pyroute2 import netns

from tests.system.hosts import Gateway, Lab
from wgctl.cli import main

__all__ = ["Child", "ForkedGateway", "forked_lab"]

for loaded in (
    *("cli.init", "cli.peer", "cli.serve"),
    *("daemon.controller", "daemon.gateway", "daemon.resolver"),
):
    importlib.import_module(f"wgctl.{loaded}")

_FORK = multiprocessing.get_context("fork")


class Child:
    """A fork, with what `subprocess.Popen` has to end it by."""

    def __init__(self, target: Callable[[], object]) -> None:
        """Start `target`; its return, if it does, is status 0, and SystemExit's code is its own."""
        self._process = _FORK.Process(target=target)
        self._process.start()

    @property
    def pid(self) -> int:
        """Its id."""
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Return its status once it has ended; minus the signal's number if that ended it."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its status."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("fork", timeout or 0)
        return self._process.exitcode

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it."""
        self._process.kill()

    def send_signal(self, signum: int, /) -> None:
        """Send it a signal, unless it has ended."""
        if self._process.is_alive():
            os.kill(self.pid, signum)


class ForkedGateway(Gateway):
    """The same host, config and state; only how its processes begin differs."""

    def run_role(self, role: str) -> Child:
        """Start one role."""
        child = Child(lambda: self._main("run", role, output=self.log))
        self.host.started.append(child)
        return child

    def wgctl(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; both its outputs are in `stdout`."""
        with tempfile.NamedTemporaryFile() as output:
            said = Path(output.name)
            status = Child(lambda: self._main(*argv, output=said)).wait(180)
            done = subprocess.CompletedProcess(argv, status, said.read_text(), "")
        if check and status != 0:
            raise AssertionError(f"{argv}: {status}\n{done.stdout}")
        return done

    def _main(self, *argv: str, output: Path) -> None:
        """Become `wgctl` in the host's namespace, as `ip netns exec` would have it."""
        netns.setns(self.host.name)
        file = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout, sys.stderr = (os.fdopen(fd, "w", buffering=1) for fd in (1, 2))
        os.environ.update(WGCTL_CONFIG=str(self.config), XDG_CONFIG_HOME=str(self.folder))
        raise SystemExit(main(argv))


@contextmanager
def forked_lab() -> Iterator[Lab]:
    """Make a lab with such a gateway, and remove it."""
    made = Lab(Path(tempfile.mkdtemp(prefix="wgctl-")), gateway=ForkedGateway)
    try:
        yield made
    finally:
        made.close()
