"""Whose turn it is: a lock that its waiters get in the order in which they came.

Knows nothing of what is done in turn. A plain lock goes to whoever runs next, which is often the
one that has just had it: of 50 writers that never rest, some then wait a hundred times as long as
others.
"""

import threading
from collections import deque
from types import TracebackType

__all__ = ["Turn"]


class Turn:
    """A lock for a `with` block; not to be taken again within."""

    def __init__(self) -> None:
        """Start with nobody having it."""
        self._guard = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        """Wait until all who came before are done."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            ours = threading.Lock()
            ours.acquire()
            self._waiting.append(ours)
        try:
            ours.acquire()
        except BaseException:
            self._give_up(ours)
            raise

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _where: TracebackType | None,
    ) -> None:
        """Hand it to the one that has waited longest."""
        with self._guard:
            self._pass_on()

    def _give_up(self, ours: threading.Lock) -> None:
        """Leave the queue, for a signal that came meanwhile; a turn that came too goes on."""
        with self._guard:
            if ours in self._waiting:
                self._waiting.remove(ours)
            else:
                self._pass_on()

    def _pass_on(self) -> None:
        if self._waiting:
            self._waiting.popleft().release()
        else:
            self._taken = False
