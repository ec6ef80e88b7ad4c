"""A ping that goes on while other things happen, and which of its requests were answered.

What it sums up in the end counts as lost what is late: after its last request it waits for twice
the longest answer before it, and a machine that is busy may take longer.
"""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.patience import HANG_S
from tests.system.hosts import Host

__all__ = ["Pinging", "pinging"]

_TOLD = re.compile(r"icmp_seq=(\d+)( ttl=)?")
# An answer may be so late.
_LATE_S = 20.0


class Pinging:
    """A ping that runs until its block ends."""

    def __init__(self, process: "subprocess.Popen[str]", *, interval_s: float) -> None:
        self._process = process
        self._late = round(_LATE_S / interval_s)

    def lost(self, most: int) -> list[int]:
        """Return which of the first `most` requests, from 1 on, were never answered."""
        wanted = set(range(1, most + 1))
        deadline = time.monotonic() + HANG_S
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := _TOLD.search(line):
                number, answered = int(found[1]), found[2]
                if answered:
                    wanted.discard(number)
                if not wanted or number > most + self._late:
                    break
            assert time.monotonic() < deadline, line
        return sorted(wanted)


@contextmanager
def pinging(host: Host, address: str, *, interval_s: float) -> Iterator[Pinging]:
    """Ping `address` from `host`; it has begun when the block does."""
    # It tells (-O) of each request that has no answer yet, so that there is always a line to read.
    command = host.argv("ping", "-6", "-O", f"-i{interval_s}", address)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield Pinging(process, interval_s=interval_s)
        finally:
            process.kill()
