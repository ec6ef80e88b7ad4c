"""Changes that land while others ask, and how long each takes to be answered.

Serves a resolver the feed that it follows, and commits one change after the other: a machine moves
to another peer. Each is looked for over the network until the answer has it. Runs in a process of
its own, in the client's namespace.

    python -m tests.bench.dns.changes SOCKET NETWORKS APPS SECONDS

What is printed is one line of JSON: milliseconds from a commit to its answer.
"""

import json
import random
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer

from tests.bench.dns.names import Names
from wgctl.core.feed import Commit, Kind, Put, render_line

__all__ = ["A_SECOND"]

A_SECOND = 100
_LOOK_EVERY_S = 0.001
_PATIENCE_S = 5.0
_IPV6_FREEBIND = 78


class _Feed(ThreadingMixIn, UnixStreamServer):
    """The feed of a controller, which has one follower."""

    daemon_threads = True

    def __init__(self, path: str) -> None:
        super().__init__(path, _Handler)
        self.followed = threading.Event()
        self.stream: socket.socket | None = None


class _Handler(BaseHTTPRequestHandler):
    server: _Feed

    def do_GET(self) -> None:
        """Answer with a stream of lines, which `main` writes."""
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        self.server.stream = self.connection
        self.server.followed.set()
        threading.Event().wait()

    def do_POST(self) -> None:
        """Take a report, and forget it."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        """Name whoever is at the other end of a Unix socket."""
        return "resolver"


class _Prober:
    """Asks the resolver of each network, from one of its peers."""

    def __init__(self, names: Names) -> None:
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        self._socket.settimeout(0.2)
        self._by_name = {_name(one.octets): one for one in names.queries(None)}
        self._id = 0

    def address(self, app: int) -> bytes:
        """Return the address that `app` is answered with; nothing when no answer came."""
        query = self._by_name[b"app-%d" % app]
        self._id = (self._id + 1) % 65536
        id_ = struct.pack("!H", self._id)
        source = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, query.source + bytes(4))]
        to = (socket.inet_ntop(socket.AF_INET6, query.target), 53)
        self._socket.sendmsg([id_ + query.octets], source, 0, to)
        with suppress(TimeoutError):
            while True:
                reply = self._socket.recv(512)
                if reply[:2] == id_:
                    return reply[-16:]
        return b""


def _name(octets: bytes) -> bytes:
    """Return the first label of the name that a query without its id asks for."""
    return octets[11 : 11 + octets[10]]


def main() -> None:
    """Commit changes, look for each, and print how long they took."""
    path, networks, apps, seconds = sys.argv[1:]
    names = Names(int(networks), int(apps))
    Path(path).unlink(missing_ok=True)
    feed = _Feed(path)
    threading.Thread(target=feed.serve_forever, daemon=True).start()
    prober = _Prober(names)
    if not feed.followed.wait(30) or feed.stream is None:
        raise SystemExit("the resolver does not follow")
    print(json.dumps(_changes(names, feed.stream, prober, float(seconds))))


def _changes(names: Names, stream: socket.socket, prober: _Prober, seconds: float) -> list[float]:
    """Commit changes for so long; return what each took, in milliseconds, the least first."""
    drawn = random.Random(1)  # which app is no secret
    took: list[float] = []
    revision = int(time.time())  # More than whoever served the resolver a feed before.
    begin = time.monotonic()
    while (due := begin + len(took) / A_SECOND) < begin + seconds:
        time.sleep(max(0.0, due - time.monotonic()))
        app = drawn.randrange(names.networks * names.apps) + 1
        first = (app - 1) // names.apps * names.apps + 1
        peer = drawn.randrange(first, first + names.apps)
        revision += 1
        event = Put(Kind.MACHINE, names.machine(app, peer_id=peer))
        stream.sendall(render_line(event) + render_line(Commit(revision)))
        committed, address = time.monotonic(), names.address(peer).packed
        while prober.address(app) != address:
            if time.monotonic() > committed + _PATIENCE_S:
                raise SystemExit(f"the change of app {app} was never answered")
            time.sleep(_LOOK_EVERY_S)
        took.append((time.monotonic() - committed) * 1000)
    return sorted(took)


if __name__ == "__main__":
    main()
