"""The audit trail: who did what to what, each record bound to the one before by its hash.

A chain belongs to an org, or to the deployment. Whoever takes a record out, changes it or puts one
in between breaks it; whoever cuts off its end does not, so its head is to be noted elsewhere. Where
chains are kept is `wgctl.store.trail`.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wgctl.core.access import Caller
from wgctl.core.errors import Invalid
from wgctl.core.feed import Kind, Row, encode_row

__all__ = ["NO_HEAD", "Head", "Made", "Record", "describe", "link", "verify"]

_HEAD = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")
_SECRET_FIELDS = {Kind.SEAL: frozenset({"sealed"})}


@dataclass(frozen=True, slots=True)
class Made:
    """One change: what a row was before, and is after. None: it was not, or is no more, there."""

    kind: Kind
    before: Row | None
    after: Row | None


@dataclass(frozen=True, slots=True)
class Head:
    """How far a chain has come: the place of its last record, from 1 on, and that one's hash."""

    place: int
    hash: bytes

    def __str__(self) -> str:
        """Return it as it is noted and given back: `12:3f2a...`."""
        return f"{self.place}:{self.hash.hex()}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read what `str` wrote; raises Invalid."""
        found = _HEAD.fullmatch(text)
        if found is None:
            raise Invalid(f"head {text!a}, expected PLACE:HASH as verify shows it")
        return cls(int(found[1]), bytes.fromhex(found[2]))


NO_HEAD = Head(0, bytes(32))
"""The head of a chain that has no record yet."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a chain. `body` is JSON, and is hashed as the text that it is."""

    place: int
    at: int
    body: str
    previous: bytes
    hash: bytes


def link(head: Head, *, at: int, body: str) -> Record:
    """Return the record that comes after `head`."""
    place = head.place + 1
    return Record(place, at, body, head.hash, _hash(head.hash, place, at, body))


def verify(records: Iterable[Record], *, noted: Head | None = None) -> Head:
    """Return the head of a chain that is given from its first record on.

    Raises Invalid, with the place, for the first record that is not as it was written, and when a
    head that was `noted` earlier is none of the chain's.
    """
    head, seen = NO_HEAD, noted is None or noted == NO_HEAD
    for record in records:
        if link(head, at=record.at, body=record.body) != record:
            raise Invalid(f"record {record.place} does not follow from record {head.place}")
        head = Head(record.place, record.hash)
        seen = seen or head == noted
    if not seen:
        raise Invalid(f"the head {noted} is not in the chain, which ends at {head}")
    return head


def describe(
    caller: Caller, *, allowed: bool, request: str | None = None, changes: Iterable[Made] = ()
) -> str:
    """Return the body of a record: who, from where, with which token, what, before and after."""
    told: dict[str, object] = {
        "who": caller.name,
        "as": caller.asker,
        "from": caller.origin,
        "token": None if caller.token is None else caller.token.name,
        "did": caller.doing,
        "outcome": "allowed" if allowed else "denied",
    }
    if request is not None:
        told["request"] = request
    told["changes"] = [_change(made) for made in changes]
    return json.dumps(told, separators=(",", ":"))


def _change(made: Made) -> dict[str, object]:
    return {
        "kind": made.kind,
        "before": _values(made.kind, made.before),
        "after": _values(made.kind, made.after),
    }


def _values(kind: Kind, row: Row | None) -> Mapping[str, object] | None:
    if row is None:
        return None
    secret = _SECRET_FIELDS.get(kind, frozenset[str]())
    return {name: value for name, value in encode_row(kind, row).items() if name not in secret}


def _hash(previous: bytes, place: int, at: int, body: str) -> bytes:
    return hashlib.sha256(previous + f"{place}\n{at}\n{body}".encode()).digest()
