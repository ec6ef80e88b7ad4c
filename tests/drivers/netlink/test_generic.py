"""Against the family that lists the families, which every kernel has."""

import errno
from collections.abc import Callable

import pytest

from wgctl.drivers.netlink import generic
from wgctl.drivers.netlink.attributes import pack, unpack

CONTROL = "nlctrl"
GET_FAMILY = 3
NAME = 2


def test_a_family_is_there_or_not() -> None:
    assert generic.has_family(CONTROL)
    assert not generic.has_family("no such family")
    assert not generic.has_family("x" * 100)


def test_a_dump_tells_everything() -> None:
    told = [dict(unpack(one)) for one in generic.dump(CONTROL, GET_FAMILY, b"", read=list)]

    assert CONTROL.encode() + b"\0" in [one[NAME] for one in told]
    assert len(told) > 1


def test_a_refusal_has_the_kernels_code() -> None:
    with pytest.raises(OSError, match=r".") as caught:
        generic.ask(CONTROL, GET_FAMILY, [pack(NAME, b"no such family\0")])

    assert caught.value.errno == errno.ENOENT


def test_a_command_that_the_family_does_not_have_is_refused() -> None:
    with pytest.raises(OSError, match=r".") as caught:
        generic.ask(CONTROL, 99, [b""])

    assert caught.value.errno == errno.EOPNOTSUPP


@pytest.mark.parametrize(
    "work",
    [
        lambda: generic.ask("no such family", 0, [b""]),
        lambda: generic.dump("no such family", 0, b"", read=list),
    ],
)
def test_without_the_family_nothing_is_asked(work: Callable[[], object]) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        work()

    assert caught.value.errno == errno.ENOENT
