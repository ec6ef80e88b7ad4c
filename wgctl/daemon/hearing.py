"""Hears who begins a handshake with this gateway, and has peers let in that are not there.

Joins the kernel's log, `peers.noise` and the programme; each initiation meets the cheapest check
first, and what becomes of it is counted. One thread does all of it, one initiation after another:
no two are at work on one key, and what it cannot keep up with stays in the log's queue, which
sheds the newest. It rests as long as it worked, so that a flood costs half a core.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address

import structlog

from peers.errors import InvalidInitiation
from peers.noise import Reader
from wgctl.core.errors import Unavailable
from wgctl.core.pace import Pace
from wgctl.core.presence import Fate
from wgctl.daemon.programme import Programme
from wgctl.drivers.handshakes import Arrival, Handshakes

__all__ = ["Hearing"]

_AT_ONCE = 64
_WAIT_S = 0.5
_AGAIN_S = 2.0

# Behind one address may be an office: 6,000 peers in use begin 50 handshakes a second.
_PER_S = 50.0
_BURST = 500.0
_SITE_BITS = 64

_log = structlog.get_logger()


class Hearing:
    """The thread's work. `fates` counts what became of the initiations, `lost` those shed.

    `problem` is why nothing is heard, None while something is.
    """

    def __init__(self, reader: Reader, programme: Programme, *, clock: Callable[[], float]) -> None:
        """Read with `reader`; `clock` gives seconds and never goes back."""
        self._reader = reader
        self._programme = programme
        self._clock = clock
        self._pace = Pace(per_s=_PER_S, burst=_BURST)
        self.fates = Counter[Fate]()
        self.lost = 0
        self.problem: str | None = None

    def run(self, group: int, *, stop: threading.Event) -> None:
        """Hear the log group `group` until `stop` is set."""
        while not stop.is_set():
            try:
                with closing(Handshakes(group)) as handshakes:
                    self.problem = None
                    self._hear(handshakes, stop)
            except Unavailable as error:
                if self.problem is None:
                    _log.error("initiations not heard", reason=str(error))
                self.problem = f"no peer can be let in: {error}"
                stop.wait(_AGAIN_S)

    def examine(self, arrival: Arrival) -> Fate:
        """Return what becomes of an initiation, after it became that."""
        message = arrival.message
        if not self._reader.is_ours(message):
            return Fate.FOREIGN
        source = arrival.source
        if not self._pace.admit(_site(source.host), now=self._clock()):
            return Fate.HURRIED
        try:
            initiator = self._reader.initiator(message)
            if self._programme.is_stranger(initiator.key):
                return Fate.UNKNOWN
            timestamp = self._reader.timestamp(initiator)
        except InvalidInitiation:
            return Fate.FORGED
        return self._programme.admit(initiator.key, source, timestamp=timestamp)

    def _hear(self, handshakes: Handshakes, stop: threading.Event) -> None:
        lost_before = self.lost
        while not stop.is_set():
            arrivals = handshakes.read(_AT_ONCE, within_s=_WAIT_S)
            began = time.monotonic()
            for arrival in arrivals:
                self.fates[self.examine(arrival)] += 1
            self.lost = lost_before + handshakes.lost
            if len(arrivals) == _AT_ONCE:
                stop.wait(time.monotonic() - began)


def _site(host: IPv4Address | IPv6Address) -> Hashable:
    """Return what has one allowance: an IPv4 address, or a /64, all of which is one site's."""
    return host if isinstance(host, IPv4Address) else int(host) >> _SITE_BITS
