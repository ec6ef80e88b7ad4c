"""Network namespaces, each with a thread that lives in it.

All that was started in one ends with it.
"""

import ctypes
import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

__all__ = ["Namespace", "namespaced", "thread_in"]

Result = TypeVar("Result")

_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace; `interface` is a name that no other namespace uses."""

    name: str
    interface: str
    thread: ThreadPoolExecutor

    def run(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Return what `work(*arguments)` returns in the namespace's thread."""
        return self.thread.submit(work, *arguments).result()

    def beside(self) -> ThreadPoolExecutor:
        """Return a second thread that lives in the namespace; the caller ends it."""
        return thread_in(self.name)

    def shell(self, *command: str) -> str:
        """Return what a command prints in the namespace."""
        return subprocess.run(
            ["ip", "netns", "exec", self.name, *command], capture_output=True, check=True, text=True
        ).stdout


def thread_in(namespace: str) -> ThreadPoolExecutor:
    """Return a thread that lives in a namespace; the caller ends it."""
    return ThreadPoolExecutor(1, initializer=_enter, initargs=(namespace,))


@contextmanager
def namespaced() -> Iterator[Namespace]:
    """Make a namespace for the time of a block; its loopback is up."""
    name = f"wt{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        with thread_in(name) as thread:
            made = Namespace(name, name, thread)
            made.shell("ip", "link", "set", "lo", "up")
            yield made
    finally:
        _end_processes(name)
        subprocess.run(["ip", "netns", "delete", name], check=True)
        Path(f"/var/run/wireguard/{name}.sock").unlink(missing_ok=True)


def _enter(name: str) -> None:
    """Move the calling thread, and what it starts, into the namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/run/netns/{name}").open("rb") as handle:
        if libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def _end_processes(name: str) -> None:
    listed = subprocess.run(
        ["ip", "netns", "pids", name], capture_output=True, text=True, check=True
    )
    for pid in map(int, listed.stdout.split()):
        # The thread of the test itself is in the namespace too.
        if pid != os.getpid():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
