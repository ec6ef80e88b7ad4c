"""What of an upstream's message is believed, and how it is passed on.

A message is the reply to a question only with its id, its question and its case. Of that, what
leads from the name that was asked to its records is kept, and what denies them; records of other
names are dropped, wherever they stand (RFC 2181, section 5.4.1; RFC 5452, section 6). How long it
is kept is `wgctl.core.forward.cache`.
"""

import struct
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from wgctl.core.forward.question import Question
from wgctl.core.forward.sections import Malformed, Reader, Record, Section, Writer, endings, labels
from wgctl.core.names.special import never_leaves
from wgctl.core.wire import ExtendedError, Labels, Qclass, Qtype, Rcode, Records, Reply

__all__ = ["Answer", "Failure", "Fault", "Ours", "read", "reply_of"]

Ours = Callable[[bytes], bool]
"""Whether these 16 octets are an address of a network of ours, as all of their /48 then are."""

_HEADER = struct.Struct("!6H")
_TAIL_BYTES = 4
_QR, _TC, _RA = 0x8000, 0x0200, 0x0080
_OPCODE_MASK, _RCODE_MASK = 0x7800, 0x000F

# As Unbound: a chain that is longer is a fault of its zone.
_MAX_CHAIN = 12
# Each costs a look into the database; hints of one record can name 4,000.
_NETWORK_BYTES, _MAX_NETWORKS = 6, 100
_MOST_TTL_S = 86_400
# RFC 2308, section 5: one to three hours have been found to work well.
_MOST_NEGATIVE_TTL_S = 3_600
_STALE_TTL_S = 30  # RFC 8767, section 5.2.

_CNAME, _DNAME, _RRSIG, _NSEC, _NSEC3 = 5, 39, 46, 47, 50
_PROOFS = frozenset({_NSEC, _NSEC3})
_DENIALS = frozenset({Qtype.SOA, *_PROOFS})
_COVERED = struct.Struct("!H")
_SOA_MINIMUM = slice(-4, None)
_OPTION = struct.Struct("!HH")
_EDE = 15
_SERVING = frozenset({64, 65})  # SVCB, HTTPS
_IPV6_HINT, _PRIORITY_BYTES, _ADDRESS_BYTES = 6, 2, 16

_ByOwner = dict[bytes, list[Record]]


class Fault(StrEnum):
    """Why a message is not an answer."""

    STRAY = "a reply to something else"
    RESPELLED = "the question in another case"
    TRUNCATED = "truncated"
    BROKEN = "a reply against the rules"
    FAILED = "an error"


class Failure(NamedTuple):
    """What is wrong; of FAILED the rcode, and the extended error that says why, None for none."""

    fault: Fault
    error: int | None = None
    rcode: int = Rcode.NOERROR


class Answer(NamedTuple):
    """What is believed. `ttl_s` is how long; `error` an extended error that goes with it."""

    rcode: int
    answers: Section
    authority: Section
    ttl_s: int
    error: int | None = None


def read(
    message: bytes, question: Question, *, asked: bytes, ours: Ours, exact: bool = True
) -> Answer | Failure:
    """Return what `message` answers to `asked`, the octets that put `question`.

    With `exact` the case of the name must be that of `asked`. Addresses of `ours` are left out, and
    so are an alias and a service (RFC 9460) at a name that no upstream may know, which the asker
    would follow by itself: a public name that has one of these would lead a browser into a network
    (DNS rebinding).
    """
    if len(message) < _HEADER.size:
        return Failure(Fault.STRAY)
    id_, flags, questions, *counts = _HEADER.unpack_from(message)
    end = _HEADER.size + len(question.name) + _TAIL_BYTES
    put, got = asked[_HEADER.size : end], message[_HEADER.size : end]
    is_reply = flags & (_QR | _OPCODE_MASK) == _QR and questions == 1
    if not is_reply or id_ != _HEADER.unpack_from(asked)[0] or not _same(put, got):
        return Failure(Fault.STRAY)
    if exact and put != got:
        return Failure(Fault.RESPELLED)
    if flags & _TC:
        return Failure(Fault.TRUNCATED)
    try:
        return _Reading(question, flags, ours).answer(message, end, counts)
    except Malformed:
        return Failure(Fault.BROKEN)


