"""Which announced machines' leases have ended, as the internal API of this host wrote it down.

What a lease is, and what to think of one not heard of, is `wgctl.core.lease`.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from wgctl.core.errors import Invalid
from wgctl.core.lease import Heard
from wgctl.core.model import Machine
from wgctl.drivers.lease_file import LeaseReader

__all__ = ["Endings"]

_log = structlog.get_logger()


class Endings:
    """The leases of a host, as far as they are over; used by one thread."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file at `path` whenever it was written; `clock` is the host's monotonic one."""
        self._reader = LeaseReader(path)
        self._clock = clock
        self._heard = Heard()
        self._there: frozenset[int] = frozenset()
        self._problem = ""

    def among(self, machines: Iterable[Machine]) -> frozenset[int]:
        """Return the ids of those whose leases have ended; `machines` are all that have one."""
        now = self._clock()
        self._hear(now)
        left = {machine.id: self._heard.left_s(machine, now=now) for machine in machines}
        self._heard.forget(self._there.difference(left))
        self._there = frozenset(left)
        return frozenset(id_ for id_, left_s in left.items() if left_s == 0)

    def _hear(self, now: float) -> None:
        try:
            standings = self._reader.news()
        except (Invalid, OSError) as error:
            if self._problem != str(error):
                _log.error("leases not read", reason=str(error))
            self._problem = str(error)
        else:
            if standings is not None:
                self._problem = ""
                self._heard.take(standings, now=now)
