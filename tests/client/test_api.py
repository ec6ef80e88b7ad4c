import gc
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from peers.keys import PublicKey
from tests.patience import HANG_S
from wgctl.client.api import Client
from wgctl.client.unix_http import UnixSocket
from wgctl.core.errors import (
    REFUSALS,
    Conflict,
    Denied,
    NotFound,
    Refusal,
    Unavailable,
)
from wgctl.core.schema import Gateway, NewKey, NewOrg, NewPeer

KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
ORG = {"slug": "acme", "networks": 1, "peers": 0, "created_at": "2026-11-23T12:00:00Z"}
ENROLMENT = {
    "peer": {
        "name": "alice",
        "org": "acme",
        "network": "default",
        "owner": "operator",
        "public_key": KEY,
        "address": "fdaa:0:1:10::2",
        "gateway": "ams-16",
        "created_at": "2026-11-23T12:00:00Z",
        "expires_at": None,
        "ephemeral": False,
        "tags": [],
        "online": False,
        "last_handshake": None,
        "received_bytes": 0,
        "sent_bytes": 0,
        "endpoint": None,
        "preshared_key": False,
    },
    "tunnel": {
        "address": "fdaa:0:1:10::2",
        "prefix": "fdaa:0:1::/48",
        "resolver": "fdaa:0:1::3",
        "gateway_key": KEY,
        "endpoint": "203.0.113.7:51820",
        "mtu_bytes": 1420,
    },
}
GATEWAY = {
    "name": "ams-16",
    "number": 16,
    "region": "ams",
    "endpoint": "203.0.113.7:51820",
    "public_key": KEY,
    "mtu_bytes": 1420,
    "forwards": False,
    "created_at": "2026-11-23T12:00:00Z",
    "reported_at": None,
}
NEW_PEER = NewPeer(name="alice", public_key=PublicKey.parse(KEY))

Answer = tuple[int, Any]

SLOW_S = 0.8


class Controller:
    """A script of answers on a Unix socket; None closes the connection without one."""

    def __init__(self, path: Path, answers: list[Answer | None]) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.answers_after_s = 0.0
        self._answers = iter(answers)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        if self._thread.is_alive():
            self._listener.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._listener.close()

    def answer(self, method: str, path: str, body: Any) -> Answer | None:
        self.asked.append((method, path, body))
        threading.Event().wait(self.answers_after_s)
        return next(self._answers)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            # A client that closes first is no concern of the script.
            with connection, suppress(ConnectionError):
                _Handler(connection, self)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, connection: socket.socket, controller: Controller) -> None:
        self._controller = controller
        super().__init__(connection, ("", 0), None)  # type: ignore[arg-type]  # needs no server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = json.loads(body) if body else None
        answer = self._controller.answer(self.command, self.path, asked)
        self.close_connection = True
        if answer is None:
            return
        status, document = answer
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - http.server's names

    def log_message(self, *arguments: object) -> None:
        """Say nothing: pytest has the failure."""


Start = Callable[..., Controller]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "api.sock"


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    """Start a controller that gives the answers, in that order."""
    started: list[Controller] = []

    def start(*answers: Answer | None) -> Controller:
        started.append(Controller(path, list(answers)))
        return started[-1]

    yield start
    for controller in started:
        controller.close()


@pytest.fixture
def leaks_allowed() -> Iterator[None]:
    """httpcore2 leaves a Unix socket that could not connect to the collector, which complains."""
    yield
    gc.collect()


