"""The resolver role as a process over a copy of its own, and a controller that it follows."""

import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer

from peers.endpoint import Endpoint
from peers.names import Label
from tests.daemon.networks import ROWS, put
from tests.patience import HANG_S
from wgctl.client.resolver import Reply, ask
from wgctl.core.errors import Unavailable
from wgctl.core.feed import Event, render_line
from wgctl.core.model import Network
from wgctl.core.settings import GatewaySettings, ResolverSettings, Settings, render
from wgctl.store.copy import Copy

__all__ = ["Controller", "Home", "controller", "eventually"]


class Home:
    """The folders of one deployment, and its settings; sockets need a short path."""

    def __init__(
        self,
        folder: Path,
        *,
        interface: str | None = None,
        resolver: ResolverSettings | None = None,
    ) -> None:
        self.settings = Settings(
            state_dir=folder,
            runtime_dir=folder / "run",
            gateway=GatewaySettings(
                region=Label("ams"),
                endpoint=Endpoint("192.0.2.1", 51820),
                interface=interface or f"wr{secrets.token_hex(4)}",
            ),
            resolver=resolver or ResolverSettings(),
        )
        self.folder = folder / "resolver"
        self.folder.mkdir()
        self.settings.runtime_dir.mkdir()
        self._file = folder / "wgctl.toml"
        self._file.write_text(render(self.settings))

    def fill(self) -> None:
        copy = Copy(self.folder / "copy.sqlite")
        copy.write([put(row) for row in ROWS], epoch="e", revision=1)
        copy.close()

    @contextmanager
    def running(self, *within: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the role in a process of its own, by the command `within`, and end it."""
        code = (
            "import sys, pathlib; from wgctl.core.settings import parse\n"
            "from wgctl.core.model import Role; from wgctl.daemon.roles import run\n"
            "run(Role.RESOLVER, parse(pathlib.Path(sys.argv[1]).read_text(), origin='test'))"
        )
        with subprocess.Popen([*within, sys.executable, "-c", code, str(self._file)]) as process:
            try:
                yield process
            finally:
                process.kill()

    def ask(self, network: Network, name: str, type_: str = "AAAA") -> Reply:
        """Return what the role answers, as soon as it answers at all."""
        path = self.settings.resolver_socket
        return eventually(lambda: ask(path, asker=network.resolver, name=name, type_=type_))


def eventually(work: Callable[[], Reply]) -> Reply:
    deadline = time.monotonic() + HANG_S
    while True:
        try:
            return work()
        except Unavailable:
            assert time.monotonic() < deadline
            time.sleep(0.05)


class Controller:
    """Serves a feed and takes reports on `node.sock`, as the controller does."""

    def __init__(self, path: Path) -> None:
        self.reports: list[dict[str, object]] = []
        self._lines: list[bytes] = []
        self._grown = threading.Condition()
        self._closed = False
        self._server = _Server(str(path), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def send(self, *events: Event) -> None:
        with self._grown:
            self._lines.extend(map(render_line, events))
            self._grown.notify_all()

    def close(self) -> None:
        with self._grown:
            self._closed = True
            self._grown.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _stream(self, write: Callable[[bytes], object]) -> None:
        sent = 0
        with self._grown:
            while not self._closed:
                for line in self._lines[sent:]:
                    write(line)
                sent = len(self._lines)
                self._grown.wait()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        controller = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                with suppress(OSError):
                    controller._stream(self.wfile.write)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                controller.reports.append(json.loads(body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

            def address_string(self) -> str:
                return "role"

        return Handler


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


@contextmanager
def controller(home: Home) -> Iterator[Controller]:
    running = Controller(home.settings.node_socket)
    try:
        yield running
    finally:
        running.close()
        home.settings.node_socket.unlink()
