"""A real server with TLS for the tests of clients: it answers each request as it is told."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import takewhile
from types import MappingProxyType

from wgctl.core.authority import Certified
from wgctl.drivers.tls import server_tls, use

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


_NO_REPLIES: Mapping[str, bytes] = MappingProxyType({})


@dataclass
class Server:
    """Where it listens, and the heads of the requests that came."""

    port: int
    asked: list[bytes] = field(default_factory=list)


@contextmanager
def tls_server(
    shown: Certified, *, reply: bytes = REPLY, replies: Mapping[str, bytes] = _NO_REPLIES
) -> Iterator[Server]:
    """Show `shown`, and answer each request with that of `replies` for its path, or `reply`."""
    tls = server_tls()
    use(tls, certificate=shown.certificate, key=shown.key)
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(listener.getsockname()[1])

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with suppress(OSError), tls.wrap_socket(connection, server_side=True) as talking:
                    with talking.makefile("rb") as stream:
                        head = b"".join(takewhile(lambda line: line != b"\r\n", stream))
                    if head:
                        server.asked.append(head)
                        path = head.split(b" ")[1].decode()
                        talking.sendall(replies.get(path, reply))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        # It wakes the one that waits in accept.
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(20)
