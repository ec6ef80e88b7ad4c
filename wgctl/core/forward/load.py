"""How much may be under way, for one network and in all: what is more is turned away.

Counts alone: what is counted is for those who hold one.
"""

from collections import Counter

__all__ = ["Load"]


class Load:
    """Things under way, of which no network takes all the room."""

    def __init__(self, *, in_all: int, of_network: int) -> None:
        """Allow `in_all` at a time, and `of_network` of them for one network."""
        self._most = in_all
        self._most_of_network = of_network
        self._in_all = 0
        self._count: Counter[bytes] = Counter()

    def begin(self, network: bytes) -> bool:
        """Count one more of `network`; False, with nothing counted, if it is too many."""
        if self._in_all >= self._most or self._count[network] >= self._most_of_network:
            return False
        self._in_all += 1
        self._count[network] += 1
        return True

    def end(self, network: bytes) -> None:
        """Count one less of a `network` that has begun one."""
        self._in_all -= 1
        self._count[network] -= 1
        if not self._count[network]:
            del self._count[network]
