"""Upstreams that mean harm, or are broken: what each sends over UDP, and over TCP.

Whatever they send for a name that is asked of them, 192.0.2.66 may not be its address.
"""

import dns.message
import dns.rcode

from tests.drivers.upstream.servers import (
    Raw,
    Script,
    good,
    nothing,
    refusal,
    reply,
    truncated,
    wrong_id,
    wrong_question,
)

__all__ = ["HOSTILE", "TO_TCP", "forged"]


def cname_loop(asked: bytes) -> list[bytes]:
    name = str(dns.message.from_wire(asked).question[0].name)
    lines = (f"{name} 60 IN CNAME b.example.", f"b.example. 60 IN CNAME {name}")
    return [reply(asked, *lines).to_wire()]


def nxdomain_with_data(asked: bytes) -> list[bytes]:
    name = str(dns.message.from_wire(asked).question[0].name)
    made = reply(asked, f"{name} 60 IN A 192.0.2.66")
    made.set_rcode(dns.rcode.NXDOMAIN)
    return [made.to_wire()]


def forged(asked: bytes) -> bytes:
    return good(asked, address="192.0.2.66")


def lowered(asked: bytes) -> bytes:
    return good(asked).lower()


def framed(octets: bytes) -> bytes:
    return len(octets).to_bytes(2, "big") + octets


TO_TCP: Script = lambda asked: [truncated(asked)]  # noqa: E731  # as the table below writes them

HOSTILE: dict[str, tuple[Script, Script]] = {
    "silence": (nothing, nothing),
    "wrong id": (lambda asked: [wrong_id(asked)], nothing),
    "wrong question": (lambda asked: [wrong_question(asked)], nothing),
    "another spelling": (lambda asked: [lowered(asked)], nothing),
    "guessed ids": (lambda asked: [wrong_id(asked)] * 20 + [forged(asked)], nothing),
    "last record cut": (lambda asked: [forged(asked)[:-15]], nothing),
    "garbage": (lambda _: [b"\xff" * 512] * 20, nothing),
    "our own query": (lambda asked: [asked], nothing),
    "truncation loop": (TO_TCP, TO_TCP),
    "truncated, then silence": (TO_TCP, nothing),
    "truncated, then another id": (TO_TCP, lambda asked: [wrong_id(asked)]),
    "truncated, then another question": (TO_TCP, lambda asked: [wrong_question(asked)]),
    "truncated, then nothing at all": (TO_TCP, lambda _: [b""]),
    "closing": (TO_TCP, lambda _: [Raw(b"")]),
    "closing mid-message": (TO_TCP, lambda asked: [Raw(framed(good(asked))[:20])]),
    "garbage stream": (TO_TCP, lambda _: [Raw(b"\xff" * 900)]),
    "slow drip": (TO_TCP, lambda asked: [Raw(framed(good(asked)), pause_s=0.5)]),
    "CNAME loop": (cname_loop, nothing),
    "NXDOMAIN with data": (nxdomain_with_data, nothing),
    "SERVFAIL": (refusal(dns.rcode.SERVFAIL), nothing),
    "REFUSED": (refusal(dns.rcode.REFUSED), nothing),
    "FORMERR": (refusal(dns.rcode.FORMERR), nothing),
}  # fmt: skip