def reply_of(answer: Answer, *, age_s: int, stale: bool) -> Reply:
    """Return `answer`, which is `age_s` old, as the reply to whoever asks for it.

    With `stale` its time is over, which the reply says.
    """
    error = answer.error
    if stale:
        denied = answer.rcode == Rcode.NXDOMAIN
        error = ExtendedError.STALE_NXDOMAIN if denied else ExtendedError.STALE_ANSWER
    answers, authority = (
        _aged(section, age_s=age_s, stale=stale) for section in (answer.answers, answer.authority)
    )
    return Reply(answer.rcode, answers=answers, authority=authority, error=error)


class _Reading:
    """One message whose header and question are right."""

    def __init__(self, question: Question, flags: int, ours: Ours) -> None:
        self._question = question
        self._flags = flags
        self._ours = ours
        self._networks: dict[bytes, bool] = {}

    def answer(self, message: bytes, start: int, counts: Sequence[int]) -> Answer | Failure:
        reader = Reader(message, start)
        answers, authority, additional = map(reader.section, counts)
        rcode, error = _opt(additional)
        rcode |= self._flags & _RCODE_MASK
        if rcode not in {Rcode.NOERROR, Rcode.NXDOMAIN}:
            return Failure(Fault.FAILED, error, rcode)
        name, kept, found = self._chain(_by_owner(answers))
        if never_leaves(labels(name)):
            return _blocked(kept)
        if found and rcode == Rcode.NXDOMAIN:
            raise Malformed
        proofs = self._authority(authority, name, found=found)
        is_soa = any(one.type == Qtype.SOA for one in proofs)
        if not (found or is_soa or self._flags & _RA) and _refers(authority):
            raise Malformed  # A server that knows others, and not a resolver.
        public = [one for one in kept if not self._is_ours(one)]
        if len(public) < len(kept):
            error = ExtendedError.BLOCKED
        writer = Writer(message[_HEADER.size : start])
        ttl_s = _ttl_s([*kept, *proofs]) if found or is_soa else 0
        return Answer(
            rcode,
            writer.section(public, most_ttl_s=_MOST_TTL_S),
            writer.section(proofs, most_ttl_s=_MOST_TTL_S if found else ttl_s),
            ttl_s if found else min(ttl_s, _MOST_NEGATIVE_TTL_S),
            error,
        )

    def _is_asked(self, record: Record) -> bool:
        return self._question.type in {record.type, Qtype.ANY}

    def _chain(self, records: _ByOwner) -> tuple[bytes, list[Record], bool]:
        """Return the last name that the one asked leads to, the records along the way to it.

        And whether what was asked is among them.
        """
        chain = [self._question.name]
        kept: list[Record] = []
        while True:
            here = records.get(chain[-1], [])
            asked = [one for one in here if self._is_asked(one)]
            alias = [one for one in here if one.type == _CNAME][:1]
            kept += self._synthesised(records, chain[-1]) if alias and not asked else []
            chosen = asked or alias
            kept += [*chosen, *self._signatures(here, {one.type for one in chosen})]
            if asked or not alias:
                return chain[-1], kept, bool(asked)
            target = alias[0].names[0].lower()
            if target in chain or len(chain) >= _MAX_CHAIN:
                raise Malformed
            chain.append(target)
            if never_leaves(labels(target)):
                return target, kept, False

    def _synthesised(self, records: _ByOwner, name: bytes) -> list[Record]:
        """Return the DNAME that the alias at `name` was made from (RFC 6672), if it came along."""
        for owner in records.keys() & (endings(name) - {name}):
            names = [one for one in records[owner] if one.type == _DNAME][:1]
            if names:
                return names + self._signatures(records[owner], {_DNAME})
        return []

    def _signatures(self, records: list[Record], types: set[int]) -> list[Record]:
        """Return the signatures of `types`, if they were asked for and not as records."""
        if not self._question.dnssec_ok or self._question.type in {_RRSIG, Qtype.ANY}:
            return []
        return [one for one in records if one.type == _RRSIG and _covered(one) in types]

    def _authority(self, records: list[Record], name: bytes, *, found: bool) -> list[Record]:
        """Return what denies records at `name`, or that a wildcard covers a name more closely."""
        above = endings(name)
        zones = [one for one in records if one.type == Qtype.SOA and one.owner.lower() in above][:1]
        if not zones and not found:
            return []
        kept = [] if found else [_negative(zone) for zone in zones]
        if not self._question.dnssec_ok:
            return kept
        kept += [one for one in records if one.type in _PROOFS]
        return kept + self._signatures(records, set(_PROOFS if found else _DENIALS))

    def _is_ours(self, record: Record) -> bool:
        if record.type == Qtype.AAAA:
            return self._is_our_address(record.fixed)
        if record.type not in _SERVING:
            return False
        target, hints = _served(record.fixed)
        return never_leaves(target) or any(map(self._is_our_address, hints))

    def _is_our_address(self, address: bytes) -> bool:
        network = address[:_NETWORK_BYTES]
        if network not in self._networks:
            if len(self._networks) >= _MAX_NETWORKS:
                raise Malformed
            self._networks[network] = self._ours(address)
        return self._networks[network]


