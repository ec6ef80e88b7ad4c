"""What a health check asks of its machine: a connection, or a page over HTTP.

Says which port, and what is asked there. The address is no part of it: that is always the
machine's own, so that a check reaches nothing else. Who asks is `wgctl.drivers.probe`.

    tcp:8080                                a connection to the port
    http://web.internal:8080/health?full    GET of the path on the port, with this Host
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from peers.errors import Invalid, shown

__all__ = ["Page", "Target"]

_HTTP_PORT = 80
_LAST_PORT = 65535
_PORT = "[1-9][0-9]{0,4}"
_TCP = re.compile(f"tcp:({_PORT})")
# What RFC 3986 allows in a path and a query; a host is only ever sent as a header.
_PATH = r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,1023}"
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\]"
_URL = re.compile(f"http://({_HOST})(?::({_PORT}))?({_PATH})?")


class Page(NamedTuple):
    """What is asked for over HTTP: a path with its query, and the host that it is asked of."""

    host: str
    path: str


@dataclass(frozen=True, slots=True)
class Target:
    """A port of 1 to 65535, and what is asked there; `page` None: a connection is all."""

    port: int
    page: Page | None = None

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Return the target that `tcp:PORT` or an URL means; raises Invalid.

        The name in an URL is not looked up. Without a port it is 80, without a path `/`.
        """
        if match := _TCP.fullmatch(text):
            return cls(_port(match[1], text))
        if match := _URL.fullmatch(text):
            port = _port(match[2] or str(_HTTP_PORT), text)
            return cls(port, Page(match[1].lower(), match[3] or "/"))
        if text.startswith("https:"):
            raise Invalid(
                f"check {shown(text)}: https, expected http: the tunnel encrypts what is asked"
            )
        raise Invalid(f"check {shown(text)}, expected tcp:PORT or http://HOST[:PORT][/PATH]")

    @property
    def authority(self) -> str:
        """What the Host header says; empty where none is sent."""
        if self.page is None:
            return ""
        return self.page.host if self.port == _HTTP_PORT else f"{self.page.host}:{self.port}"

    @property
    def place(self) -> str:
        """Return `tcp 8080` or `http 8080`, as a report names it."""
        return f"{'tcp' if self.page is None else 'http'} {self.port}"

    def __str__(self) -> str:
        if self.page is None:
            return f"tcp:{self.port}"
        return f"http://{self.page.host}:{self.port}{self.page.path}"


def _port(digits: str, text: str) -> int:
    port = int(digits)
    if port > _LAST_PORT:
        raise Invalid(f"check {shown(text)}: port {port}, expected 1 to {_LAST_PORT}")
    return port
