"""What a service tells systemd: that it is ready, lives, stops, and a line on how it is.

Knows the datagrams of sd_notify(3), and is silent where systemd did not start us; when they are
due is `wgctl.daemon.life`.
"""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

__all__ = ["SILENT", "Service"]

_MICROSECONDS = 1_000_000
_PARTS = 4
"""Signs of life in the time that the watchdog gives: one or two may come late."""


class Service:
    """One process that systemd watches over."""

    def __init__(self, address: str | None, *, watchdog_s: float | None = None) -> None:
        """Tell the datagram socket at `address`, a path or `@` and an abstract name.

        None: nobody. `watchdog_s` is how long it waits for a sign of life, None: for ever.
        """
        self._address = address
        self._pause_s = None if watchdog_s is None else watchdog_s / _PARTS
        self._told_at = float("-inf")
        self._status = ""
        self._ready = False

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Service":
        """Return the service that `environment` speaks of, as systemd sets it for this process."""
        watchdog = environment.get("WATCHDOG_USEC", "")
        ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        return cls(
            environment.get("NOTIFY_SOCKET"),
            watchdog_s=int(watchdog) / _MICROSECONDS if ours and watchdog.isdigit() else None,
        )

    def ready(self) -> None:
        """Say that it serves; again is no fault, and not sent."""
        if not self._ready:
            self._ready = True
            self._tell("READY=1")

    def alive(self) -> None:
        """Say that it lives: for the loop that does the work, each time round.

        Told four times in the watchdog's time at most.
        """
        now = time.monotonic()
        if self._pause_s is not None and now - self._told_at >= self._pause_s:
            self._told_at = now
            self._tell("WATCHDOG=1")

    def status(self, line: str) -> None:
        """Say in one line how it is; the same line again is not sent."""
        if line != self._status:
            self._status = line
            self._tell(f"STATUS={' '.join(line.split())}")

    def stopping(self) -> None:
        """Say that it was asked to stop, and does."""
        self._tell("STOPPING=1")

    def _tell(self, assignment: str) -> None:
        """Send, or lose: a role does not end because nobody hears it."""
        if not self._address:
            return
        name = self._address
        address = f"\0{name[1:]}" if name.startswith("@") else name
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(assignment.encode(), address)


SILENT = Service(None)
"""For a process that systemd did not start."""
