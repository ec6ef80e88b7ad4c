"""Which of what a device saw of its peers is to be told: what changed, and in turn all the rest.

Knows ids and sights. Who is told, and how often, is the reader's business.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Mapping

from wgctl.core.ports import Seen

__all__ = ["Sights"]

# Of so many peers a report takes a moment to make and to read; more are told of in several.
_MOST_AT_ONCE = 5_000

_NOTHING = Seen(None, None, 0, 0)


class Sights:
    """What was told of each peer, and who is next.

    What changed comes first. The others come in rounds, so that a reader who has forgotten hears of
    them again.
    """

    def __init__(self, *, most: int = _MOST_AT_ONCE) -> None:
        """Choose `most` peers at a time; nobody was told of yet."""
        self._most = most
        self._told: dict[int, Seen] = {}
        self._round: deque[int] = deque()
        self._last = -1

    @property
    def in_round(self) -> bool:
        """Whether some of a round are still to come."""
        return bool(self._round)

    def begin_round(self, ids: Iterable[int]) -> None:
        """Begin a round of all peers that there are."""
        self._round = deque(sorted(ids))
        there = set(self._round)
        self._told = {id_: seen for id_, seen in self._told.items() if id_ in there}

    def choose(self, seen: Mapping[int, Seen]) -> list[int]:
        """Return the ids of those to tell of, in no order; `seen` is by id.

        What changed and has no room comes first the next time.
        """
        told = self._told
        changed = [id_ for id_, one in seen.items() if told.get(id_, _NOTHING) != one]
        chosen = set(changed if len(changed) <= self._most else self._in_turn(sorted(changed)))
        while self._round and len(chosen) < self._most:
            if (id_ := self._round.popleft()) in seen:
                chosen.add(id_)
        return list(chosen)

    def note_told(self, ids: Iterable[int], seen: Mapping[int, Seen]) -> None:
        """Note that what `seen` has of `ids` was heard."""
        self._told.update((id_, seen[id_]) for id_ in ids)

    def _in_turn(self, changed: list[int]) -> list[int]:
        at = bisect_right(changed, self._last)
        chosen = (changed[at:] + changed[:at])[: self._most]
        self._last = chosen[-1]
        return chosen
