"""The one thread that changes the store for requests, and commits what came meanwhile as one.

A commit waits for the disk, and a thread that waits for another is woken at a cost: so those who
come while one is under way share the next, and run one after the other.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from wgctl.store.store import Store

__all__ = ["Changes"]

# Each of them waits for the statements of all: a millisecond or less for each.
_TOGETHER = 32

_Result = TypeVar("_Result")


class _Change(NamedTuple):
    """What a request wants to run, and where it waits to be told what came of it."""

    run: Callable[[], Any]
    told: asyncio.Future[Any]


class _Outcome(NamedTuple):
    result: Any = None
    error: BaseException | None = None


class Changes:
    """Runs what changes `store`, in the order in which it came, away from the loop that asks.

    What does so waits for the store and for nothing else: all the others wait with it.
    """

    def __init__(self, store: Store) -> None:
        """Start no thread yet."""
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="changes")
        self._lock = threading.Lock()
        self._waiting: list[_Change] = []
        self._working = False
        self._to_do: list[Callable[[], object]] = []

    async def run(self, change: Callable[[], _Result]) -> _Result:
        """Return what `change` returned, or raise what it raised, once all that it saw is durable.

        Raises Unavailable when that was not kept, whatever it came to.
        """
        told: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.append(_Change(change, told))
            begins, self._working = not self._working, True
        if begins:
            self._thread.submit(self._work)
        return await told

    def once_kept(self, act: Callable[[], object]) -> None:
        """Have `act` run as soon as what the change that calls this wrote is durable.

        In the same thread, before the change is answered; never, if that was not kept.
        """
        self._to_do.append(act)

    def close(self) -> None:
        """Run what has come, and end the thread; nothing may come after."""
        self._thread.shutdown()

    def _work(self) -> None:
        while taken := self._take(_TOGETHER, at_last=True):
            outcomes = self._outcomes(taken)
            with suppress(RuntimeError):  # The loop was closed: nobody waits.
                taken[0].told.get_loop().call_soon_threadsafe(_tell, taken, outcomes)

    def _outcomes(self, taken: list[_Change]) -> list[_Outcome]:
        """Return what came of each; `taken` grows by those that come before the commit."""
        outcomes = []
        self._to_do.clear()
        try:
            with self._store.together():
                for change in taken:
                    outcomes.append(_outcome(change.run))
                    taken += self._take(_TOGETHER - len(taken))
            for act in self._to_do:
                act()
        except Exception as error:  # noqa: BLE001  # else they would wait for ever
            return [_Outcome(error=error)] * len(taken)
        return outcomes

    def _take(self, most: int, *, at_last: bool = False) -> list[_Change]:
        """Return up to `most` that wait; none `at_last`: whoever comes next begins the work."""
        with self._lock:
            taken, self._waiting = self._waiting[:most], self._waiting[most:]
            if at_last:
                self._working = bool(taken)
        return taken


def _outcome(run: Callable[[], Any]) -> _Outcome:
    try:
        return _Outcome(run())
    except BaseException as error:  # noqa: BLE001  # raised where it is waited for
        return _Outcome(error=error)


def _tell(taken: list[_Change], outcomes: list[_Outcome]) -> None:
    for change, outcome in zip(taken, outcomes, strict=True):
        if change.told.done():  # Who asked has been cancelled.
            continue
        if outcome.error is None:
            change.told.set_result(outcome.result)
        else:
            change.told.set_exception(outcome.error)
