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
        self._untold: dict[str, str] = {}

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
            self._tell("READY", "1")

    def alive(self) -> None:
        """Say that it lives: for the loop that does the work, each time round.

        Told four times in the watchdog's time at most; what could not be told before goes along.
        """
        now = time.monotonic()
        if self._pause_s is not None and now - self._told_at >= self._pause_s:
            self._told_at = now
            self._tell("WATCHDOG", "1")
        elif self._untold:
            self._send()

    def status(self, line: str) -> None:
        """Say in one line how it is; the same line again is not sent."""
        if line != self._status:
            self._status = line
            self._tell("STATUS", " ".join(line.split()))

    def stopping(self) -> None:
        """Say that it was asked to stop, and does."""
        self._tell("STOPPING", "1")

    def _tell(self, name: str, value: str) -> None:
        """Send `name=value`, or keep it until the next time: systemd may be too busy to take it."""
        if self._address:
            self._untold[name] = value
            self._send()

    def _send(self) -> None:
        """Send all that is untold; a role neither ends nor waits because nobody hears it."""
        name = self._address or ""
        address = f"\0{name[1:]}" if name.startswith("@") else name
        told = "\n".join(f"{name}={value}" for name, value in self._untold.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(told.encode(), address)
            self._untold.clear()


SILENT = Service(None)
"""For a process that systemd did not start."""
