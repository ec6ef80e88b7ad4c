"""HTTP connections on which an answer whose length is told goes out whole, and not head first.

Head and body by themselves would be two records of TLS and two packets, and the kernel would be
asked twice to send.
"""

from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["Whole"]


class Whole(H11Protocol):
    """A connection that waits with an answer's head for the beginning of its body.

    One of no length that was told goes out head first: its body may be long in coming.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what uvicorn gives to its own."""
        super().__init__(*args, **kwargs)
        most = self.config.h11_max_incomplete_event_size
        self.conn = _Connection(h11.SERVER) if most is None else _Connection(h11.SERVER, most)


class _Connection(h11.Connection):
    _head = b""

    def send(self, event: h11.Event) -> bytes | None:  # type: ignore[override]  # one for all that h11 overloads
        octets = super().send(event)
        if octets is None:
            return None
        if isinstance(event, h11.Response) and _tells_length(event):
            self._head = octets
            return b""
        whole, self._head = self._head + octets, b""
        return whole


def _tells_length(answer: h11.Response) -> bool:
    return any(name == b"content-length" for name, _ in answer.headers)
