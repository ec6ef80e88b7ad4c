"""Requests over a real Unix socket, with a server that answers as it is told."""

import io
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.patience import HANG_S
from wgctl.client.asking import Answer, Lost, ask, download
from wgctl.client.unix_http import UnixSocket
from wgctl.core.errors import Unavailable


def request(connection: socket.socket) -> bytes:
    """A whole request: a client may send its head and its body apart."""
    with connection.makefile("rb") as stream:
        head = b"".join(iter(stream.readline, b"\r\n")) + b"\r\n"
        length = re.search(rb"Content-Length: (\d+)", head)
        return head + stream.read(int(length[1]) if length else 0)


@contextmanager
def server(path: Path, reply: bytes) -> Iterator[list[bytes]]:
    """Answer one request with `reply`, then hang up; give what was asked."""
    asked: list[bytes] = []
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            asked.append(request(connection))
            connection.sendall(reply)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield asked
    finally:
        thread.join(HANG_S)
        listener.close()


def test_status_and_body_come_back(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with server(path, b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok") as asked:
        answer = ask(
            UnixSocket(path), "POST", "/v1/orgs?a=b", body='{"slug":"acme"}', timeout_s=HANG_S
        )

    assert answer == Answer(201, b"ok")
    assert asked[0].startswith(b"POST /v1/orgs?a=b HTTP/1.1\r\n")
    assert b"Content-Type: application/json\r\n" in asked[0]
    assert asked[0].endswith(b'{"slug":"acme"}')


@pytest.mark.parametrize(("status", "good"), [(200, True), (204, True), (301, False), (404, False)])
def test_only_2xx_is_good(status: int, good: bool) -> None:  # noqa: FBT001
    assert Answer(status, b"").good is good


def test_nobody_at_the_socket_means_that_nothing_was_sent(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ask(UnixSocket(tmp_path / "s"), "GET", "/", body=None, timeout_s=HANG_S)


@pytest.mark.parametrize(
    "reply",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"garbage\r\n\r\n"],
    ids=["no answer", "half an answer", "no HTTP"],
)
def test_an_answer_that_is_not_whole_is_lost(tmp_path: Path, reply: bytes) -> None:
    path = tmp_path / "s"

    with server(path, reply), pytest.raises(Lost):
        ask(UnixSocket(path), "POST", "/", body="{}", timeout_s=HANG_S)


def test_what_is_downloaded_is_written_and_a_refusal_is_not(tmp_path: Path) -> None:
    into = io.BytesIO()
    with server(tmp_path / "s", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbytes"):
        good = download(UnixSocket(tmp_path / "s"), "/v1/store", into, timeout_s=HANG_S)
    with server(tmp_path / "t", b"HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nwhy"):
        refused = download(UnixSocket(tmp_path / "t"), "/v1/store", into, timeout_s=HANG_S)

    assert (good, refused) == (Answer(200, b""), Answer(503, b"why"))
    assert into.getvalue() == b"bytes"


def test_half_a_download_is_lost(tmp_path: Path) -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
    with server(tmp_path / "s", reply), pytest.raises(Lost):
        download(UnixSocket(tmp_path / "s"), "/v1/store", io.BytesIO(), timeout_s=HANG_S)


def test_a_full_disk_is_not_blamed_on_the_controller(tmp_path: Path) -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbytes"
    with (
        server(tmp_path / "s", reply),
        Path("/dev/full").open("wb", buffering=0) as full,
        pytest.raises(Unavailable, match="No space left on device"),
    ):
        download(UnixSocket(tmp_path / "s"), "/v1/store", full, timeout_s=HANG_S)
