"""A peer's program asks a server that says what the test wants, and keeps what it was asked."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from wgctl.client.internal import InternalApi
from wgctl.core.errors import Conflict, Refusal, Unavailable
from wgctl.core.lease_schema import NewLease, Renewal

HOLDER = "0123456789abcdef" * 2
NEW = NewLease(app="web", name="one", holder=HOLDER)
MACHINE: dict[str, object] = {
    "name": "one",
    "app": "web",
    "org": "acme",
    "network": "default",
    "peer": "laptop",
    "address": "::1",
    "region": "ams",
    "process_group": "app",
    "ports": [],
    "metadata": {},
    "state": "started",
    "check": None,
    "health": None,
    "lease": {"ttl_s": 15, "ends_at": None, "healthy": None},
    "created_at": "2027-01-15T08:00:00Z",
}


@dataclass
class Server:
    """What is answered, and what was asked."""

    port: int
    status: int = 200
    body: bytes = b""
    asked: list[tuple[str, str, str | None, str | None, object]] = field(default_factory=list)

    @property
    def api(self) -> InternalApi:
        return InternalApi(lambda: ("::1", self.port), timeout_s=5)


class _Listener(ThreadingHTTPServer):
    address_family = socket.AF_INET6


@pytest.fixture
def server() -> Iterator[Server]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        said = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        host, proof = handler.headers.get("Host"), handler.headers.get("Wgctl-Request")
        body = json.loads(said) if said else None
        made.asked.append((handler.command, handler.path, host, proof, body))
        handler.send_response(made.status)
        handler.send_header("Content-Length", str(len(made.body)))
        handler.end_headers()
        handler.wfile.write(made.body)

    silent = {"log_message": lambda *_: None}
    verbs = dict.fromkeys(("do_POST", "do_PUT", "do_DELETE"), answer)
    handler = type("Handler", (BaseHTTPRequestHandler,), {**verbs, **silent})
    with _Listener(("::1", 0), handler) as listener:
        made = Server(listener.server_port)
        thread = threading.Thread(target=listener.serve_forever, args=(0.02,))
        thread.start()
        yield made
        listener.shutdown()
        thread.join()


def test_it_asks_as_the_peers_own_program(server: Server) -> None:
    """Under the name of the API, and with the header that no page of a browser can send."""
    server.body = json.dumps(MACHINE).encode()
    machine = server.api.announce(NEW)
    server.status, server.body = 204, b""
    server.api.renew("one", Renewal(holder=HOLDER, healthy=False))
    server.api.withdraw("one", HOLDER)

    assert machine.name == "one"
    lease, proof = "/v1/machines/one/lease", ("_api.internal", "1")
    assert server.asked == [
        ("POST", "/v1/machines", *proof, NEW.model_dump(mode="json")),
        ("PUT", lease, *proof, {"holder": HOLDER, "healthy": False}),
        ("DELETE", f"{lease}?holder={HOLDER}", *proof, None),
    ]


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (409, b'{"type":"conflict","title":"","status":409,"detail":"taken"}', Conflict, "taken"),
        (502, b"<html>", Refusal, "answered 502 without a reason"),
        (200, b"{}", Refusal, "not what this wgctl expects"),
    ],
)
def test_what_it_is_answered_otherwise_is_a_refusal(
    server: Server, status: int, body: bytes, kind: type[Exception], said: str
) -> None:
    server.status, server.body = status, body

    with pytest.raises(kind, match=said):
        server.api.announce(NEW)


@pytest.mark.parametrize(
    "ask",
    [
        lambda api: api.announce(NEW),
        lambda api: api.renew("one", Renewal(holder=HOLDER)),
        lambda api: api.withdraw("one", HOLDER),
    ],
)
def test_nobody_there_is_unavailable(ask: Callable[[InternalApi], object]) -> None:
    with socket.socket(socket.AF_INET6) as held:
        held.bind(("::1", 0))
        port = held.getsockname()[1]
        with pytest.raises(Unavailable, match="no answer from"):
            ask(InternalApi(lambda: ("::1", port)))
