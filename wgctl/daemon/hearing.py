"""Hears who begins a handshake with this gateway, and has peers let in that are not there.

Joins the kernel's log, `peers.noise` and the programme; each initiation meets the cheapest check
first, and what becomes of it is counted. One thread does all of it, one initiation after another:
no two are at work on one key, and what it cannot keep up with stays in the log's queue, which
sheds the newest. In a flood it rests half as long as it worked, and leaves a third of a core.

WireGuard gets the initiation too, and drops it where it comes before its peer is let in. Then it
is for the gateway to begin a handshake, or the peer would wait 5 s until it tries again. But where
it comes after, which is answered, a second handshake that crosses the first would end both. So the
greeting waits a little: a peer that was answered meanwhile is not greeted, by WireGuard's own rule
of one handshake in 5 s.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address

import structlog

from peers.errors import InvalidInitiation
from peers.keys import PublicKey
from peers.noise import Reader
from wgctl.core.errors import Unavailable
from wgctl.core.pace import Pace
from wgctl.core.presence import Fate
from wgctl.core.tunnel import Source
from wgctl.daemon.programme import Programme
from wgctl.drivers.handshakes import Arrival, Handshakes

__all__ = ["Hearing"]

_AT_ONCE = 64
_WAIT_S = 0.5
_AGAIN_S = 2.0
_GREETED_AFTER_S = 0.01

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
        self._to_greet: deque[tuple[float, PublicKey, Source]] = deque()
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
        fate = self._programme.admit(initiator.key, timestamp=timestamp)
        if fate is Fate.ADMITTED:
            self._to_greet.append((self._clock() + _GREETED_AFTER_S, initiator.key, source))
        return fate

    def greet(self) -> float:
        """Greet those whom it is time to, and return in how many seconds to look again."""
        while self._to_greet:
            wait_s = self._to_greet[0][0] - self._clock()
            if wait_s > 0:
                return min(wait_s, _WAIT_S)
            _, key, source = self._to_greet.popleft()
            self._programme.greet(key, source)
        return _WAIT_S

    def _hear(self, handshakes: Handshakes, stop: threading.Event) -> None:
        lost_before = self.lost
        while not stop.is_set():
            arrivals = handshakes.read(_AT_ONCE, within_s=self.greet())
            began = time.monotonic()
            for arrival in arrivals:
                self.fates[self.examine(arrival)] += 1
            self.lost = lost_before + handshakes.lost
            if len(arrivals) == _AT_ONCE:
                stop.wait((time.monotonic() - began) / 2)


def _site(host: IPv4Address | IPv6Address) -> Hashable:
    """Return what has one allowance: an IPv4 address, or a /64, all of which is one site's."""
    return host if isinstance(host, IPv4Address) else int(host) >> _SITE_BITS
