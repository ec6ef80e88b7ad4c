"""DNS messages as octets: a strict gate for what strangers send, and the packing of replies.

Knows headers, questions, OPT and lengths (RFC 1035, 6891); which name has which records is
`wgctl.core.view`, what a query deserves is `wgctl.core.responder`, what upstreams say is read in
`wgctl.core.forward.answer`.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

__all__ = [
    "NO_RECORDS",
    "UDP_PAYLOAD_BYTES",
    "Edns",
    "ExtendedError",
    "Labels",
    "Qclass",
    "Qtype",
    "Query",
    "Rcode",
    "Records",
    "Reply",
    "encode_name",
    "pack_reply",
    "read_query",
    "record",
    "service_data",
    "text_data",
]

Labels = tuple[bytes, ...]
"""A name without the root's label, the first label first; in lower case where it is looked up."""

UDP_PAYLOAD_BYTES = 1232
"""The most that is sent in one datagram: what IPv6 carries everywhere (DNS flag day 2020)."""


class Rcode(IntEnum):
    """What a reply says of its query; 16 and up need EDNS to be said."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


class ExtendedError(IntEnum):
    """What more there is to say of a reply (RFC 8914, section 4)."""

    OTHER = 0
    STALE_ANSWER = 3
    CACHED_ERROR = 13
    BLOCKED = 15
    STALE_NXDOMAIN = 19
    NOT_AUTHORITATIVE = 20
    NO_REACHABLE_AUTHORITY = 22
    NETWORK_ERROR = 23


class Qtype(IntEnum):
    """The types that are treated by name; every other number is a type without records."""

    A = 1
    NS = 2
    SOA = 6
    PTR = 12
    TXT = 16
    AAAA = 28
    SRV = 33
    OPT = 41
    TKEY = 249
    TSIG = 250
    IXFR = 251
    AXFR = 252
    MAILB = 253
    MAILA = 254
    ANY = 255


class Qclass(IntEnum):
    """The one class that names are kept in."""

    IN = 1


class Edns(NamedTuple):
    """What the sender's OPT record said."""

    payload_bytes: int
    dnssec_ok: bool


class Query(NamedTuple):
    """A query that may be answered; a tuple, because one is made for every datagram.

    `labels` are in lower case and without the root's; `question` is the name as it was sent, type
    and class. A `rcode` other than NOERROR says what is wrong with the message; what could not be
    read then is empty.
    """

    id: int
    flags: int
    labels: Labels = ()
    type: int = 0
    class_: int = 0
    question: bytes = b""
    edns: Edns | None = None
    rcode: int = Rcode.NOERROR

    @property
    def recursion_desired(self) -> bool:
        """Whether the asker wants names of others to be looked up."""
        return bool(self.flags & _RD)


class Records(NamedTuple):
    """Packed records of one section, and how many there are."""

    total: int
    octets: bytes


NO_RECORDS = Records(0, b"")


class Reply(NamedTuple):
    """What is said to a query.

    `additional` are records that only save a question, and are left out where there is no room.
    `error` is an extended error (RFC 8914); None: none. `note` is for people, in ASCII: its text;
    empty: none.
    """

    rcode: int
    authoritative: bool = False
    answers: Records = NO_RECORDS
    authority: Records = NO_RECORDS
    additional: tuple[bytes, ...] = ()
    error: int | None = None
    note: bytes = b""


_HEADER = struct.Struct("!6H")
_RECORD_TAIL = struct.Struct("!HHIH")
_QUESTION_TAIL = struct.Struct("!HH")
_OPTION = struct.Struct("!HH")
_SERVICE = struct.Struct("!3H")
_EXTENDED_ERROR = struct.Struct("!3H")

_QR, _AA, _TC, _RD, _RA, _CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0010
_OPCODE_MASK = 0x7800
_RCODE_MASK = 0x000F
_DO = 0x8000

_MAX_LABEL = 63
_MAX_NAME = 255
_MAX_STRING = 255
_POINTER = 0xC0
_MIN_PAYLOAD_BYTES = 512
_MAX_STREAM_BYTES = 65535
# A query needs two records beside its question at most, OPT and a signature, and little room.
# Walking all that fits into 65,535 octets of a stream takes 11 ms.
_MAX_EXTRA_RECORDS = 4
_MAX_QUERY_BYTES = 4096
_QUESTION_NAME = struct.pack("!H", _POINTER << 8 | _HEADER.size)