def _by_owner(records: list[Record]) -> _ByOwner:
    """Return those of class IN by their owners in lower case."""
    found: _ByOwner = {}
    for one in records:
        if one.class_ == Qclass.IN:
            found.setdefault(one.owner.lower(), []).append(one)
    return found


def _blocked(kept: list[Record]) -> Answer:
    """Return the answer for a name that leads to what is private."""
    nothing = Section(0, b"", ())
    ttl_s = min(_ttl_s(kept), _MOST_NEGATIVE_TTL_S)
    return Answer(Rcode.NOERROR, nothing, nothing, ttl_s, ExtendedError.BLOCKED)


def _served(data: bytes) -> tuple[Labels, list[bytes]]:
    """Return the target of an SVCB or HTTPS record in lower case, and its IPv6 hints (RFC 9460).

    What is cut ends there, as whoever reads it so takes it.
    """
    at, target, hints = _PRIORITY_BYTES, [], []
    while at < len(data) and data[at]:
        target.append(data[at + 1 : at + 1 + data[at]].lower())
        at += 1 + data[at]
    at += 1
    while at + _OPTION.size <= len(data):
        key, length = _OPTION.unpack_from(data, at)
        at += _OPTION.size
        if key == _IPV6_HINT:
            last = min(at + length, len(data)) - _ADDRESS_BYTES
            starts = range(at, last + 1, _ADDRESS_BYTES)
            hints += [data[start : start + _ADDRESS_BYTES] for start in starts]
        at += length
    return tuple(target), hints


def _opt(additional: list[Record]) -> tuple[int, int | None]:
    """Return the upper part of the rcode, and the first extended error."""
    found = [one for one in additional if one.type == Qtype.OPT]
    if len(found) > 1:
        raise Malformed
    if not found:
        return 0, None
    options, error = found[0].fixed, None
    while options:
        if len(options) < _OPTION.size:
            raise Malformed
        code, length = _OPTION.unpack_from(options)
        data, options = options[4 : 4 + length], options[4 + length :]
        if code == _EDE and len(data) >= _COVERED.size and error is None:
            (error,) = _COVERED.unpack_from(data)
    return found[0].ttl_s >> 24 << 4, error


def _same(one: bytes, other: bytes) -> bool:
    """Whether both ask for the same name in whatever case, the same type and the same class."""
    same_name = one[:-_TAIL_BYTES].lower() == other[:-_TAIL_BYTES].lower()
    return same_name and one[-_TAIL_BYTES:] == other[-_TAIL_BYTES:]


def _refers(authority: list[Record]) -> bool:
    return any(one.type == Qtype.NS for one in authority)


def _covered(signature: Record) -> int:
    data = signature.fixed
    return _COVERED.unpack_from(data)[0] if len(data) >= _COVERED.size else 0


def _negative(soa: Record) -> Record:
    """Return the SOA record as it goes with a denial (RFC 2308, section 3)."""
    minimum = int.from_bytes(soa.rest[_SOA_MINIMUM], "big")
    return soa._replace(ttl_s=min(soa.ttl_s, minimum, _MOST_NEGATIVE_TTL_S))


def _ttl_s(records: list[Record]) -> int:
    return min([_MOST_TTL_S, *(one.ttl_s for one in records)])


def _aged(section: Section, *, age_s: int, stale: bool) -> Records:
    octets = bytearray(section.octets)
    for at, ttl_s in section.ttls:
        left = _STALE_TTL_S if stale else max(ttl_s - age_s, 0)
        octets[at : at + 4] = left.to_bytes(4, "big")
    return Records(section.total, bytes(octets))
