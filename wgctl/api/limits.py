"""How long a request's body may be, said before a byte of it is read.

How many connections there may be, and how long each may take, is `wgctl.drivers.http_stream`.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from wgctl.api.problems import STATUSES, problem

__all__ = ["MOST_BYTES", "Bounded"]

MOST_BYTES = 2**20
"""More than any request of an operator's takes: a machine with 64 ports has about 20,000 bytes."""


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
