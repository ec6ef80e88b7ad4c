"""Each command is run by a process of its own: signals are a process's."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.patience import HANG_S
from wgctl.core.errors import Denied, NotFound, Refusal
from wgctl.drivers.child import adopted

_STANDS_IN = """
import sys
from wgctl.drivers.child import adopted
with adopted(sys.argv[1:]) as child:
    sys.exit(child.wait())
"""

_TELLS = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
for number, status in ((signal.SIGTERM, 3), (signal.SIGHUP, 4)):
    signal.signal(number, lambda _n, _f, status=status: sys.exit(status))
print(os.getpid(), flush=True)
while True:
    signal.pause()
"""


@contextmanager
def _standing_in(*command: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Run `command` with somebody in its place; give them, and the command's own process."""
    with subprocess.Popen(
        [sys.executable, "-c", _STANDS_IN, *command],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("signum", "status"),
    [(signal.SIGTERM, 3), (signal.SIGHUP, 4), (signal.SIGINT, 130)],
)
def test_a_signal_is_the_commands_and_its_status_ours(signum: int, status: int) -> None:
    with _standing_in(sys.executable, "-c", _TELLS) as (process, _):
        process.send_signal(signum)

        assert process.wait(HANG_S) == status


def test_a_command_that_is_killed_is_told_as_a_shell_does() -> None:
    with _standing_in(sys.executable, "-c", _TELLS) as (process, pid):
        os.kill(pid, signal.SIGKILL)

        assert process.wait(HANG_S) == 137


def test_a_command_does_not_outlive_us() -> None:
    with _standing_in(sys.executable, "-c", _TELLS) as (process, _):
        process.kill()
        assert process.stdout is not None

        # The command had the pipe open, too.
        assert process.stdout.read() == ""


def test_an_interrupt_at_the_terminal_comes_once() -> None:
    """The kernel sends it to the whole group: to pass it on would make it two."""
    counts = (
        "import signal, sys, time; count = []; signal.signal(signal.SIGINT, lambda *_: "
        "count.append(1)); print('ready', flush=True);\n"
        "while not count: signal.pause()\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(len(count)))\n"
        "print('counted', flush=True)\n"
        "while True: signal.pause()"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(Path(__file__).parents[2])
        os.execv(  # noqa: S606  # a terminal needs fork and exec
            sys.executable,
            [sys.executable, "-c", _STANDS_IN, sys.executable, "-c", counts],
        )
    try:
        said = b""
        for awaited, answer in ((b"ready", b"\x03"), (b"counted", None)):
            while awaited not in said:
                said += os.read(terminal, 1024)
            if answer is not None:
                os.write(terminal, answer)
        os.kill(pid, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    finally:
        os.close(terminal)


@pytest.mark.parametrize(
    ("command", "kind"), [("no-such-command", NotFound), ("/etc/passwd", Denied), ("", Refusal)]
)
def test_a_command_that_cannot_be_run_is_refused(command: str, kind: type[Exception]) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with pytest.raises(kind), adopted([command]):
        pass

    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_a_command_is_not_left_behind_by_an_error() -> None:
    left: list[subprocess.Popen[bytes]] = []

    def fail() -> None:
        with adopted(["sleep", "60"]) as child:
            left.append(child._process)  # noqa: SLF001  # the one to look for
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [process.returncode for process in left] == [-signal.SIGKILL]
