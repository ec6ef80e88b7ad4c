"""A child process that stands in for this one: it gets our signals, and we end with its status.

Who may be announced meanwhile is not known here.
"""

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from wgctl.core.errors import Denied, NotFound, Refusal

__all__ = ["Child", "adopted"]

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_SIGNALLED = 128

_FORWARDED = frozenset(
    {
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGTERM,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGWINCH,
    }
)
_WAITED_FOR = _FORWARDED | {signal.SIGCHLD}


class Child:
    """A running command; made by `adopted` only."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def wait(self) -> int:
        """Pass signals on until the command has ended; return its status, or 128 and the signal.

        What a terminal sends is not passed on: the command is in the same group, and got it too.
        """
        while (status := self._process.poll()) is None:
            found = signal.sigwaitinfo(_WAITED_FOR)
            # Above 0 are the kernel's own reasons (sigaction(2), si_code).
            if found.si_signo != signal.SIGCHLD and found.si_code <= 0:
                self._process.send_signal(found.si_signo)
        return status if status >= 0 else _SIGNALLED - status


@contextmanager
def adopted(command: Sequence[str]) -> Iterator[Child]:
    """Start `command`, which dies with us: the kernel sends it SIGTERM when we are killed.

    To be called in the main thread, while there is no other; signals are held back for the block.
    Raises NotFound and Denied, as a shell's 127 and 126, when it cannot be started.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED_FOR)
    try:
        process = _started(command, before)
        try:
            yield Child(process)
        finally:
            _end(process)
    finally:
        # One that came too late has nobody to go to.
        while signal.sigtimedwait(_WAITED_FOR, 0) is not None:
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _started(
    command: Sequence[str], mask: "set[signal.Signals | int]"
) -> "subprocess.Popen[bytes]":
    libc, parent = ctypes.CDLL(None), os.getpid()

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # It died before the kernel knew.
            os.kill(os.getpid(), signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    try:
        return subprocess.Popen(command, preexec_fn=prepare)  # noqa: PLW1509  # there is one thread
    except FileNotFoundError as error:
        raise NotFound(f"no command {command[0]!a}: expected the program to run") from error
    except PermissionError as error:
        raise Denied(f"no permission to run {command[0]!a}") from error
    except OSError as error:
        raise Refusal(f"{command[0]!a} cannot be run: {error.strerror}") from error


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Leave no command behind where the block was left by an exception."""
    if process.poll() is None:
        process.kill()
        process.wait()
