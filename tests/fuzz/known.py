"""Messages to begin with: one of each kind that the responder's own table has, and odd ones.

Each begins with the octet that `tests.fuzz.responder.check` chooses by.
"""

import struct

__all__ = ["KNOWN"]


def _name(text: str) -> bytes:
    labels = text.encode().split(b".")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _query(name: str, type_: int, *, flags: int = 0x0100, choice: int = 0) -> bytes:
    header = struct.pack("!6H", 0x1234, flags, 1, 0, 0, 0)
    return bytes([choice]) + header + _name(name) + struct.pack("!HH", type_, 1)


def _edns(query: bytes, *, size: int = 1232, ttl: int = 0, options: bytes = b"") -> bytes:
    opt = b"\0" + struct.pack("!HHIH", 41, size, ttl, len(options)) + options
    return query[:11] + b"\0\1" + query[13:] + opt


_AAAA, _TXT, _SRV, _PTR, _NS, _ANY, _AXFR = 28, 16, 33, 12, 2, 255, 252
_WEB = _query("web.internal", _AAAA)
_SERVICE = "2" + ".0" * 14 + ".0.1.0.0.0.8.1.0.0.0.0.0.0.a.a.d.f.ip6.arpa"

KNOWN: list[tuple[str, bytes]] = [
    ("an app", _WEB),
    ("an app, over a stream", b"\x08" + _WEB[1:]),
    ("an app whose machines all fail", _edns(_query("web.internal", _AAAA, choice=1))),
    ("a region", _query("ams.web.internal", _AAAA)),
    ("the nearest", _query("top2.nearest.of.web.internal", _AAAA)),
    ("the nearest of none", _query("top0.nearest.of.web.internal", _AAAA)),
    ("more than all", _query("top99999999999999999999.nearest.of.web.internal", _AAAA)),
    ("metadata", _query("a.role.kv._metadata.web.internal", _AAAA)),
    ("a key", _query("role.kv._metadata.web.internal", _AAAA)),
    ("a service", _query("_http._tcp.web.internal", _SRV)),
    ("a service of a crowd", _edns(_query("_http._tcp.web.internal", _SRV, choice=2))),
    ("a list too long", _query("_peer.internal", _TXT, choice=2)),
    ("a list too long, over a stream", _query("_peer.internal", _TXT, choice=10)),
    ("a peer", _query("alice._peer.internal", _AAAA)),
    ("a service address", _query("web.flycast", _AAAA)),
    ("a service address's name", _query(_SERVICE, _PTR)),
    ("the servers", _query("internal", _NS)),
    ("anything", _query("web.internal", _ANY)),
    ("a whole zone", _query("internal", _AXFR)),
    ("a name of others", _query("example.com", _AAAA, choice=4)),
    ("a name of others, with EDNS", _edns(_query("example.com", _AAAA, choice=4), ttl=0x8000)),
    ("CD and AD", _query("web.internal", _AAAA, flags=0x0130)),
    ("a reply", _query("web.internal", _AAAA, flags=0x8180)),
    ("opcode NOTIFY", _query("web.internal", _AAAA, flags=0x2000)),
    ("EDNS 1", _edns(_WEB, ttl=1 << 16)),
    ("EDNS with a cookie", _edns(_WEB, options=struct.pack("!HH", 10, 8) + bytes(8))),
    ("EDNS with half an option", _edns(_WEB, options=struct.pack("!HH", 10, 8))),
    ("EDNS of no size", _edns(_WEB, size=0)),
    ("two questions", _WEB[:5] + b"\0\2" + _WEB[7:]),
    ("a name that points at itself", _WEB[:13] + b"\xc0\x0c\0\x1c\0\1"),
    ("a name of 255 octets", _query(".".join(["a" * 63] * 3 + ["a" * 61]), _AAAA)),
    ("a name of 256 octets", _query(".".join(["a" * 63] * 3 + ["a" * 62]), _AAAA)),
    ("names of one octet", _query(".".join(["a"] * 126 + ["a"]), _AAAA)),
    ("half a header", _WEB[:7]),
    ("nothing", b"\0"),
]
