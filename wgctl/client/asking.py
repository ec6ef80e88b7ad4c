"""One HTTP request, with the standard library alone, whichever way the controller is reached.

It loads in a quarter of the time of an HTTP client with pools, which a command that asks once has
no use for. What is asked is `wgctl.client.api`.
"""

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Protocol

from wgctl.core.errors import Refusal, Unavailable

__all__ = ["Answer", "Lost", "Way", "ask", "download"]

_CHUNK_BYTES = 256 * 1024


class Way(Protocol):
    """How the controller is reached; as text it says where."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What each request says of the asker."""

    def opened(self, *, timeout_s: float) -> http.client.HTTPConnection:
        """Return a connection that is there; raises OSError when there can be none."""

    def unreached(self, error: OSError) -> Refusal:
        """Return what to tell of a connection that there could not be."""


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


def ask(way: Way, method: str, target: str, *, body: str | None, timeout_s: float) -> Answer:
    """Send one request, with `body` as JSON; return its answer.

    Raises OSError when the controller cannot be reached: then nothing was sent. Raises Lost when
    there was no whole answer within `timeout_s` for each step.
    """
    with _asked(way, method, target, body=body, timeout_s=timeout_s) as response:
        return Answer(response.status, response.read())


def download(way: Way, target: str, into: IO[bytes], *, timeout_s: float) -> Answer:
    """GET `target`, and write the body of a good answer to `into`; return the answer without it.

    Raises as `ask` does, and Unavailable when it cannot be written.
    """
    with _asked(way, "GET", target, body=None, timeout_s=timeout_s) as response:
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
    way: Way, method: str, target: str, *, body: str | None, timeout_s: float
) -> Iterator[http.client.HTTPResponse]:
    connection = way.opened(timeout_s=timeout_s)
    try:
        said = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, target, body=body, headers={**way.headers, **said})
        yield connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise Lost(type(error).__name__) from error
    finally:
        connection.close()
