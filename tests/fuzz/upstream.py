"""What must hold of every message that an upstream sends, from bytes to the reply passed on.

Who makes up messages is `tests.fuzz.__main__`; where they come from is `wgctl.drivers.upstream`.
"""

import struct
import time
from collections.abc import Iterator

import dns.name

from wgctl.core.forward import answer
from wgctl.core.forward.answer import Answer
from wgctl.core.forward.question import Question, pack, spell
from wgctl.core.wire import Edns, Qtype, Query, pack_reply

__all__ = ["KNOWN", "MOST_CPU_S", "check", "check_answer"]

MOST_CPU_S = 0.010
"""What one message may cost, instrumented as it is when it is made up."""

_CNAME, _DNAME, _HTTPS = 5, 39, 65
_TYPES = (1, Qtype.AAAA, _HTTPS, Qtype.ANY, Qtype.SRV, _CNAME, Qtype.TXT, Qtype.PTR)
_NAME = b"\3www\7example\0"
_ID, _WHOLE, _DO = 7, 0x08, 0x10
_HEADER = struct.Struct("!6H")
_RECORD_TAIL = struct.Struct("!HHIH")
_QUESTION_TAIL_BYTES = 4
_COUNTS_BYTES = 8
_MOST_TTL_S = 86_400
_TRIES = 5


def check(data: bytes) -> None:
    """Read what `data` says, and raise AssertionError unless it may be passed on.

    Its first octet chooses the question, and whether the rest is the whole message or what stands
    between the id and the question, and behind that: the right ones are hard to hit upon.
    """
    if len(data) <= _COUNTS_BYTES:
        return
    choice, rest = data[0], data[1:]
    question = Question(_NAME, _TYPES[choice % len(_TYPES)], dnssec_ok=bool(choice & _DO))
    asked = pack(question, spell(question, bits=0), id_=_ID)
    end = _HEADER.size + len(_NAME) + _QUESTION_TAIL_BYTES
    body = rest[:2] + b"\0\1" + rest[2:_COUNTS_BYTES] + asked[_HEADER.size : end]
    message = rest if choice & _WHOLE else asked[:2] + body + rest[_COUNTS_BYTES:]
    found = _timed(message, question, asked)
    if isinstance(found, Answer):
        check_answer(found, question, asked[_HEADER.size : end])


def check_answer(found: Answer, question: Question, octets: bytes) -> None:
    """Raise AssertionError unless `found` may be passed on to who asked `question`, as `octets`."""
    query = Query(9, 0x0100, (), question.type, 1, octets, Edns(1232, question.dnssec_ok))
    reply = answer.reply_of(found, age_s=1, stale=False)
    packed = pack_reply(query, reply, stream=True, forwards=True)
    assert 0 <= found.ttl_s <= _MOST_TTL_S
    leads_to = [dns.name.from_wire(question.name, 0)[0]]
    above: list[dns.name.Name] = []
    for owner, type_, ttl_s, data in _answers(packed):
        assert ttl_s <= _MOST_TTL_S, "kept for too long"
        assert type_ != Qtype.AAAA or not _ours(data), "an address of ours"
        if type_ == _CNAME:
            leads_to.append(dns.name.from_wire(packed, packed.index(data))[0])
        elif type_ == _DNAME:
            above.append(owner)
        assert owner in leads_to or any(map(leads_to[-1].is_subdomain, above)), "of another name"


def _ours(address: bytes) -> bool:
    return address[:1] == b"\xfd"


def _timed(message: bytes, question: Question, asked: bytes) -> object:
    """Return what was read; a message that is slow by itself is so each time."""
    for _ in range(_TRIES):
        began = time.thread_time()
        found = answer.read(message, question, asked=asked, ours=_ours)
        if time.thread_time() - began <= MOST_CPU_S:
            return found
    raise AssertionError(f"more than {MOST_CPU_S} s, {_TRIES} times")


def _answers(packed: bytes) -> Iterator[tuple[dns.name.Name, int, int, bytes]]:
    """Yield owner, type, TTL and data of the answers; dnspython would judge all data by its type.

    Raises AssertionError unless the records of all sections end where the message does.
    """
    _, _, _, answers, *others = _HEADER.unpack_from(packed)
    at = _HEADER.size + dns.name.from_wire(packed, _HEADER.size)[1] + _QUESTION_TAIL_BYTES
    for number in range(answers + sum(others)):
        owner, length = dns.name.from_wire(packed, at)
        type_, _, ttl_s, data_bytes = _RECORD_TAIL.unpack_from(packed, at + length)
        at += length + _RECORD_TAIL.size + data_bytes
        if number < answers:
            yield owner, type_, ttl_s, packed[at - data_bytes : at]
    assert at == len(packed), "cut"


def _message(*records: bytes, flags: int = 0x8180, choice: int = 0) -> bytes:
    header = struct.pack("!4H", flags, len(records), 0, 0)
    return bytes([choice]) + header + b"".join(records)


def _record(type_: int, data: bytes, owner: bytes = b"\xc0\x0c") -> bytes:
    return owner + struct.pack("!HHIH", type_, 1, 60, len(data)) + data


KNOWN: list[tuple[str, bytes]] = [
    ("an address", _message(_record(1, bytes(4)))),
    ("an address of ours", _message(_record(28, b"\xfd" + bytes(15)), choice=1)),
    ("an alias", _message(_record(5, b"\1b\xc0\x10"), _record(1, bytes(4), b"\1b\xc0\x10"))),
    ("an alias of itself", _message(_record(5, b"\xc0\x0c"))),
    ("an alias of a name of ours", _message(_record(5, b"\3web\x08internal\0"))),
    ("a hint of ours", _message(_record(65, b"\0\1\0\0\6\0\x10\xfd" + bytes(15)), choice=2)),
    ("a service of ours", _message(_record(65, b"\0\0\3web\x08internal\0"), choice=2)),
    ("no such name", _message(flags=0x8183)),
    ("truncated", _message(flags=0x8380)),
]
"""Messages to begin with."""
