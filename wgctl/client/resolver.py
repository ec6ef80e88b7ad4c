"""Asks this host's resolver, over the operators' socket, what a network may resolve.

Knows the socket's protocol and how records look as text; what is answered is the resolver's.
"""

import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

from peers.addresses import reverse_name
from wgctl.core.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from dnslib import RR

__all__ = ["Answer", "ExtendedError", "Reply", "ask"]

_TIMEOUT_S = 5.0
_LENGTH_BYTES = 2
# Printable ASCII without the dot between labels, the backslash of escapes, and space.
_LABEL = re.compile(r"[!-\-/-\[\]-~]{1,63}")
_MAX_LABELS = 254  # RFC 1035, section 2.3.4, less the root's label.
_MAX_TYPE = 65535
_CURE = "start it with: wgctl run resolver"
# The root's name, type OPT, 1,232 octets of room, no flags and no options (RFC 6891): without it
# no extended error comes back.
_OPT = b"\0\0\x29\x04\xd0" + bytes(6)
_EXTENDED_ERROR = 15
_CODE_BYTES = 2
# RFC 8914, section 4, in order.
_MEANINGS = (
    *("other", "unsupported DNSKEY algorithm", "unsupported DS digest type", "stale answer"),
    *("forged answer", "DNSSEC indeterminate", "DNSSEC bogus", "signature expired"),
    *("signature not yet valid", "DNSKEY missing", "RRSIGs missing", "no zone key bit set"),
    *("NSEC missing", "cached error", "not ready", "blocked", "censored", "filtered"),
    *("prohibited", "stale NXDOMAIN answer", "not authoritative", "not supported"),
    *("no reachable authority", "network error", "invalid data"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    r"""One record of a reply.

    `data` is the text that dig prints; the strings of a TXT record are joined without separator,
    as their readers do, and what is not printable ASCII is written `\DDD`.
    """

    name: str
    ttl_s: int
    type: str
    data: str


@dataclass(frozen=True, slots=True)
class ExtendedError:
    """What is out of the ordinary with a reply (RFC 8914); `text` may be empty."""

    code: int
    text: str

    def __str__(self) -> str:
        meaning = _MEANINGS[self.code] if self.code < len(_MEANINGS) else f"code {self.code}"
        # Of the code without a meaning the text alone says something.
        said = [meaning if self.code or not self.text else "", self.text]
        return ": ".join(part for part in said if part)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the resolver said: `rcode` in words, as NOERROR or NXDOMAIN, and its answer section."""

    rcode: str
    answers: tuple[Answer, ...]
    extended_errors: tuple[ExtendedError, ...] = ()


def ask(
    path: Path, *, asker: IPv6Address, name: str, type_: str = "AAAA", timeout_s: float = _TIMEOUT_S
) -> Reply:
    """Return what the resolver behind the socket at `path` answers to `asker`.

    `name` with or without its final dot, or an IPv6 address when `type_` is PTR; `type_` a
    mnemonic in any case, or TYPE and a number. Raises Invalid for a name or type that cannot be,
    Unavailable when no resolver answers within `timeout_s` or it is silent to this asker.
    """
    query = _query(_name(name, type_), _type_number(type_))
    deadline = time.monotonic() + timeout_s
    try:
        reply = _exchange(path, asker.packed + len(query).to_bytes(2, "big") + query, deadline)
    except OSError as error:
        reason = error.strerror or str(error) or "no reply in time"
        raise Unavailable(f"the resolver at {path}: {reason}; {_CURE}") from error
    if not reply:
        raise Unavailable(f"the resolver at {path} has no network for {asker} yet")
    return _read(reply)


def _name(name: str, type_: str) -> bytes:
    """Return `name` on the wire."""
    text = name
    if type_.upper() == "PTR":
        with suppress(AddressValueError):
            text = reverse_name(IPv6Address(name))
    labels = [] if text == "." else text.removesuffix(".").split(".")
    if sum(1 + len(label) for label in labels) > _MAX_LABELS or not all(
        _LABEL.fullmatch(label) for label in labels
    ):
        raise Invalid(
            f"name {ascii(name)[:80]}, expected labels of 1 to 63 ASCII characters, dots between"
        )
    return b"".join(bytes((len(label),)) + label.encode("ascii") for label in labels) + b"\0"


def _type_number(type_: str) -> int:
    from dnslib import QTYPE

    upper = type_.upper()
    numbered = re.fullmatch(r"TYPE([0-9]{1,5})", upper)
    if numbered and int(numbered[1]) <= _MAX_TYPE:
        return int(numbered[1])
    known: dict[str, int] = QTYPE.reverse
    if upper not in known:
        raise Invalid(f"type {ascii(type_)[:80]}, expected one like AAAA, TXT, PTR or TYPE65")
    return known[upper]


def _query(name: bytes, type_: int) -> bytes:
    """Return a query that desires recursion, as a stub resolver's does."""
    header = secrets.token_bytes(2) + b"\1\0" + b"\0\1" + bytes(5) + b"\1"
    return header + name + type_.to_bytes(2, "big") + b"\0\1" + _OPT


def _exchange(path: Path, request: bytes, deadline: float) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        connection.connect(str(path))
        connection.sendall(request)
        length = int.from_bytes(_receive(connection, _LENGTH_BYTES, deadline), "big")
        return _receive(connection, length, deadline)


def _receive(connection: socket.socket, size: int, deadline: float) -> bytes:
    received = b""
    while len(received) < size:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        chunk = connection.recv(size - len(received))
        if not chunk:
            raise ConnectionResetError("it closed the connection")
        received += chunk
    return received


def _read(message: bytes) -> Reply:
    from dnslib import RCODE, DNSError, DNSRecord

    try:
        record: DNSRecord = DNSRecord.parse(message)
        answers = tuple(_answer(rr) for rr in record.rr)
        errors = tuple(found for rr in record.ar for found in _extended_errors(rr))
    except (DNSError, UnicodeError) as error:
        raise Unavailable(f"the resolver sent what cannot be read: {error}") from error
    return Reply(str(RCODE.get(record.header.rcode)), answers, errors)


def _answer(rr: "RR") -> Answer:
    from dnslib import QTYPE

    type_ = QTYPE.forward.get(rr.rtype, f"TYPE{rr.rtype}")
    if type_ == "AAAA":
        data = str(IPv6Address(bytes(rr.rdata.data)))
    elif type_ == "TXT":
        data = b"".join(rr.rdata.data).decode("latin-1").replace("\\", "\\092")
    else:
        data = str(rr.rdata)
    return Answer(_escaped(str(rr.rname)), int(rr.ttl), type_, _escaped(data))


def _extended_errors(rr: "RR") -> Iterator[ExtendedError]:
    from dnslib import QTYPE

    for option in rr.rdata if rr.rtype == QTYPE.OPT else ():
        data = bytes(option.data)
        if option.code == _EXTENDED_ERROR and len(data) >= _CODE_BYTES:
            text = data[_CODE_BYTES:].decode("utf-8", "replace")
            yield ExtendedError(int.from_bytes(data[:_CODE_BYTES], "big"), _escaped(text))


def _escaped(text: str) -> str:
    """Return `text` as what a terminal cannot take for more than text."""
    return "".join(
        char if char.isascii() and char.isprintable() else f"\\{ord(char):03}" for char in text
    )
