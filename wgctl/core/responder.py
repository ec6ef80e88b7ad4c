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

from wgctl.core.names.zone import Node, Zone
from wgctl.core.view import View
from wgctl.core.wire import (
    ExtendedError,
    Qclass,
    Qtype,
    Query,
    Rcode,
    Records,
    Reply,
    pack_reply,
    read_query,
)

__all__ = ["Forward", "respond"]

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


def respond(
    message: bytes, *, view: View | None, forwards: bool, stream: bool, turn: int = 0
) -> bytes | Forward | None:
    """Return the reply to `message`, that it is to be asked elsewhere, or None for silence.

    `view` is that of the asker's network, None where it has none. `forwards` says whether there
    are upstreams, `stream` whether the reply has 65,535 octets of room or a datagram's. `turn`, a
    number drawn at random for each query, chooses where among several records the answer begins.
    """
    if view is None:
        return None
    query = read_query(message)
    if query is None:
        return None
    reply = _unfit(query) or _ours(query, view, turn)
    if reply is None:
        if forwards and query.recursion_desired:
            return Forward(query)
        reply = Reply(Rcode.REFUSED, error=ExtendedError.NOT_AUTHORITATIVE)
    return pack_reply(query, reply, stream=stream, forwards=forwards)


def _unfit(query: Query) -> Reply | None:
    if query.rcode:
        return Reply(query.rcode)
    if query.class_ != Qclass.IN:
        return Reply(Rcode.REFUSED)
    rcode = _UNWANTED.get(query.type)
    return None if rcode is None else Reply(rcode)


def _ours(query: Query, view: View, turn: int) -> Reply | None:
    """Return what the network's own names say; None for a name in none of its zones."""
    node = view.find(query.labels)
    if node is not None:
        return _found(query, node, turn, view=view)
    zone = view.zone_of(query.labels)
    if zone is None:
        return None
    return _denied(query, Rcode.NXDOMAIN, zone)


def _found(query: Query, node: Node, turn: int, *, view: View) -> Reply:
    found = node.records.get(query.type)
    if found is None and query.type == Qtype.ANY:
        # One set of records is answer enough (RFC 8482, section 4.1).
        found = next(iter(node.records.values()), None)
    if found is None:
        return _denied(query, Rcode.NOERROR, node.zone)
    entries = found.pick(turn)
    beside = [entry.glue for entry in entries if entry.glue]
    return Reply(
        Rcode.NOERROR,
        authoritative=True,
        answers=Records(len(entries), b"".join([entry.record for entry in entries])),
        additional=(view.server,) if query.type == Qtype.NS else tuple(beside),
        note=found.note,
    )


def _denied(query: Query, rcode: Rcode, zone: Zone) -> Reply:
    return Reply(rcode, authoritative=True, authority=zone.denial(query.question))
