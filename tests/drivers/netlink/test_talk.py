"""Against the kernel's list of links, which every network namespace has."""

import errno
import struct

import pytest

from wgctl.drivers.netlink.messages import ACK, DUMP, Message
from wgctl.drivers.netlink.talk import exchange, opened, patiently

ROUTE = 0
SHOW_LINK = 18


def link(index: int) -> bytes:
    return struct.pack("=BxHiII", 0, 0, index, 0, 0)


def test_one_is_answered_with_one_and_a_list_with_all() -> None:
    with opened(ROUTE) as talking:
        (lo,) = exchange(talking, Message(SHOW_LINK, ACK, 1, link(1)))
    with opened(ROUTE) as talking:
        everything = exchange(talking, Message(SHOW_LINK, ACK | DUMP, 1, link(0)))

    assert struct.unpack_from("=BxHiII", lo)[2] == 1
    assert [struct.unpack_from("=BxHiII", one)[2] for one in everything].count(1) == 1


def test_a_refusal_has_the_kernels_code() -> None:
    with opened(ROUTE) as talking, pytest.raises(OSError, match=r".") as caught:
        exchange(talking, Message(SHOW_LINK, ACK, 1, link(0x7FFFFFFF)))

    assert caught.value.errno == errno.ENODEV


@pytest.mark.parametrize(
    ("code", "asked"), [(errno.EINTR, 5), (errno.ENOBUFS, 5), (errno.EPERM, 1)]
)
def test_what_changed_meanwhile_is_asked_for_again(code: int, asked: int) -> None:
    tries = []

    def ask() -> None:
        tries.append(code)
        raise OSError(code, "refused")

    with pytest.raises(OSError, match="refused"):
        patiently(ask)
    assert len(tries) == asked
