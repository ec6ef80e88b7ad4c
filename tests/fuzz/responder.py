"""What must hold of every message that a stranger sends to the resolver, from bytes to bytes.

Who makes up messages is `tests.fuzz.__main__`; `test_responder` beside this file has those that it
once went wrong with.
"""

import time

import dns.flags
import dns.message

from tests.core.replies import CROWD, SICK, VIEW
from wgctl.core import responder
from wgctl.core.forward.question import pack, question_of, spell
from wgctl.core.responder import Forward
from wgctl.core.wire import UDP_PAYLOAD_BYTES

__all__ = ["MOST_CPU_S", "check", "check_reply"]

MOST_CPU_S = 0.010
"""What one message may cost, instrumented as it is when it is made up."""

_VIEWS = (VIEW, SICK, CROWD, VIEW)
_HEADER_BYTES, _LEAST_PAYLOAD_BYTES = 12, 512
_QR, _FORWARDS, _STREAM, _TURNS = 0x80, 0x04, 0x08, 4
_TRIES = 5


def check(data: bytes) -> None:
    """Ask what `data` says, and raise AssertionError unless the reply is one that may be sent.

    Its first octet chooses the network, whether there are upstreams, the transport and the turn;
    the message is the rest.
    """
    if data:
        choice, message = data[0], data[1:]
        check_reply(message, _timed(choice, message), choice=choice)


def check_reply(message: bytes, reply: bytes | Forward | None, *, choice: int) -> None:
    """Raise AssertionError unless `reply` is one that may be sent to `message`."""
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
            _check_octets(message, reply, stream=bool(choice & _STREAM))


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
    assert reply[:2] == message[:2], "another id"
    assert reply[2] & _QR, "no reply"
    assert (reply[2] ^ message[2]) & 0x78 == 0, "another opcode"
    if len(reply) == _HEADER_BYTES:
        # What most made-up messages get: dnspython would take more time than all the rest.
        assert reply[3] & 0x0F, "no question, and no error"
        assert reply[4:] == bytes(8), "a header that promises more"
        return
    read = dns.message.from_wire(reply)
    limit = 65_535 if stream else UDP_PAYLOAD_BYTES
    if not stream and read.edns < 0:
        limit = _LEAST_PAYLOAD_BYTES
    assert len(reply) <= limit, "too long"
    if read.question:
        question = message[_HEADER_BYTES:]
        asked = reply[_HEADER_BYTES : _HEADER_BYTES + len(_question(read))]
        assert question.startswith(asked), "another question"
    else:
        assert read.rcode() != 0
    if read.flags & dns.flags.TC:
        assert read.answer == read.authority == [], "truncated, and with records"


def _question(read: dns.message.Message) -> bytes:
    name = read.question[0].name.to_wire()
    assert name is not None
    return name + bytes(4)
