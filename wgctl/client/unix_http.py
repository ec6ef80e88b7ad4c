"""One HTTP request over a Unix socket, with the standard library alone.

It loads in a quarter of the time of an HTTP client with pools and TLS, which a command that asks
once over a local socket has no use for. What is asked is `wgctl.client.api`.
"""

import http.client
import socket
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Answer", "Lost", "ask"]

_HOST = "controller"


class Lost(Exception):  # reads as a word, as our refusals do
    """The request was sent, and no whole answer came back: it may have been done."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The status and the body of an answer."""

    status: int
    body: bytes

    @property
    def good(self) -> bool:
        """Whether the request was met: a status of 2xx."""
        return self.status // 100 == 2  # noqa: PLR2004  # the class of a status


def ask(path: Path, method: str, target: str, *, body: str | None, timeout_s: float) -> Answer:
    """Send one request to the server at `path`, with `body` as JSON; return its answer.

    Raises OSError when the socket cannot be reached: then nothing was sent. Raises Lost when there
    was no whole answer within `timeout_s` for each step.
    """
    connection = _UnixConnection(path, timeout_s=timeout_s)
    try:
        connection.connect()
        try:
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, target, body=body, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            raise Lost(type(error).__name__) from error
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, *, timeout_s: float) -> None:
        super().__init__(_HOST, timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            opened.settimeout(self.timeout)
            opened.connect(str(self._path))
        except BaseException:
            opened.close()
            raise
        self.sock = opened
