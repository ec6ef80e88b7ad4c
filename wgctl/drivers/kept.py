"""Replies as they go over the wire, for as long as they are right: the cache of one network.

Stores only what the responder made. A change sets all of them aside, and the next query that is not
answered from here takes back those that the change has left alone.
"""

from collections.abc import Iterable
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
    """What a reply was made of: what stands at a name."""

    name: Labels
    stands: Stands


class _Top:
    """The replies that were made of one branch, by their queries; None: of what is in none."""

    __slots__ = ("branch", "origins")

    def __init__(self, branch: Branch | None) -> None:
        self.branch = branch
        self.origins: dict[bytes, _Origin] = {}

    def move(self, view: View, top: Labels) -> list[bytes]:
        """Go over to what is at `top` in `view`; return the queries whose replies it ends."""
        branch = view.branches.get(top)
        if branch is not None and branch is self.branch:
            return []
        find = view.stands if branch is None else branch.find
        origins = self.origins.items()
        wrong = [query for query, (name, stands) in origins if find(name) != stands]
        for query in wrong:
            del self.origins[query]
        self.branch = branch
        return wrong


class Kept:
    """The replies of one network, by their queries, all without ids.

    `replies` are right, and the same each time; it is one dictionary for good. `turning` has
    answers of several orders, and None in the place of those that nobody has had yet. What each was
    made of lies apart: of a query that is answered from here as little memory is touched as can be.
    """

    __slots__ = ("_aside", "_fleeting", "_tops", "_view", "replies", "turning")

    def __init__(self) -> None:
        """Keep nothing yet."""
        self.replies: dict[bytes, bytes] = {}
        self.turning: dict[bytes, list[bytes | None]] = {}
        self._tops: dict[Labels, _Top] = {}
        # Right in the view that they were made from, and in no other.
        self._fleeting: list[bytes] = []
        self._aside: tuple[dict[bytes, bytes], dict[bytes, list[bytes | None]]] = ({}, {})
        self._view: View | None = None

    def __len__(self) -> int:
        """How many queries are kept."""
        replies, turning = self._aside
        return len(self.replies) + len(self.turning) + len(replies) + len(turning)

    def add(self, query: bytes, answer: Answer, turn: int) -> bytes:
        """Keep `answer`, made in `turn` from the view last told of; return it without its id."""
        reply = answer.octets[_ID_BYTES:]
        if answer.turns > MOST_TURNS:
            return reply
        if len(self.replies) + len(self.turning) >= _MOST:
            self.clear()
        if answer.stands is None:
            self._fleeting.append(query)
        else:
            top = answer.name[-TOP_LABELS:]
            origins = (self._tops.get(top) or self._begun(top, answer.branch)).origins
            origins[query] = _Origin(answer.name, answer.stands)
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
            self._end(self._fleeting)
            self._fleeting = []
            for labels, top in list(self._tops.items()):
                self._end(top.move(view, labels))
                if not top.origins:
                    del self._tops[labels]
            # Only now: what was not looked at, as an error may leave it, must not pass for right.
            self._view = view
        if any(self._aside):
            self.replies.update(self._aside[0])
            self.turning.update(self._aside[1])
            self._aside = ({}, {})

    def clear(self) -> None:
        """Keep nothing."""
        self.suspend()
        self._tops, self._fleeting, self._aside = {}, [], ({}, {})

    def _begun(self, top: Labels, branch: Branch | None) -> _Top:
        begun = self._tops[top] = _Top(branch)
        return begun

    def _end(self, queries: Iterable[bytes]) -> None:
        for query in queries:
            for kept in self._aside:
                kept.pop(query, None)
