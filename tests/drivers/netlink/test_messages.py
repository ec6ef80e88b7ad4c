import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgctl.drivers.netlink.attributes import pack
from wgctl.drivers.netlink.messages import ACK, DUMP, Answer, Message, join, split

MULTI, INTERRUPTED, TEXTS = 0x2, 0x10, 0x200
ERROR, DONE = 2, 3

BODIES = st.lists(st.binary(max_size=30), max_size=6)


def message(body: bytes, *, kind: int = 28, flags: int = MULTI, sequence: int = 7) -> bytes:
    data = join(Message(kind, flags, sequence, body))
    return data + bytes(-len(data) % 4)


def end(code: int = 0, *, kind: int = DONE, flags: int = MULTI, more: bytes = b"") -> bytes:
    return message(struct.pack("=i", -code) + more, kind=kind, flags=flags)


def test_a_request_is_laid_out_as_the_kernel_wants_it() -> None:
    sent = join(Message(28, DUMP, 7, b"body"))

    assert sent == struct.pack("=IHHII", 20, 28, 0x301, 7, 0) + b"body"
    assert struct.unpack_from("=H", join(Message(28, ACK, 7, b"")), 6) == (0x5,)


@given(BODIES, st.data())
def test_an_answer_is_whole_however_it_is_cut_into_datagrams(
    bodies: list[bytes], data: st.DataObject
) -> None:
    messages = [*(message(body) for body in bodies), end()]
    cut = data.draw(st.integers(0, len(messages) - 1))
    answer = Answer(7)

    first = answer.take(b"".join(messages[:cut]))
    last = answer.take(b"".join(messages[cut:]))

    assert (first, last) == (False, True)
    assert answer.bodies == bodies


def test_what_answers_another_request_is_left_out() -> None:
    answer = Answer(7)

    assert not answer.take(message(b"old", sequence=6) + message(b"", kind=DONE, sequence=6))
    assert answer.take(message(b"new") + end())
    assert answer.bodies == [b"new"]


@pytest.mark.parametrize("kind", [ERROR, DONE])
def test_a_refusal_is_raised_even_after_a_part(kind: int) -> None:
    """A dump that fails half-way has told less than there is."""
    answer = Answer(7)

    with pytest.raises(OSError, match="No such device") as caught:
        answer.take(message(b"part") + end(errno.ENODEV, kind=kind))

    assert caught.value.errno == errno.ENODEV


@pytest.mark.parametrize("where", [0, 1, 2])
def test_an_interrupted_dump_is_no_answer(where: int) -> None:
    messages = [
        message(b"one", flags=MULTI | INTERRUPTED * (where == 0)),
        message(b"two", flags=MULTI | INTERRUPTED * (where == 1)),
        end(flags=MULTI | INTERRUPTED * (where == 2)),
    ]

    with pytest.raises(InterruptedError):
        Answer(7).take(b"".join(messages))


@pytest.mark.parametrize(("kind", "repeated"), [(ERROR, bytes(16)), (DONE, b"")])
def test_a_refusal_is_told_in_the_kernels_own_words(kind: int, repeated: bytes) -> None:
    text = pack(1, b"no \x1b[31msuch thing\0")
    last = end(errno.EINVAL, kind=kind, flags=TEXTS, more=repeated + text)

    with pytest.raises(OSError, match=r"no \\x1b\[31msuch thing"):
        Answer(7).take(last)


def test_an_acknowledgement_without_a_code_is_a_whole_answer() -> None:
    assert Answer(7).take(message(b"", kind=DONE))
    assert Answer(7).take(end(kind=ERROR, flags=0, more=bytes(16)))


@pytest.mark.parametrize(
    "data",
    [b"\0" * 15, struct.pack("=IHHII", 15, 1, 0, 0, 0), struct.pack("=IHHII", 17, 1, 0, 0, 0)],
)
def test_a_message_of_a_wrong_length_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="bytes"):
        list(split(data))


@given(st.binary(max_size=80))
def test_no_datagram_hangs_or_breaks_an_answer(data: bytes) -> None:
    try:
        Answer(7).take(data)
    except (ValueError, OSError):
        return
