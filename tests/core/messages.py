"""Messages of every kind that a resolver is sent, well-formed and not, and the rcode of each reply.

They ask for `web.internal`, and hold of every network that has it and no upstreams: the probes of
RFC 8906, section 8, and what a strict gate must refuse.
"""

import struct

import dns.flags
import dns.message

from tests.core.replies import NO, NX, OK

__all__ = ["MESSAGES", "QUERY", "QUESTION", "WITH_OPT", "flagged", "header", "opt"]


def flagged(name: str, *, flags: int) -> bytes:
    query = dns.message.make_query(name, "AAAA")
    query.flags = dns.flags.Flag(flags)
    return query.to_wire()


def header(*, flags: int = 0x0100, counts: tuple[int, int, int, int] = (1, 0, 0, 0)) -> bytes:
    return struct.pack("!6H", 0x1234, flags, *counts)


def opt(
    *,
    version: int = 0,
    flags: int = 0,
    options: bytes = b"",
    owner: bytes = b"\0",
    size: int = 4096,
) -> bytes:
    ttl = version << 16 | flags
    return owner + struct.pack("!HHIH", 41, size, ttl, len(options)) + options


QUESTION = b"\3web\x08internal\0" + struct.pack("!HH", 28, 1)
QUERY = header() + QUESTION
WITH_OPT = header(counts=(1, 0, 0, 1)) + QUESTION
LONG = b"".join(bytes([63]) + b"a" * 63 for _ in range(3))
A_RECORD = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + bytes(4)
UNKNOWN_OPTION = struct.pack("!HH", 65001, 3) + b"abc"


def padding(octets: int) -> bytes:
    """Return the option that makes a query with EDNS so long (RFC 7830)."""
    length = octets - len(WITH_OPT) - len(opt()) - 4
    return struct.pack("!HH", 12, length) + bytes(length)


# what, octets, rcode of the reply (None: silence)
MESSAGES: list[tuple[str, bytes, str | None]] = [
    ("plain", QUERY, OK),
    ("no octets", b"", None),
    ("half a header", header()[:11], None),
    ("a reply", header(flags=0x8100) + QUESTION, None),
    ("a reply, other opcode", header(flags=0xA900) + QUESTION, None),
    ("header alone", header(), "FORMERR"),
    ("no question", header(counts=(0, 0, 0, 0)), "FORMERR"),
    ("two questions", header(counts=(2, 0, 0, 0)) + QUESTION * 2, "FORMERR"),
    ("65,535 questions", header(counts=(65535, 0, 0, 0)) + QUESTION, "FORMERR"),
    ("question cut in the name", QUERY[:-8], "FORMERR"),
    ("question cut in the class", QUERY[:-1], "FORMERR"),
    ("octets after the message", QUERY + b"\0", "FORMERR"),
    ("name that points at itself", header() + b"\xc0\x0c\0\x1c\0\1", "FORMERR"),
    ("name that points forward", header() + b"\xc0\x20\0\x1c\0\1" + bytes(40), "FORMERR"),
    ("label type 01", header() + b"\x41" + b"a" * 65 + b"\0\0\x1c\0\1", "FORMERR"),
    ("label type 10", header() + b"\x81" + b"a" * 129 + b"\0\0\x1c\0\1", "FORMERR"),
    ("name of 255 octets", header() + LONG + b"\x3d" + b"a" * 61 + b"\0\0\x1c\0\1", NO),
    ("name of 256 octets", header() + LONG + b"\x3e" + b"a" * 62 + b"\0\0\x1c\0\1", "FORMERR"),
    ("label of octets over 127", header() + b"\2\xff\xfe\x08internal\0\0\x1c\0\1", NX),
    ("an answer", header(counts=(1, 1, 0, 0)) + QUESTION + A_RECORD, "FORMERR"),
    ("an authority", header(counts=(1, 0, 1, 0)) + QUESTION + A_RECORD, "FORMERR"),
    ("an additional record", WITH_OPT + A_RECORD, OK),
    ("five additional records", header(counts=(1, 0, 0, 5)) + QUESTION + A_RECORD * 5, "FORMERR"),
    ("additional record missing", WITH_OPT, "FORMERR"),
    ("additional record that points at itself", WITH_OPT + b"\xc0\x1e" + A_RECORD[2:], "FORMERR"),
    ("additional record cut", WITH_OPT + A_RECORD[:-1], "FORMERR"),
    ("class CHAOS", QUERY[:-1] + b"\3", NO),
    ("class ANY", QUERY[:-1] + b"\xff", NO),
    ("class NONE", QUERY[:-1] + b"\xfe", NO),
    ("type 0", QUERY[:-4] + b"\0\0\0\1", OK),
    ("a whole zone", QUERY[:-4] + b"\0\xfc\0\1", NO),
    ("what a zone has new", QUERY[:-4] + b"\0\xfb\0\1", NO),
    ("opcode IQUERY", header(flags=0x0800), "NOTIMP"),
    ("opcode STATUS", header(flags=0x1000), "NOTIMP"),
    ("opcode NOTIFY", header(flags=0x2000) + QUESTION, "NOTIMP"),
    ("opcode UPDATE", header(flags=0x2800) + QUESTION, "NOTIMP"),
    ("opcode 15", header(flags=0x7800), "NOTIMP"),
    ("reserved bit Z", flagged("web.internal", flags=0x0140), OK),
    ("AD and CD", flagged("web.internal", flags=0x0130), OK),
    ("TC, AA and RA", flagged("web.internal", flags=0x0680), OK),
    ("rcode in a query", flagged("web.internal", flags=0x0105), OK),
    ("EDNS", WITH_OPT + opt(), OK),
    ("EDNS, DO", WITH_OPT + opt(flags=0x8000), OK),
    ("EDNS, unknown flag", WITH_OPT + opt(flags=0x0080), OK),
    ("EDNS, unknown option", WITH_OPT + opt(options=UNKNOWN_OPTION), OK),
    ("EDNS, payload of 0", WITH_OPT + opt(size=0), OK),
    ("EDNS, 4,096 octets", WITH_OPT + opt(options=padding(4096)), OK),
    ("EDNS, 4,097 octets", WITH_OPT + opt(options=padding(4097)), "FORMERR"),
    ("EDNS 1", WITH_OPT + opt(version=1), "BADVERS"),
    ("EDNS 255, unknown option", WITH_OPT + opt(version=255, options=UNKNOWN_OPTION), "BADVERS"),
    ("option cut", WITH_OPT + opt(options=UNKNOWN_OPTION[:-1]), "FORMERR"),
    ("option header cut", WITH_OPT + opt(options=b"\0\0\0"), "FORMERR"),
    ("OPT not at the root", WITH_OPT + opt(owner=b"\3abc\0"), "FORMERR"),
    ("two OPTs", header(counts=(1, 0, 0, 2)) + QUESTION + opt() * 2, "FORMERR"),
    ("two OPTs, EDNS 1", header(counts=(1, 0, 0, 2)) + QUESTION + opt(version=1) * 2, "FORMERR"),
    ("OPT as an authority", header(counts=(1, 0, 1, 0)) + QUESTION + opt(), "FORMERR"),
]
