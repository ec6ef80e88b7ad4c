"""What is put to an upstream: the question alone, under an id and a spelling of ours.

EDNS is hop by hop (RFC 6891, section 7): of the asker's options, its client subnet among them, none
goes further. Which upstream hears it is `wgctl.core.forward.health`.
"""

import struct
from typing import NamedTuple

from wgctl.core.wire import UDP_PAYLOAD_BYTES, Qclass, Qtype, Query

__all__ = ["LIVELY", "Question", "letters", "pack", "question_of", "spell"]

_HEADER = struct.Struct("!6H")
_TAIL = struct.Struct("!HH")
_OPT = struct.Struct("!BHHIH")
_OPTION = struct.Struct("!HH")
_RD, _CD, _DO = 0x0100, 0x0010, 0x8000
_CASE = 0x20
# The bit that is the case where an octet is a letter, nothing where it is not.
_LETTERS = bytes(_CASE if ord("a") <= octet <= ord("z") else 0 for octet in range(256))
_PADDING, _BLOCK_BYTES = 12, 128  # RFC 7830; RFC 8467, section 4.1


class Question(NamedTuple):
    """What makes two questions one: name on the wire in lower case, type, DO and CD."""

    name: bytes
    type: int
    dnssec_ok: bool = False
    checking_disabled: bool = False


LIVELY = Question(b"\0", Qtype.NS)
"""What every resolver that is alive can answer (RFC 8109)."""


def question_of(query: Query) -> Question:
    """Return what `query`, of class IN, asks."""
    return Question(
        query.question[: -_TAIL.size].lower(),
        query.type,
        query.edns is not None and query.edns.dnssec_ok,
        bool(query.flags & _CD),
    )


def letters(name: bytes) -> int:
    """Return how many letters `name`, in lower case, has: so many bits its spelling can hide."""
    return name.translate(_LETTERS).count(_CASE)


def spell(question: Question, *, bits: int) -> bytes:
    """Return the question section, each letter in the case that its octet of `bits` says.

    The name's last octet has the lowest eight bits, of which one counts, 0x20: set for upper case.
    """
    name = question.name
    mask = int.from_bytes(name.translate(_LETTERS), "big") & bits
    spelled = (int.from_bytes(name, "big") ^ mask).to_bytes(len(name), "big")
    return spelled + _TAIL.pack(question.type, Qclass.IN)


def pack(question: Question, spelled: bytes, *, id_: int, padded: bool = False) -> bytes:
    """Return the message that asks `question` as `spelled`.

    With `padded` it is as long as most others are, for whoever watches an encrypted connection.
    """
    flags = _RD | (_CD if question.checking_disabled else 0)
    header = _HEADER.pack(id_, flags, 1, 0, 0, 1)
    options = b""
    if padded:
        bare = _HEADER.size + len(spelled) + _OPT.size + _OPTION.size
        rest = -bare % _BLOCK_BYTES
        options = _OPTION.pack(_PADDING, rest) + bytes(rest)
    ttl = _DO if question.dnssec_ok else 0
    opt = _OPT.pack(0, Qtype.OPT, UDP_PAYLOAD_BYTES, ttl, len(options))
    return header + spelled + opt + options
