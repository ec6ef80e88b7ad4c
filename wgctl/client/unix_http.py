"""The way to a controller on this host: a Unix socket that operators may open."""

import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wgctl.core.errors import Denied, Refusal, Unavailable

__all__ = ["UnixSocket"]

_HOST = "controller"


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """The socket at `path`; `start_command` is told to who finds nobody there."""

    path: Path
    start_command: str = "wgctl serve"

    def __str__(self) -> str:
        return str(self.path)

    @property
    def headers(self) -> Mapping[str, str]:
        """Say nothing: who may open the socket is an operator."""
        return {}

    def opened(self, *, timeout_s: float) -> http.client.HTTPConnection:
        """Connect; raises OSError."""
        connection = _Connection(self.path, timeout_s=timeout_s)
        connection.connect()
        return connection

    def unreached(self, error: OSError) -> Refusal:
        """Say who may open the socket, or how somebody comes to listen there."""
        if isinstance(error, PermissionError):
            return Denied(f"no permission to open {self}: be root, or in the group wgctl")
        return Unavailable(
            f"the controller does not answer at {self}: start it with {self.start_command}"
        )


class _Connection(http.client.HTTPConnection):
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
