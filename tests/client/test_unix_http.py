import errno
import http.client
import socket
from pathlib import Path

import pytest

from wgctl.client.unix_http import UnixSocket
from wgctl.core.errors import Denied, Unavailable


def test_a_connection_is_there_when_it_is_given(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        connection = UnixSocket(tmp_path / "s").opened(timeout_s=5.0)
        try:
            assert isinstance(connection, http.client.HTTPConnection)
            assert connection.sock.getpeername() == str(tmp_path / "s")
        finally:
            connection.close()


def test_an_operator_says_nothing_of_themselves(tmp_path: Path) -> None:
    way = UnixSocket(tmp_path / "s")

    assert way.headers == {}
    assert str(way) == str(tmp_path / "s")


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [
        (errno.EACCES, Denied, "be root, or in the group wgctl"),
        (errno.ENOENT, Unavailable, "start it with wgctl --config a serve"),
        (errno.ECONNREFUSED, Unavailable, "start it with wgctl --config a serve"),
    ],
)
def test_who_cannot_connect_hears_what_to_do(number: int, kind: type[Exception], said: str) -> None:
    way = UnixSocket(Path("/run/wgctl/api.sock"), "wgctl --config a serve")
    refusal = way.unreached(OSError(number, "x"))

    assert isinstance(refusal, kind)
    assert said in str(refusal)
