"""One at a time: what comes in a burst is spread over turns of the event loop.

Between two turns the loop looks at its sockets, so that queries for names of our own never wait for
more than one question to upstreams; what goes through is for whoever holds one.
"""

import asyncio
from collections import deque

__all__ = ["Turnstile"]

# A question takes 0.2 ms to put: sixty at once would hold up everything else for 12 ms.
_A_TURN = 1


class Turnstile:
    """Lets three through in each turn of the loop, in the order in which they came."""

    def __init__(self) -> None:
        """Begin with nobody waiting."""
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def through(self) -> None:
        """Return when it is one's turn."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._turn, loop)
        mine: asyncio.Future[None] = loop.create_future()
        self._waiting.append(mine)
        await mine

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting:
            one = self._waiting.popleft()
            if not one.done():  # Its question may have been given up meanwhile.
                one.set_result(None)
                break
        if self._waiting:
            loop.call_soon(self._turn, loop)
