"""Replies as they go over the wire, for as long as they are right: the cache of one network.

Stores only what the responder made. A change sets all of them aside, and the next query that is not
answered from here takes back those that the change has left alone.
"""

from typing import NamedTuple

from wgctl.core.names.branch import TOP_LABELS, Branch, Stands
from wgctl.core.responder import Answer
from wgctl.core.view import View
from wgctl.core.wire import Labels

__all__ = ["MOST_TURNS", "Kept"]

MOST_TURNS = 256
"""An answer that has more orders than that is made anew for each query."""

# Whoever asks for ever new names takes nothing from other networks.
_MOST = 20_000
_ID_BYTES = 2


class _Origin(NamedTuple):
    """What a reply was made of; with None, of more than what stands at the name."""

    name: Labels
    stands: Stands | None
    branch: Branch | None

    def right_in(self, view: View) -> bool:
        """Whether `view`, another one than it was made from, says the same."""
        if self.stands is None:
            return False
        if self.branch is not None and view.branches.get(self.name[-TOP_LABELS:]) is self.branch:
            return True
        node = view.find(self.name)
        return node is not None and node.records == self.stands


class Kept:
    """The replies of one network, by their queries, all without ids.

    `replies` are right, and the same each time; it is one dictionary for good. `turning` has
    answers of several orders, and None in the place of those that nobody has had yet. What each was
    made of lies apart: of a query that is answered from here as little memory is touched as can be.
    """

    __slots__ = ("_aside", "_origins", "_view", "replies", "turning")

    def __init__(self) -> None:
        """Keep nothing yet."""
        self.replies: dict[bytes, bytes] = {}
        self.turning: dict[bytes, list[bytes | None]] = {}
        self._origins: dict[bytes, _Origin] = {}
        self._aside: tuple[dict[bytes, bytes], dict[bytes, list[bytes | None]]] = ({}, {})
        self._view: View | None = None

    def __len__(self) -> int:
        """How many queries are kept."""
        return len(self._origins)

    def add(self, query: bytes, answer: Answer, turn: int) -> bytes:
        """Keep `answer`, made in `turn` from the view last told of; return it without its id."""
        reply = answer.octets[_ID_BYTES:]
        if answer.turns > MOST_TURNS:
            return reply
        if len(self._origins) >= _MOST:
            self.clear()
        self._origins[query] = _Origin(answer.name, answer.stands, answer.branch)
        if answer.turns == 1:
            self.replies[query] = reply
        else:
            orders = self.turning.setdefault(query, [None] * answer.turns)
            orders[turn % answer.turns] = reply
        return reply

    def suspend(self) -> None:
        """Give nothing that is kept before `renew` was told of the view that is right."""
        self._aside[0].update(self.replies)
        self._aside[1].update(self.turning)
        self.replies.clear()
        self.turning.clear()

    def renew(self, view: View) -> None:
        """Give from here on what is kept and right in `view`."""
        if view is not self._view:
            self.suspend()
            self._origins = {
                query: origin for query, origin in self._origins.items() if origin.right_in(view)
            }
            self._view = view
        if any(self._aside):
            replies, turning = self._aside
            self.replies.update((q, one) for q, one in replies.items() if q in self._origins)
            self.turning.update((q, one) for q, one in turning.items() if q in self._origins)
            self._aside = ({}, {})

    def clear(self) -> None:
        """Keep nothing."""
        self.suspend()
        self._origins, self._aside = {}, ({}, {})
