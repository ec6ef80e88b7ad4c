"""What a route gets besides its request: the store, what roles saw, the bell, the time.

Built in `wgctl.daemon`; routes take the parts that they name.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from wgctl.api.changes import Changes
from wgctl.core.model import Role
from wgctl.services.observe import Observations
from wgctl.store.store import Store

__all__ = ["Bell", "Context", "ContextOf", "Now", "Seen", "StoreOf"]


class Bell:
    """Wakes those who wait for the next commit; only ever a hint."""

    def __init__(self) -> None:
        """Begin silent; `attach` comes before the first `ring`."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event = asyncio.Event()
        self.closed = False

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say which loop the waiting ones run in."""
        self._loop = loop

    def ring(self) -> None:
        """Wake all who wait; may be called from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ring)

    def close(self) -> None:
        """Wake all who wait, for the last time."""
        self.closed = True
        self._ring()

    def next_ring(self) -> asyncio.Event:
        """Return what the next ring sets: take it before looking, and no ring is missed."""
        return self._event

    def _ring(self) -> None:
        self._event.set()
        self._event = asyncio.Event()


@dataclass(frozen=True, slots=True)
class Context:
    """The parts that routes work with; `now` gives seconds since 1970, `started_at` is one.

    `changes` runs whatever changes `store`. `may_act` says whether the processes of a user, by its
    number, may speak for a role; `problem` what keeps the controller from its work, None while
    nothing does.
    """

    store: Store
    changes: Changes
    observations: Observations
    bell: Bell
    now: Callable[[], int]
    started_at: int
    may_act: Callable[[int, Role], bool]
    problem: Callable[[], str | None] = lambda: None


# In the loop: what is no coroutine would be called in another thread, at 0.1 ms each.
async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


ContextOf = Annotated[Context, Depends(_context)]


async def _store(request: Request, context: ContextOf) -> Store:
    """Return the store as the caller may see it."""
    return context.store.seen_by(request.state.caller)


async def _observations(context: ContextOf) -> Observations:
    return context.observations


async def _now(context: ContextOf) -> int:
    return context.now()


StoreOf = Annotated[Store, Depends(_store)]
Seen = Annotated[Observations, Depends(_observations)]
Now = Annotated[int, Depends(_now)]
