"""One HTTP request over a Unix socket, with the standard library alone.

It loads in a quarter of the time of an HTTP client with pools and TLS, which a command that asks
once over a local socket has no use for. What is asked is `wgctl.client.api`.
"""

import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wgctl.core.errors import Unavailable

__all__ = ["Answer", "Lost", "ask", "download"]

_HOST = "controller"
_CHUNK_BYTES = 256 * 1024


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
    with _asked(path, method, target, body=body, timeout_s=timeout_s) as response:
        return Answer(response.status, response.read())


def download(path: Path, target: str, into: IO[bytes], *, timeout_s: float) -> Answer:
    """GET `target`, and write the body of a good answer to `into`; return the answer without it.

    Raises as `ask` does, and Unavailable when it cannot be written.
    """
    with _asked(path, "GET", target, body=None, timeout_s=timeout_s) as response:
        if response.status != http.client.OK:
            return Answer(response.status, response.read())
        while chunk := response.read(_CHUNK_BYTES):
            _write(into, chunk)
        # Reading in parts, http.client does not say that the end came too soon.
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        return Answer(response.status, b"")


def _write(into: IO[bytes], chunk: bytes) -> None:
    try:
        into.write(chunk)
    except OSError as error:
        raise Unavailable(f"what was asked for cannot be written: {error.strerror}") from error


@contextmanager
def _asked(
    path: Path, method: str, target: str, *, body: str | None, timeout_s: float
) -> Iterator[http.client.HTTPResponse]:
    connection = _UnixConnection(path, timeout_s=timeout_s)
    try:
        connection.connect()
        try:
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, target, body=body, headers=headers)
            yield connection.getresponse()
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
