"""How often one asker may ask: so many times at once, and so many a second from then on.

Counts alone: what becomes of a request that is too many is its reader's business.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Hashable, Mapping

__all__ = ["REMEMBERED_S", "Pace", "Refusals"]

REMEMBERED_S = 60
"""For how long it counts that somebody asked too much."""

_MOST_KEPT = 10_000


class Pace:
    """The allowance of each asker: `burst` at most, `per_s` more each second."""

    def __init__(self, *, per_s: float, burst: float) -> None:
        """Begin with a whole allowance for everybody."""
        self._per_s = per_s
        self._burst = burst
        self._spent: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def admit(self, asker: Hashable, *, now: float, cost: float = 1.0) -> bool:
        """Take `cost` of the allowance of `asker`; False, with nothing taken, if it has less.

        `now` in seconds of a clock that never goes back.
        """
        left = self._left(asker, now)
        if left < cost:
            return False
        self._spent[asker] = left - cost, now
        self._spent.move_to_end(asker)
        if len(self._spent) > _MOST_KEPT:
            # Whoever came first of them: most likely its allowance is whole again.
            self._spent.popitem(last=False)
        return True

    def has(self, asker: Hashable, *, now: float, cost: float = 1.0) -> bool:
        """Whether `admit` would admit."""
        return self._left(asker, now) >= cost

    def _left(self, asker: Hashable, now: float) -> float:
        left, at = self._spent.get(asker, (self._burst, now))
        return min(self._burst, left + (now - at) * self._per_s)


class Refusals:
    """Who asked too much of late, and how often."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._heard: deque[tuple[float, Mapping[bytes, int]]] = deque()

    def note(self, refused: Mapping[bytes, int], *, now: float) -> None:
        """Count what was refused to each asker since this was last told."""
        self._heard.append((now, refused))

    def worst(self, most: int, *, now: float) -> list[tuple[bytes, int]]:
        """Return at most `most` askers and their refusals of the last minute, the worst first."""
        while self._heard and self._heard[0][0] < now - REMEMBERED_S:
            self._heard.popleft()
        count: Counter[bytes] = Counter()
        for _, refused in self._heard:
            count.update(refused)
        return count.most_common(most)
