"""What a query deserves: a reply out of the asker's view, a look elsewhere, or silence.

Decides by values alone and never raises, whatever the octets are; carrying them is
`wgctl.drivers.dns_server`, asking elsewhere is `wgctl.drivers.upstream`.

    asker in no network         silence: a reply would say that somebody is here
    a reply, half a header      silence
    an opcode that is not 0     NOTIMP
    a message against the rules FORMERR; BADVERS for an EDNS version that is not 0
    AXFR, IXFR, other classes   REFUSED
    a name that has the type    the records, authoritative
    a name without the type     NOERROR and the zone's SOA
    no such name in our zones   NXDOMAIN and the zone's SOA
    any other name              to the upstreams if there are some and recursion is desired,
                                else REFUSED
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from wgctl.core.names.branch import TOP_LABELS, Branch, Stands
from wgctl.core.names.record_set import RecordSet
from wgctl.core.names.zone import Node, Zone
from wgctl.core.view import View
from wgctl.core.wire import (
    ExtendedError,
    Labels,
    Qclass,
    Qtype,
    Query,
    Rcode,
    Records,
    Reply,
    pack_reply,
    read_query,
)

__all__ = ["Answer", "Forward", "answer", "respond"]

# Questions about the message, about a whole zone, or from protocols that nobody speaks.
_UNWANTED: Mapping[int, Rcode] = MappingProxyType(
    {
        Qtype.OPT: Rcode.FORMERR,
        Qtype.TSIG: Rcode.FORMERR,
        Qtype.TKEY: Rcode.NOTIMP,
        Qtype.MAILA: Rcode.NOTIMP,
        Qtype.MAILB: Rcode.NOTIMP,
        Qtype.AXFR: Rcode.REFUSED,
        Qtype.IXFR: Rcode.REFUSED,
    }
)


@dataclass(frozen=True, slots=True)
class Forward:
    """The name is none of ours: whoever carries the query may ask upstreams."""

    query: Query


class Answer(NamedTuple):
    """A reply, and for how long another query of the same octets deserves the same.

    Turns that are equal modulo `turns` make the same reply. It is right in every view that has
    `stands` at `name`, as all do that have the same `branch` there; with None, in the view that it
    is from.
    """

    octets: bytes
    turns: int
    name: Labels = ()
    stands: Stands | None = None
    branch: Branch | None = None


def respond(
    message: bytes, *, view: View | None, forwards: bool, stream: bool, turn: int = 0
) -> bytes | Forward | None:
    """Return the reply to `message`, that it is to be asked elsewhere, or None for silence.

    `view` is that of the asker's network, None where it has none. `forwards` says whether there
    are upstreams, `stream` whether the reply has 65,535 octets of room or a datagram's. `turn`, a
    number drawn at random for each query, chooses where among several records the answer begins.
    """
    found = answer(message, view=view, forwards=forwards, stream=stream, turn=turn)
    return found.octets if isinstance(found, Answer) else found


def answer(
    message: bytes, *, view: View | None, forwards: bool, stream: bool, turn: int
) -> Answer | Forward | None:
    """Return what `respond` does, and what is to be known of a reply that is kept."""
    if view is None:
        return None
    query = read_query(message)
    if query is None:
        return None
    unfit = _unfit(query)
    if unfit is not None:
        return Answer(pack_reply(query, unfit, stream=stream, forwards=forwards), 1)
    node = view.find(query.labels)
    records = _records(query, node)
    if node is None or records is None:
        reply = _no(query, node.zone if node else view.zone_of(query.labels), exists=bool(node))
        if reply is None and forwards and query.recursion_desired:
            return Forward(query)
        reply = reply or Reply(Rcode.REFUSED, error=ExtendedError.NOT_AUTHORITATIVE)
        return Answer(pack_reply(query, reply, stream=stream, forwards=forwards), 1)
    octets = pack_reply(
        query, _yes(query, records, turn, view=view), stream=stream, forwards=forwards
    )
    branch = view.branches.get(query.labels[-TOP_LABELS:])
    return Answer(octets, records.turns, query.labels, node.records, branch)


def _unfit(query: Query) -> Reply | None:
    if query.rcode:
        return Reply(query.rcode)
    if query.class_ != Qclass.IN:
        return Reply(Rcode.REFUSED)
    rcode = _UNWANTED.get(query.type)
    return None if rcode is None else Reply(rcode)


def _records(query: Query, node: Node | None) -> RecordSet | None:
    if node is None:
        return None
    found = node.records.get(query.type)
    if found is None and query.type == Qtype.ANY:
        # One set of records is answer enough (RFC 8482, section 4.1).
        return next(iter(node.records.values()), None)
    return found


def _yes(query: Query, records: RecordSet, turn: int, *, view: View) -> Reply:
    entries = records.pick(turn)
    beside = [entry.glue for entry in entries if entry.glue]
    return Reply(
        Rcode.NOERROR,
        authoritative=True,
        answers=Records(len(entries), b"".join([entry.record for entry in entries])),
        additional=(view.server,) if query.type == Qtype.NS else tuple(beside),
        note=records.note,
    )


def _no(query: Query, zone: Zone | None, *, exists: bool) -> Reply | None:
    """Return that `zone` has no such records, or no such name; None where it is no zone of ours."""
    if zone is None:
        return None
    rcode = Rcode.NOERROR if exists else Rcode.NXDOMAIN
    return Reply(rcode, authoritative=True, authority=zone.denial(query.question))
