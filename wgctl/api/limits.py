"""How long a request's body may be, and how often one may ask: said before a byte of it is read.

How many connections there may be, and how long each may take, is `wgctl.drivers.http_stream`.
"""

from collections.abc import Callable

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wgctl.api.caller import Identify
from wgctl.api.problems import STATUSES, HttpRefusal, problem
from wgctl.core.access import Caller
from wgctl.core.pace import Pace
from wgctl.core.source import source_of

__all__ = ["MOST_BYTES", "Bounded", "Paced", "paced_by_token"]

MOST_BYTES = 2**20
"""More than any request of an operator's takes: a machine with 64 ports has about 20,000 bytes."""

# An office behind one address, or a pipeline that enrols a hundred runners at once.
_PER_S = 500.0
_AT_ONCE = 2_000.0

# Ten tokens a second are tried by who knows none; each has 256 bits.
_UNKNOWN_COST = 50.0
_UNKNOWN = 401

_TOO_MANY = "too-many-requests"
_WAIT = {"retry-after": "1"}

_AT_ONCE_S = 4
"""A token may ask at once what it may ask in so many seconds."""


class Bounded:
    """Refuses a body of more than `most_bytes`, or of no length that was told."""

    def __init__(self, app: ASGIApp, *, most_bytes: int = MOST_BYTES) -> None:
        self._app = app
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refused request here, and let the others through."""
        said = dict(scope["headers"]) if scope["type"] == "http" else {}
        if b"transfer-encoding" in said:
            name, detail = "length-required", "expected a body whose Content-Length is told"
        elif int(said.get(b"content-length", 0)) > self._most_bytes:
            name, detail = "too-large", f"expected a body of at most {self._most_bytes} bytes"
        else:
            await self._app(scope, receive, send)
            return
        await problem(STATUSES[name], name, detail)(scope, receive, send)


class Paced:
    """Refuses whoever asks too often from one source; to ask as nobody counts as much as 50."""

    def __init__(self, app: ASGIApp, *, clock: Callable[[], float]) -> None:
        """Pace `app`; `clock` gives seconds, and never goes back."""
        self._app = app
        self._clock = clock
        self._pace = Pace(per_s=_PER_S, burst=_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refused request here, and let the others through."""
        source = source_of(scope["client"][0])

        async def noted(message: Message) -> None:
            if message.get("status") == _UNKNOWN:
                self._pace.admit(source, now=self._clock(), cost=_UNKNOWN_COST)
            await send(message)

        # As nobody knows yet who asks, there must be enough for the worst.
        if self._pace.has(source, now=self._clock(), cost=_UNKNOWN_COST):
            self._pace.admit(source, now=self._clock())
            await self._app(scope, receive, noted)
            return
        detail = "more requests from there than are answered: wait"
        refused = problem(STATUSES[_TOO_MANY], _TOO_MANY, detail, headers=_WAIT)
        await refused(scope, receive, send)


def paced_by_token(identify: Identify, *, per_s: float, clock: Callable[[], float]) -> Identify:
    """Return what also refuses a token that asks more than `per_s` times a second.

    Narrower ones that were made of it count as the same. `clock` gives seconds and never goes back.
    """
    pace = Pace(per_s=per_s, burst=per_s * _AT_ONCE_S)

    async def identify_in_time(request: Request) -> Caller:
        caller = await identify(request)
        if caller.token is not None and not pace.admit(caller.token.id, now=clock()):
            detail = f"more requests with token {caller.token.name!a} than are answered: wait"
            raise HttpRefusal(_TOO_MANY, detail, headers=_WAIT)
        return caller

    return identify_in_time
