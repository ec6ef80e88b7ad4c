"""How often one asker may ask: so many times at once, and so many a second from then on.

Counts alone: what becomes of a request that is too many is its reader's business.
"""

from collections.abc import Hashable

__all__ = ["Pace"]

_MOST_KEPT = 10_000


class Pace:
    """The allowance of each asker: `burst` at most, `per_s` more each second."""

    def __init__(self, *, per_s: float, burst: float) -> None:
        """Begin with a whole allowance for everybody."""
        self._per_s = per_s
        self._burst = burst
        self._spent: dict[Hashable, tuple[float, float]] = {}

    def admit(self, asker: Hashable, *, now: float, cost: float = 1.0) -> bool:
        """Take `cost` of the allowance of `asker`; False, with nothing taken, if it has less.

        `now` in seconds of a clock that never goes back.
        """
        left = self._left(asker, now)
        if left < cost:
            return False
        if len(self._spent) >= _MOST_KEPT:
            self._forget_idle(now)
        self._spent[asker] = left - cost, now
        return True

    def _left(self, asker: Hashable, now: float) -> float:
        left, at = self._spent.get(asker, (self._burst, now))
        return min(self._burst, left + (now - at) * self._per_s)

    def _forget_idle(self, now: float) -> None:
        """Forget those whose allowance is whole again: they are as if they had never come."""
        idle = [asker for asker in self._spent if self._left(asker, now) >= self._burst]
        for asker in idle:
            del self._spent[asker]
