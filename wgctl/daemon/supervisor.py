"""`wgctl serve`: every role of this host, each a process of its own, started again when it dies.

Knows nothing of what the roles do; stopping it stops them, and tears nothing else down.
"""

import ctypes
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import structlog

from wgctl.core.model import Role
from wgctl.daemon import logs

__all__ = ["serve"]

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_TICK_S = 0.1
_STOP_S = 10.0
_LONGEST_WAIT_S = 5.0
_STEADY_S = 10.0
"""A role that lived this long starts again at once when it dies."""

_log = structlog.get_logger()


@dataclass(slots=True)
class _Child:
    role: Role
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    wait_s: float = 0.1
    start_at: float = field(default_factory=time.monotonic)


def serve(config_path: Path) -> int:
    """Run every role with the config at `config_path` until SIGTERM or SIGINT; return 0."""
    logs.configure("serve")
    children = [_Child(role, _command(role, config_path)) for role in Role]
    stopping: list[int] = []

    # Notes the signal and no more: an exception might come between a child's start and its record.
    def note(signum: int, _frame: FrameType | None) -> None:
        stopping.append(signum)

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, note)
    try:
        while not stopping:
            for child in children:
                _tend(child)
            time.sleep(_TICK_S)
    finally:
        _stop(children)
    return 0


def _command(role: Role, config_path: Path) -> list[str]:
    return [sys.executable, "-m", "wgctl", "--config", str(config_path), "run", role.value]


def _tend(child: _Child) -> None:
    now = time.monotonic()
    if child.process is not None:
        status = child.process.poll()
        if status is None:
            return
        if now - child.started_at > _STEADY_S:
            child.wait_s = 0.1
        _log.warning("role ended", ended=child.role, status=status, again_in_s=child.wait_s)
        child.process = None
        child.start_at = now + child.wait_s
        child.wait_s = min(child.wait_s * 2, _LONGEST_WAIT_S)
    if now >= child.start_at:
        child.started_at = now
        child.process = subprocess.Popen(
            child.command,
            stdin=subprocess.DEVNULL,
            # The supervisor has one thread and holds no lock: nothing can be caught half-way.
            preexec_fn=_end_with_parent,  # noqa: PLW1509
        )
        _log.info("role started", started=child.role, pid=child.process.pid)


def _end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the supervisor is gone: a killed one leaves no roles."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(children: list[_Child]) -> None:
    running = [child.process for child in children if child.process is not None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + _STOP_S
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
