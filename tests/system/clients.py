"""Clients that others wrote, each asked for many names at once: dig, kdig and dnspython.

Each runs on a host of a lab, over UDP and over TCP.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import dns.message

from tests.system.hosts import Host

__all__ = ["CLIENTS", "Answered", "Question", "by_dig", "parse"]

Question = tuple[str, str]
"""A name and a type, as people write them."""

ASKER = str(Path(__file__).parent / "questions.py")

_STATUS = re.compile(r"opcode: (\w+)[,;] status: (\w+)")
_FLAGS = re.compile(r"^;; flags: ([a-z ]*)[;:]", re.IGNORECASE | re.MULTILINE)
_SECTION = re.compile(r"^;; (ANSWER|AUTHORITY|ADDITIONAL) SECTION:\n((?:.+\n)*)", re.MULTILINE)


class Answered(NamedTuple):
    """A reply as its client tells it: the records of each section are sorted, their TTLs in."""

    status: str
    flags: frozenset[str]
    answers: list[str]
    authority: list[str]
    additional: list[str]


def by_dig(host: Host, at: str, questions: Sequence[Question], *options: str) -> list[Answered]:
    """Return what dig got."""
    words = ["dig", f"@{at}", "+time=5", "+tries=3", *options]
    return list(parse(host.run(*words, *_words(questions)).stdout))


def by_kdig(host: Host, at: str, questions: Sequence[Question], *options: str) -> list[Answered]:
    """Return what kdig got."""
    words = ["kdig", f"@{at}", "+noidn", "+timeout=5", "+retry=3", *options]
    return list(parse(host.run(*words, *_words(questions)).stdout))


def by_dnspython(
    host: Host, at: str, questions: Sequence[Question], *options: str
) -> list[Answered]:
    """Return what dnspython got."""
    words = json.dumps({"at": at, "questions": questions, "over": list(options)})
    replies = json.loads(host.run(sys.executable, ASKER, stdin=words).stdout)
    return [_read(dns.message.from_wire(bytes.fromhex(reply))) for reply in replies]


CLIENTS: dict[str, Callable[..., list[Answered]]] = {
    "dig": by_dig,
    "kdig": by_kdig,
    "dnspython": by_dnspython,
}


def parse(printed: str) -> Iterator[Answered]:
    """Yield each reply that dig or kdig printed."""
    starts = [one.start() for one in re.finditer(r"^;; ->>HEADER<<-", printed, re.MULTILINE)]
    for start, end in zip(starts, [*starts[1:], len(printed)], strict=True):
        text = printed[start:end]
        status, flags = _STATUS.search(text), _FLAGS.search(text)
        assert status, text
        assert flags, text
        sections = {name: _sorted(lines.splitlines()) for name, lines in _SECTION.findall(text)}
        yield Answered(
            status[2],
            frozenset(flags[1].split()),
            *(sections.get(name, []) for name in ("ANSWER", "AUTHORITY", "ADDITIONAL")),
        )


def _read(message: dns.message.Message) -> Answered:
    return Answered(
        dns.rcode.to_text(message.rcode()),
        frozenset(dns.flags.to_text(message.flags).lower().split()),
        *(
            _sorted([line for rrset in section for line in rrset.to_text().splitlines()])
            for section in (message.answer, message.authority, message.additional)
        ),
    )


def _sorted(lines: Sequence[str]) -> list[str]:
    return sorted(" ".join(line.split()) for line in lines)


def _words(questions: Sequence[Question]) -> list[str]:
    return [word for question in questions for word in question]
