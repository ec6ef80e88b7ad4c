"""A gateway whose roles and commands are forks of one process, which has loaded them all once.

A role loads in half a second, and in half a minute on an emulated machine. How an installed one
starts is seen by the tests of commands, and by those that install it.
"""

import importlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing import connection
from multiprocessing.context import ForkContext, ForkServerContext
from pathlib import Path
from typing import ClassVar

from pyroute2 import netns

from tests.system.hosts import ROLES, Gateway
from wgctl.cli import main
from wgctl.core import shape

__all__ = ["Child", "ForkedGateway", "ServedGateway"]

for loaded in (
    *("cli.app", "cli.init", "cli.machine", "cli.org", "cli.peer", "cli.serve", "cli.status"),
    *("daemon.controller", "daemon.gateway", "daemon.internal_api", "daemon.resolver"),
):
    importlib.import_module(f"wgctl.{loaded}")
# Each fork has them then, and builds none.
shape.finish()

_FORK = multiprocessing.get_context("fork")
# Forks of a process that waits for nothing else: one that has threads must not fork itself.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload([__name__])


# Each start looks which others have ended: what one thread has read of that, another cannot.
_ONE_AT_A_TIME = threading.Lock()


class Child:
    """A fork, with what `subprocess.Popen` has to end it by."""

    def __init__(
        self, target: Callable[[], object], *, by: ForkContext | ForkServerContext = _FORK
    ) -> None:
        """Start `target`; its return, if it does, is status 0, and SystemExit's code is its own."""
        self._process = by.Process(target=target)
        with _ONE_AT_A_TIME:
            self._process.start()

    @property
    def pid(self) -> int:
        """Its id."""
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Return its status once it has ended; minus the signal's number if that ended it."""
        with _ONE_AT_A_TIME:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its status."""
        if not connection.wait([self._process.sentinel], timeout):
            raise subprocess.TimeoutExpired("fork", timeout or 0)
        with _ONE_AT_A_TIME:
            self._process.join()
        status = self.poll()
        assert status is not None
        return status

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it."""
        self._process.kill()

    def send_signal(self, signum: int, /) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signum)


class ForkedGateway(Gateway):
    """The same host, config and state; only how its processes begin differs."""

    _by: ClassVar[ForkContext | ForkServerContext] = _FORK

    def run_role(self, role: str) -> Child:
        """Start one role."""
        child = self._fork("run", role, out=self.log, err=self.log)
        self.host.started.append(child)
        return child

    def serve(self) -> None:
        """Start every role, and wait until all report."""
        self.serving = [self.run_role(role) for role in ROLES]
        self.wait_ready(*ROLES[1:])

    def wgctl(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        with tempfile.TemporaryDirectory() as name:
            out, err = Path(name, "out"), Path(name, "err")
            status = self._fork(*argv, out=out, err=err).wait(180)
            done = subprocess.CompletedProcess(argv, status, out.read_text(), err.read_text())
        if check and status != 0:
            raise AssertionError(f"{argv}: {status}\n{done.stdout}\n{done.stderr}")
        return done

    def _fork(self, *argv: str, out: Path, err: Path) -> Child:
        environment = {"WGCTL_CONFIG": str(self.config), "XDG_CONFIG_HOME": str(self.folder)}
        command = partial(_command, argv, self.host.name, environment, out=out, err=err)
        return Child(command, by=self._by)


class ServedGateway(ForkedGateway):
    """For a test with threads, which must not fork."""

    _by = _SERVER


def _command(
    argv: tuple[str, ...], host: str, environment: dict[str, str], *, out: Path, err: Path
) -> None:
    """Become `wgctl` in the namespace of `host`, as `ip netns exec` would have it."""
    netns.setns(host)
    for path, number in ((Path(os.devnull), 0), (out, 1), (err, 2)):
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    os.environ.update(environment)
    raise SystemExit(main(argv))