class _Malformed(Exception):
    """The octets are not what RFC 1035 and 6891 allow."""


def read_query(message: bytes) -> Query | None:
    """Return the query that `message` holds, with its rcode set if it is not to be answered.

    None for what must stay without a reply: less than a header, and replies.
    """
    if len(message) < _HEADER.size:
        return None
    id_, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(message)
    if flags & _QR:
        return None
    if flags & _OPCODE_MASK or questions != 1:
        rcode = Rcode.NOTIMP if flags & _OPCODE_MASK else Rcode.FORMERR
        return Query(id_, flags, rcode=rcode)
    try:
        labels, end = _read_name(message.lower(), _HEADER.size)
        type_, class_ = _QUESTION_TAIL.unpack_from(message, end)
    except (_Malformed, IndexError, struct.error):
        return Query(id_, flags, rcode=Rcode.FORMERR)
    end += _QUESTION_TAIL.size
    query = Query(id_, flags, labels, type_, class_, message[_HEADER.size : end])
    if not (answers or authorities or additionals) and end == len(message):
        return query
    return _read_extras(query, message, (answers, authorities, additionals))


def pack_reply(query: Query, reply: Reply, *, stream: bool, forwards: bool) -> bytes:
    """Return `reply` to `query` with its question, and with OPT where it had one (RFC 6891).

    One that is too long for the datagram, or for the `stream`, comes without records and with TC;
    additional records alone never make it so (RFC 2181, section 9).
    """
    opt = _pack_opt(query, reply)
    flags = _reply_flags(query, reply, forwards=forwards)
    (answers, answered), (authorities, said) = reply.answers, reply.authority
    length = _HEADER.size + len(query.question) + len(answered) + len(said) + len(opt)
    room = _limit_bytes(query, stream=stream) - length
    beside = _that_fit(reply.additional, room)
    if room < 0:
        flags, answers, answered, authorities, said = flags | _TC, 0, b"", 0, b""
    additionals = len(beside) + bool(opt)
    header = _HEADER.pack(query.id, flags, bool(query.question), answers, authorities, additionals)
    return b"".join((header, query.question, answered, said, *beside, opt))


def encode_name(labels: Labels) -> bytes:
    """Return `labels` as a name on the wire; the caller knows that they fit."""
    return b"".join([bytes((len(label),)) + label for label in labels]) + b"\0"


def record(type_: int, data: bytes, *, ttl_s: int, owner: bytes = _QUESTION_NAME) -> bytes:
    """Return one packed record of class IN; `owner` is the name asked about unless it is given."""
    return owner + _RECORD_TAIL.pack(type_, Qclass.IN, ttl_s, len(data)) + data


def service_data(port: int, target: bytes) -> bytes:
    """Return the data of an SRV record of priority 0 and weight 1 (RFC 2782)."""
    return _SERVICE.pack(0, 1, port) + target


def text_data(text: bytes) -> bytes:
    """Return the data of a TXT record: `text` in strings of 255 octets, the last one shorter."""
    strings = (text[at : at + _MAX_STRING] for at in range(0, len(text), _MAX_STRING))
    return b"".join(bytes((len(string),)) + string for string in strings)


def _read_name(message: bytes, start: int) -> tuple[tuple[bytes, ...], int]:
    """Return the uncompressed name at `start` and where it ends.

    A question cannot be compressed: nothing stands before it that a pointer could mean.
    """
    labels = []
    offset = start
    while length := message[offset]:
        if length > _MAX_LABEL:
            raise _Malformed
        offset += 1
        labels.append(message[offset : offset + length])
        offset += length
    if offset + 1 - start > _MAX_NAME:
        raise _Malformed
    return tuple(labels), offset + 1


def _limit_bytes(query: Query, *, stream: bool) -> int:
    if stream:
        return _MAX_STREAM_BYTES
    if query.edns is None:
        return _MIN_PAYLOAD_BYTES
    return min(max(query.edns.payload_bytes, _MIN_PAYLOAD_BYTES), UDP_PAYLOAD_BYTES)


