import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv6Address

import pytest

from wgctl.drivers.own_check import answers_http, answers_tcp

_HERE = IPv6Address("::1")


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = {"/well": 204, "/moved": 302, "/ill": 503}.get(self.path)
        if status is None:
            self.wfile.write(b"nonsense\r\n\r\n")
        else:
            self.send_response(status)
            self.send_header("Location", "/well")
            self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        pass


class _Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with _Server(("::1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def closed() -> Iterator[int]:
    """A port that nobody listens on, and nobody else can take."""
    with socket.socket(socket.AF_INET6) as held:
        held.bind(("::1", 0))
        yield held.getsockname()[1]


def test_a_port_is_open_or_not(port: int, closed: int) -> None:
    assert answers_tcp(_HERE, port=port)
    assert not answers_tcp(_HERE, port=closed)


@pytest.mark.parametrize(
    ("path", "well"), [("/well", [True]), ("/moved", [False]), ("/ill", [False]), ("/x", [False])]
)
def test_only_a_status_of_2xx_is_well(port: int, path: str, well: list[bool]) -> None:
    assert [answers_http(_HERE, port=port, path=path)] == well


def test_a_server_that_is_not_there_is_not_well(closed: int) -> None:
    assert not answers_http(_HERE, port=closed, path="/well")