forgive_leak = pytest.mark.filterwarnings(
    "ignore:.*unclosed.*:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def _problem(kind: str, status: int, detail: str = "the reason") -> Answer:
    return status, {"type": kind, "title": kind, "status": status, "detail": detail}


def test_an_answer_becomes_its_shape(path: Path, start: Start) -> None:
    controller = start((201, ORG))

    client = Client(path)
    added = client.add_org(NewOrg(slug="acme"))

    assert added.model_dump(mode="json") == ORG
    assert controller.asked == [("POST", "/v1/orgs", {"slug": "acme"})]


def test_a_list_is_read_to_its_end(path: Path, start: Start) -> None:
    parts = [[{**ORG, "slug": f"org-{number}"}] for number in range(3)]
    controller = start(
        (200, {"items": parts[0], "next": "a.1"}),
        (200, {"items": parts[1], "next": "b&c"}),
        (200, {"items": parts[2], "next": None}),
    )

    client = Client(path)
    found = client.orgs()

    assert [org.slug for org in found] == ["org-0", "org-1", "org-2"]
    assert [asked[1] for asked in controller.asked] == [
        "/v1/orgs?limit=1000",
        "/v1/orgs?limit=1000&cursor=a.1",
        "/v1/orgs?limit=1000&cursor=b%26c",
    ]


@pytest.mark.parametrize(
    ("use", "path_asked"),
    [
        (
            lambda c: c.offered_gateway("acme", "ci", needs_forwarding=False),
            "/v1/orgs/acme/networks/ci/gateway",
        ),
        (
            lambda c: c.offered_gateway("acme", "ci", needs_forwarding=True),
            "/v1/orgs/acme/networks/ci/gateway?needs_forwarding=true",
        ),
        (
            lambda c: c.gateway_of_peer("acme", "ci", "alice"),
            "/v1/orgs/acme/peers/alice/gateway?network=ci",
        ),
    ],
)
def test_a_gateway_is_shown_before_a_key_is_sealed_to_it(
    path: Path, start: Start, use: Callable[[Client], Gateway], path_asked: str
) -> None:
    controller = start((200, GATEWAY))

    shown = use(Client(path))

    assert shown.model_dump(mode="json") == GATEWAY
    assert controller.asked == [("GET", path_asked, None)]


@pytest.mark.parametrize(
    ("use", "asked"),
    [
        (lambda c: c.remove_org("acme"), ("DELETE", "/v1/orgs/acme")),
        (lambda c: c.remove_network("acme", "ci"), ("DELETE", "/v1/orgs/acme/networks/ci")),
        (
            lambda c: c.remove_peer("acme", "ci", "alice"),
            ("DELETE", "/v1/orgs/acme/peers/alice?network=ci"),
        ),
        (
            lambda c: c.remove_app("acme", "ci", "web"),
            ("DELETE", "/v1/orgs/acme/apps/web?network=ci"),
        ),
        (
            lambda c: c.remove_machine("acme", "ci", "web-1"),
            ("DELETE", "/v1/orgs/acme/machines/web-1?network=ci"),
        ),
        (lambda c: c.remove_org("../x/?#"), ("DELETE", "/v1/orgs/..%2Fx%2F%3F%23")),
    ],
)
def test_a_removal_asks_for_just_that(
    path: Path, start: Start, use: Callable[[Client], None], asked: tuple[str, str]
) -> None:
    controller = start((204, b""))

    client = Client(path)
    use(client)

    assert [(method, target) for method, target, _ in controller.asked] == [asked]


@pytest.mark.parametrize("kind", list(REFUSALS), ids=lambda kind: kind.__name__)
def test_a_problem_becomes_the_refusal_it_was(
    path: Path, start: Start, kind: type[Exception]
) -> None:
    codes = REFUSALS[kind]
    start(_problem(codes.name, codes.status))

    client = Client(path)
    with pytest.raises(kind, match=r"^the reason$"):
        client.org("acme")


def test_a_problem_of_no_known_kind_is_a_failure_with_its_reason(path: Path, start: Start) -> None:
    start(_problem("internal", 500))

    client = Client(path)
    with pytest.raises(Refusal, match=r"^the reason$") as caught:
        client.org("acme")

    assert type(caught.value) is Refusal


@pytest.mark.parametrize("body", [b"<html>", b"", b"{}", b"[1]"])
def test_an_error_without_a_reason_is_a_failure(path: Path, start: Start, body: bytes) -> None:
    start((502, body))

    client = Client(path)
    with pytest.raises(Refusal, match="answered 502 without a reason"):
        client.org("acme")


@pytest.mark.parametrize("body", [b"", b"{}", json.dumps({**ORG, "new_field": 1}).encode()])
def test_an_answer_of_another_version_is_named_as_that(
    path: Path, start: Start, body: bytes
) -> None:
    start((200, body))

    client = Client(path)
    with pytest.raises(Refusal, match="use the wgctl that the controller"):
        client.org("acme")


@forgive_leak
@pytest.mark.usefixtures("leaks_allowed")
@pytest.mark.parametrize("stale", [False, True])
def test_nobody_at_the_socket_names_the_command_that_starts_it(
    path: Path,
    stale: bool,  # noqa: FBT001 - a case
) -> None:
    if stale:
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
    client = Client(UnixSocket(path, "wgctl --config a serve"), on_wait=pytest.fail)

    for use in (client.status, lambda: client.add_peer("acme", NEW_PEER)):
        with pytest.raises(Unavailable, match=f"at {path}: start it with wgctl --config a serve"):
            use()


def test_a_lost_answer_of_a_query_is_unavailable(path: Path, start: Start) -> None:
    controller = start(None)

    client = Client(path)
    with pytest.raises(Unavailable, match="gave no answer"):
        client.status()

    assert len(controller.asked) == 1


@pytest.mark.parametrize("lost", [None, _problem("unavailable", 503)])
def test_a_lost_answer_of_adding_a_peer_is_asked_for_again_with_the_same_key(
    path: Path, start: Start, lost: Answer | None
) -> None:
    controller = start(lost, lost, (200, ENROLMENT))
    told: list[str] = []

    client = Client(path, on_wait=told.append)
    enrolment = client.add_peer("acme", NEW_PEER)

    assert str(enrolment.peer.address) == "fdaa:0:1:10::2"
    assert [asked[2]["public_key"] for asked in controller.asked] == [KEY] * 3
    assert len(told) == 1


def test_a_lost_answer_of_a_rekey_is_asked_for_again(path: Path, start: Start) -> None:
    controller = start(None, (200, ENROLMENT))

    client = Client(path)
    client.rekey_peer("acme", "ci", "alice", NewKey(public_key=PublicKey.parse(KEY)))

    assert [asked[:2] for asked in controller.asked] == [
        ("PUT", "/v1/orgs/acme/peers/alice/key?network=ci")
    ] * 2


@forgive_leak
@pytest.mark.usefixtures("leaks_allowed")
def test_a_controller_that_ends_before_it_answers_is_waited_for(path: Path, start: Start) -> None:
    first = start(None)
    restarted = threading.Event()

    def start_again() -> None:
        start((201, ENROLMENT))
        restarted.set()

    def restart(_reason: str) -> None:
        first.close()
        path.unlink()
        threading.Timer(0.5, start_again).start()

    client = Client(path, on_wait=restart)
    enrolment = client.add_peer("acme", NEW_PEER)

    assert restarted.wait(HANG_S)
    assert enrolment.peer.name == "alice"


def test_a_slow_answer_is_waited_for_longer_than_a_lost_one_is_asked_for_again(
    path: Path, start: Start
) -> None:
    controller = start((201, ENROLMENT))
    controller.answers_after_s = SLOW_S

    Client(path, patience_s=0.0).add_peer("acme", NEW_PEER)

    assert len(controller.asked) == 1


def test_patience_ends_with_what_may_have_happened(path: Path, start: Start) -> None:
    start(*[None] * 100)

    client = Client(path, patience_s=0.5)
    with (
        pytest.raises(Unavailable, match="peer 'alice' may have the new key by now"),
    ):
        client.add_peer("acme", NEW_PEER)


def test_patience_with_a_controller_that_is_not_ready_ends_with_its_reason(
    path: Path, start: Start
) -> None:
    start(*[_problem("unavailable", 503, "no gateway has registered yet")] * 100)

    client = Client(path, patience_s=0.5)
    with (
        pytest.raises(Unavailable, match=r"^no gateway has registered yet$"),
    ):
        client.add_peer("acme", NEW_PEER)


@pytest.mark.parametrize("kind", [Conflict, NotFound, Denied])
def test_a_refusal_is_an_answer_and_is_not_asked_for_again(
    path: Path, start: Start, kind: type[Exception]
) -> None:
    codes = REFUSALS[kind]
    controller = start(_problem(codes.name, codes.status))

    client = Client(path)
    with pytest.raises(kind):
        client.add_peer("acme", NEW_PEER)

    assert len(controller.asked) == 1
