import errno
import socket
import struct
from collections.abc import Iterator

import pytest

from tests.drivers.namespaces import Namespace
from wgctl.drivers.netlink import exchange
from wgctl.drivers.netlink.messages import DUMP, Message, join, padded

ROUTE = 0
NEW_LINK, DELETE_LINK, GET_LINK = 16, 17, 18
MULTI, DONE, ERROR = 0x2, 3, 2
ANY_LINK = bytes(16)
NO_SUCH_LINK = struct.pack("=BxHiII", 0, 0, 0x7FFFFFFF, 0, 0)
WORK_OF_A_SCRIPT = 28


@pytest.fixture
def kernel() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, ROUTE) as opened:
        yield opened


@pytest.fixture
def script() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end of a pair of sockets, and the end that answers what a test tells it to."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def part(body: bytes, *, kind: int = WORK_OF_A_SCRIPT, sequence: int = 1) -> bytes:
    return padded(join(Message(kind, MULTI, sequence, body)))


def end(code: int = 0) -> bytes:
    return part(struct.pack("=i", -code), kind=DONE)


def test_a_list_comes_message_by_message(kernel: socket.socket) -> None:
    listed = list(exchange.ask(kernel, Message(GET_LINK, DUMP, 1, ANY_LINK)))

    assert b"lo\0" in b"".join(listed)


def test_what_is_told_before_an_error_is_not_taken_for_all(
    script: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = script
    theirs.send(part(b"one") + part(b"two"))
    theirs.send(part(b"three") + end(errno.ENODEV))

    with pytest.raises(OSError, match="No such device") as caught:
        list(exchange.ask(ours, Message(GET_LINK, DUMP, 1, b"")))

    assert caught.value.errno == errno.ENODEV


@pytest.mark.parametrize("code", [errno.EINTR, errno.ENOBUFS])
def test_a_list_that_changed_or_was_lost_is_asked_for_again(
    script: tuple[socket.socket, socket.socket], code: int
) -> None:
    ours, theirs = script
    theirs.send(part(b"old") + end(code))
    theirs.send(part(b"new") + end())

    def ask() -> Iterator[bytes]:
        return exchange.ask(ours, Message(GET_LINK, DUMP, 1, b""))

    assert exchange.all_of(ask, list) == [b"new"]


@pytest.mark.parametrize(("code", "asked"), [(errno.EINTR, 5), (errno.ENODEV, 1)])
def test_what_stays_wrong_is_told_in_the_end(
    script: tuple[socket.socket, socket.socket], code: int, asked: int
) -> None:
    ours, theirs = script
    for _ in range(6):
        theirs.send(part(b"one") + end(code))

    with pytest.raises(OSError, match=r".") as caught:
        exchange.all_of(lambda: exchange.ask(ours, Message(GET_LINK, DUMP, 1, b"")), list)

    assert caught.value.errno == code
    theirs.setblocking(False)
    assert len([theirs.recv(100) for _ in range(asked)]) == asked
    with pytest.raises(BlockingIOError):
        theirs.recv(100)


def test_an_answer_of_another_form_is_an_error_and_not_a_wait(
    script: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = script
    theirs.send(b"nonsense")

    with pytest.raises(OSError, match="another form"):
        list(exchange.ask(ours, Message(GET_LINK, DUMP, 1, b"")))
    theirs.send(part(b"", kind=ERROR))
    with pytest.raises(OSError, match="another form"):
        exchange.take(ours, [Message(NEW_LINK, 0, 1, b"")])


def test_of_many_requests_those_refused_are_told_and_the_others_done(
    namespace: Namespace,
) -> None:
    names = [f"{namespace.interface[:9]}{n}" for n in range(3)]
    for name in names:
        namespace.shell("ip", "link", "add", name, "type", "bridge")
    links = {name: index for index, name in namespace.run(socket.if_nameindex)}

    def take() -> dict[int, int]:
        requests = [
            Message(DELETE_LINK, 0, sequence, struct.pack("=BxHiII", 0, 0, index, 0, 0))
            for sequence, index in enumerate([links[names[0]], 0x7FFFFFFF, links[names[2]]])
        ]
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, ROUTE) as opened:
            return exchange.take(opened, requests)

    assert namespace.run(take) == {1: errno.ENODEV}
    assert [name for name in names if name in namespace.shell("ip", "link")] == [names[1]]


def test_nothing_is_asked_where_there_is_nothing_to_do(kernel: socket.socket) -> None:
    assert exchange.take(kernel, []) == {}


def test_all_refusals_of_one_datagram_find_room(kernel: socket.socket) -> None:
    """In a buffer of the usual size, of which the kernel reports twice what it was asked for."""
    kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 212992 // 2)
    count = exchange.MOST_AT_ONCE
    requests = [Message(DELETE_LINK, 0, n, NO_SUCH_LINK) for n in range(count)]

    assert exchange.take(kernel, requests) == dict.fromkeys(range(count), errno.ENODEV)


def test_answers_that_find_no_room_are_an_error(kernel: socket.socket) -> None:
    """What was done is not known then, and must be read back."""
    kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    requests = [Message(DELETE_LINK, 0, n, NO_SUCH_LINK) for n in range(exchange.MOST_AT_ONCE)]

    with pytest.raises(OSError, match=r".") as caught:
        exchange.take(kernel, requests)

    assert caught.value.errno == errno.ENOBUFS
