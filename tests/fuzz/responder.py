"""What must hold of every message that a stranger sends to the resolver, from bytes to bytes.

Who makes up messages is `tests.fuzz.__main__`, and `known` beside this file has those that it once
went wrong with.
"""

import struct
import time
import zlib

import dns.flags
import dns.message

from tests.core.replies import CROWD, SICK, VIEW
from tests.fuzz.known import KNOWN
from wgctl.core import responder
from wgctl.core.forward.question import pack, question_of, spell
from wgctl.core.responder import Forward
from wgctl.core.wire import UDP_PAYLOAD_BYTES

__all__ = ["KNOWN", "MOST_CPU_S", "check", "check_reply"]

MOST_CPU_S = 0.010
"""What one message may cost, instrumented as it is when it is made up."""

_VIEWS = (VIEW, SICK, CROWD, VIEW)
_HEADER_BYTES, _LEAST_PAYLOAD_BYTES = 12, 512
_QR, _FORWARDS, _STREAM, _TURNS = 0x80, 0x04, 0x08, 4
_TRIES = 5
_HEADER = struct.Struct("!6H")
_QUESTION_TAIL_BYTES = 4
# dnspython takes ten times as long as all the rest. Chosen by the message, so that what fails once
# fails again.
_READ_ONE_OF = 8


def check(data: bytes) -> None:
    """Ask what `data` says, and raise AssertionError unless the reply is one that may be sent.

    Its first octet chooses the network, whether there are upstreams, the transport and the turn;
    the message is the rest.
    """
    if data:
        choice, message = data[0], data[1:]
        thorough = zlib.crc32(message) % _READ_ONE_OF == 0
        check_reply(message, _timed(choice, message), choice=choice, thorough=thorough)


def check_reply(
    message: bytes, reply: bytes | Forward | None, *, choice: int, thorough: bool = True
) -> None:
    """Raise AssertionError unless `reply` is one that may be sent to `message`.

    With `thorough` dnspython reads it too.
    """
    silent = len(message) < _HEADER_BYTES or message[2] & _QR
    assert not silent or reply is None, "a reply to what wants none"
    assert silent or reply is not None, "silence to a query"
    match reply:
        case Forward(query):
            assert choice & _FORWARDS, "forwarded to nobody"
            question = question_of(query)
            spelled = spell(question, bits=choice)
            asked = dns.message.from_wire(pack(question, spelled, id_=7))
            assert (asked.id, len(asked.question)) == (7, 1), "another question to an upstream"
        case bytes():
            stream = bool(choice & _STREAM)
            _check_octets(message, reply, stream=stream)
            if thorough and len(reply) > _HEADER_BYTES:
                _check_read(reply, stream=stream)


def _timed(choice: int, message: bytes) -> bytes | Forward | None:
    """Return the reply; a message that is slow by itself is so each time."""
    for _ in range(_TRIES):
        began = time.thread_time()
        reply = responder.respond(
            message,
            view=_VIEWS[choice % len(_VIEWS)],
            forwards=bool(choice & _FORWARDS),
            stream=bool(choice & _STREAM),
            turn=choice >> _TURNS,
        )
        if time.thread_time() - began <= MOST_CPU_S:
            return reply
    raise AssertionError(f"more than {MOST_CPU_S} s, {_TRIES} times")


def _check_octets(message: bytes, reply: bytes, *, stream: bool) -> None:
    id_, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(reply)
    assert id_ == int.from_bytes(message[:2], "big"), "another id"
    assert reply[2] & _QR, "no reply"
    assert (reply[2] ^ message[2]) & 0x78 == 0, "another opcode"
    assert len(reply) <= (65_535 if stream else UDP_PAYLOAD_BYTES), "too long"
    if not questions:
        assert flags & 0x000F or additionals, "no question, and no error"
    else:
        question = reply[_HEADER_BYTES : _question_end(reply)]
        assert message[_HEADER_BYTES:].startswith(question), "another question"
    if len(reply) == _HEADER_BYTES:
        assert (answers, authorities, additionals) == (0, 0, 0), "a header that promises more"
    if flags & dns.flags.TC:
        assert (answers, authorities) == (0, 0), "truncated, and with records"


def _check_read(reply: bytes, *, stream: bool) -> None:
    read = dns.message.from_wire(reply)
    assert read.question or read.rcode() != 0, "no question, and no error"
    assert stream or read.edns >= 0 or len(reply) <= _LEAST_PAYLOAD_BYTES, "too long without EDNS"


def _question_end(reply: bytes) -> int:
    at = _HEADER_BYTES
    while reply[at]:
        at += 1 + reply[at]
    return at + 1 + _QUESTION_TAIL_BYTES
