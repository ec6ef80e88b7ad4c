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
# Of 65,536 peers, as many as wireguard-go holds, a round ends within 66 reports.
_ROUNDS_SHARE = 5

_NOTHING = Seen(None, None, 0, 0)


class Sights:
    """What was told of each peer, and who is next.

    What changed comes first. The others come in rounds, so that a reader who has forgotten hears of
    them again; a fifth of the room is a round's, so that it ends where much changes all the time.
    """

    def __init__(self, *, most: int = _MOST_AT_ONCE) -> None:
        """Choose `most` peers at a time, 5 or more: of fewer a round has no share.

        Nobody was told of yet.
        """
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

    def choose(self, seen: Mapping[int, Seen]) -> list[int]:
        """Return the ids of those to tell of, in no order; `seen` is by id.

        What changed and has no room comes first the next time. Who is not in `seen` is gone, and
        is told of when back.
        """
        told = self._told
        for gone in [id_ for id_ in told if id_ not in seen]:
            del told[gone]
        changed = [id_ for id_, one in seen.items() if told.get(id_, _NOTHING) != one]
        for_round = min(len(self._round), self._most // _ROUNDS_SHARE)
        chosen = set(self._in_turn(changed, most=self._most - for_round))
        while self._round and len(chosen) < self._most:
            if (id_ := self._round.popleft()) in seen:
                chosen.add(id_)
        return list(chosen)

    def note_told(self, ids: Iterable[int], seen: Mapping[int, Seen]) -> None:
        """Note that what `seen` has of `ids` was heard."""
        self._told.update((id_, seen[id_]) for id_ in ids)

    def _in_turn(self, changed: list[int], *, most: int) -> list[int]:
        if len(changed) <= most:
            return changed
        changed.sort()
        at = bisect_right(changed, self._last)
        chosen = (changed[at:] + changed[:at])[:most]
        self._last = chosen[-1]
        return chosen