def _that_fit(records: tuple[bytes, ...], room: int) -> list[bytes]:
    """Return the records up to the first that does not fit into `room` octets."""
    fitting = []
    for one in records:
        room -= len(one)
        if room < 0:
            break
        fitting.append(one)
    return fitting


def _read_extras(query: Query, message: bytes, counts: tuple[int, int, int]) -> Query:
    """Return `query` with what the records behind its question say, the OPT record above all."""
    answers, authorities, additionals = counts
    offset = _HEADER.size + len(query.question)
    # An IXFR query carries the asker's SOA there (RFC 1995, section 3).
    allowed = 1 if query.type == Qtype.IXFR else 0
    too_many = answers or authorities > allowed or additionals > _MAX_EXTRA_RECORDS
    if too_many or len(message) > _MAX_QUERY_BYTES:
        return query._replace(rcode=Rcode.FORMERR)
    try:
        for _ in range(authorities):
            _, offset = _read_record(message, offset)
        for _ in range(additionals):
            start, (head, offset) = offset, _read_record(message, offset)
            if head.type == Qtype.OPT:
                query = _take_opt(query, head, message[start:offset])
    except (_Malformed, IndexError, struct.error):
        return query._replace(rcode=Rcode.FORMERR)
    return query if offset == len(message) else query._replace(rcode=Rcode.FORMERR)


class _Head(NamedTuple):
    type: int
    class_: int
    ttl: int
    length: int


def _read_record(message: bytes, offset: int) -> tuple[_Head, int]:
    """Return the fixed part of the record at `offset`, and where the record ends."""
    offset = _skip_name(message, offset)
    head = _Head._make(_RECORD_TAIL.unpack_from(message, offset))
    offset += _RECORD_TAIL.size + head.length
    if offset > len(message):
        raise _Malformed
    return head, offset


def _skip_name(message: bytes, start: int) -> int:
    offset = start
    while length := message[offset]:
        if length >= _POINTER:
            if (length & ~_POINTER) << 8 | message[offset + 1] >= start:
                raise _Malformed
            return offset + 2
        if length > _MAX_LABEL or offset - start > _MAX_NAME:
            raise _Malformed
        offset += 1 + length
    return offset + 1


def _take_opt(query: Query, head: _Head, octets: bytes) -> Query:
    """Return `query` with its OPT record, which must be the only one and stand at the root."""
    version = head.ttl >> 16 & 0xFF
    first = query.edns is None
    taken = query._replace(edns=Edns(head.class_, dnssec_ok=bool(head.ttl & _DO)))
    if not first or octets[0] or not _options_fit(octets[1 + _RECORD_TAIL.size :]):
        return taken._replace(rcode=Rcode.FORMERR)
    return taken._replace(rcode=Rcode.BADVERS) if version else taken


def _options_fit(options: bytes) -> bool:
    offset = 0
    while offset < len(options):
        if offset + _OPTION.size > len(options):
            return False
        offset += _OPTION.size + _OPTION.unpack_from(options, offset)[1]
    return offset == len(options)


def _reply_flags(query: Query, reply: Reply, *, forwards: bool) -> int:
    # RFC 4035, section 3.2.2, wants CD back as it was; all others are ours to say.
    flags = _QR | query.flags & (_OPCODE_MASK | _RD | _CD) | reply.rcode & _RCODE_MASK
    flags |= _AA if reply.authoritative else 0
    return flags | (_RA if forwards else 0)


_EDE, _EDE_CODE_BYTES = 15, 2  # RFC 8914, section 2.


def _pack_opt(query: Query, reply: Reply) -> bytes:
    if query.edns is None:
        return b""
    ttl = reply.rcode >> 4 << 24 | (_DO if query.edns.dnssec_ok else 0)
    options = b""
    if reply.note or reply.error is not None:
        length, code = _EDE_CODE_BYTES + len(reply.note), reply.error or ExtendedError.OTHER
        options = _EXTENDED_ERROR.pack(_EDE, length, code) + reply.note
    return b"\0" + _RECORD_TAIL.pack(Qtype.OPT, UDP_PAYLOAD_BYTES, ttl, len(options)) + options
