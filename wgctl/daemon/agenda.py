"""When a gateway is to pass over everything again, and when to look at its table.

Knows the time as it is told; who passes and looks is `wgctl.daemon.gateway`.
"""

from math import inf

from wgctl.drivers.netlink.watch import Notice

__all__ = ["TICK_S", "Agenda"]

TICK_S = 0.5
"""For so long nothing is due at the most."""

_PASS_S = 30.0
_SHORTEST_REST_S = 3.0
_REST = 20
"""A pass rests 20 times as long as it took, so that looking costs 5 % of a core at most.

With 10,000 networks and peers it takes 0.25 to 0.45 s, and WireGuard tells nothing of its devices:
what is done to those is noticed within 10 s.
"""
_AFTER_CHANGE_S = 1.0
_AFTER_REFUSAL_S = 2.0
_AFTER_NOTICE_S = 0.1
"""What somebody does to the tunnel is done in several steps."""
_LONGEST_AFTER_NOTICE_S = 5.0
_BETWEEN_LOOKS_S = 0.25
"""Of two who each write the table when the other does, we write it four times a second."""


class Agenda:
    """What is due; times are those of one clock, in seconds."""

    def __init__(self, now: float) -> None:
        """Begin with a pass due at once."""
        self._pass_due = self._passed_at = now
        self._took_s = 0.0
        self._look_due, self._looked_at = inf, -inf

    def pass_is_due(self, now: float) -> bool:
        """Whether everything is to be compared."""
        return now >= self._pass_due

    def look_is_due(self, now: float) -> bool:
        """Whether the table is to be compared."""
        return now >= self._look_due

    def wait_s(self, now: float) -> float:
        """Return for how long nothing is due, at most a tick."""
        return min(TICK_S, max(0.0, min(self._pass_due, self._look_due) - now))

    def passed(self, now: float, *, took_s: float, settled: bool, wrote: bool = False) -> None:
        """Take note of a pass that ended; what one took that `wrote` is not what looking takes."""
        self._passed_at = now
        if not wrote:
            self._took_s = took_s
        rest_s = min(_PASS_S, max(_SHORTEST_REST_S, _REST * self._took_s))
        self._pass_due = now + (rest_s if settled else _AFTER_REFUSAL_S)

    def looked(self, now: float) -> None:
        """Take note of a look at the table."""
        self._look_due, self._looked_at = inf, now

    def changed(self, now: float) -> None:
        """Verify what was written: changes in a row together, but never later than without them."""
        self._pass_due = min(self._passed_at + _PASS_S, now + _AFTER_CHANGE_S)

    def refused(self, now: float) -> None:
        """Try again soon what could not be done."""
        self._pass_due = min(self._pass_due, now + _AFTER_REFUSAL_S)

    def noticed(self, notice: Notice, now: float) -> bool:
        """Look after a part that the kernel told of; return whether something is due sooner."""
        before = self._pass_due, self._look_due
        match notice:
            case Notice.FIREWALL:
                look_due = max(now, self._looked_at + _BETWEEN_LOOKS_S)
                self._look_due = min(self._look_due, look_due)
            case Notice.TUNNEL:
                rest_s = min(_LONGEST_AFTER_NOTICE_S, max(1.0, _REST * self._took_s))
                pass_due = max(now + _AFTER_NOTICE_S, self._passed_at + rest_s)
                self._pass_due = min(self._pass_due, pass_due)
        return before != (self._pass_due, self._look_due)
