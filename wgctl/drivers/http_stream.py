"""HTTP connections: how many of peers there may be, and how long one may be without a request.

Counts and waits; requests are uvicorn's, and what is answered is the application's.
"""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from wgctl.drivers.crowd import Crowd
from wgctl.drivers.http_whole import Whole

__all__ = ["Patient", "guarded"]

_PATIENCE_S = 10.0


def guarded(*, patience_s: float = _PATIENCE_S) -> type[asyncio.Protocol]:
    """Return what one listener's `uvicorn.Config` takes as `http`.

    What is too many for a `Crowd` is closed as it comes, and a connection that brings no whole
    request, or takes no whole answer, for `patience_s`: also one that sends an octet now and then.
    """
    made = partial(_Guest, crowd=Crowd(), patience_s=patience_s)
    # uvicorn wants a class, and only ever calls it.
    return cast("type[asyncio.Protocol]", made)


class Patient(Whole):
    """A connection that is closed when its whole request, or whole answer, takes too long.

    `on_lost` is called once, when it has ended.
    """

    def __init__(
        self, *args: Any, patience_s: float, on_lost: Callable[[], None], **kwargs: Any
    ) -> None:
        """Take what uvicorn gives to its own, too."""
        super().__init__(*args, **kwargs)
        self._patience_s = patience_s
        self._on_lost = on_lost
        self._impatience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        """Begin to wait."""
        super().connection_made(transport)
        self._wait_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        if self._impatience is not None:
            self._impatience.cancel()
        self._on_lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take part of a request."""
        # What had arrived before an abort is read all the same.
        if not self.transport.is_closing():
            super().data_received(data)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._wait_again()
        super().on_response_complete()

    def _wait_again(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
        self._impatience = self.loop.call_later(self._patience_s, self.transport.abort)


class _Guest(Patient):
    def __init__(self, *args: Any, crowd: Crowd, **kwargs: Any) -> None:
        super().__init__(*args, on_lost=self._leave, **kwargs)
        self._crowd = crowd
        self._asker: bytes | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        super().connection_made(transport)
        asker = _address(transport)
        if asker is None or not self._crowd.admit(asker):
            transport.abort()
            return
        self._asker = asker

    def _leave(self) -> None:
        if self._asker is not None:
            self._crowd.leave(self._asker)


def _address(transport: asyncio.Transport) -> bytes | None:
    """Return the other end as 16 octets; None where it has gone or has a zone: in no network."""
    try:
        return socket.inet_pton(socket.AF_INET6, transport.get_extra_info("peername")[0])
    except (OSError, TypeError):
        return None
