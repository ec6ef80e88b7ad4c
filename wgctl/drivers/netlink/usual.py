"""Lists of peers as Linux usually tells them: each with one address of IPv6, all of one form.

Finds the same as reading one attribute after the other, in a tenth of the time; lists of any form
are read by `wgctl.drivers.netlink.decode`. The order of a peer's attributes is that of get_peer
and get_allowedips in drivers/net/wireguard/netlink.c.
"""

import re
import socket
from collections.abc import Sequence
from operator import add
from typing import NamedTuple

from wgctl.drivers.netlink.attributes import from_number, head, nested, pack
from wgctl.drivers.netlink.vocabulary import KEY_BYTES, AllowedIPAttribute, PeerAttribute

__all__ = ["UsualPeers", "usual"]

# The attributes of a peer before its endpoint, their sizes, and whether they are of interest.
_FACTS = (
    (PeerAttribute.PUBLIC_KEY, KEY_BYTES, True),
    (PeerAttribute.PRESHARED_KEY, KEY_BYTES, True),
    (PeerAttribute.LAST_HANDSHAKE, 16, True),
    (PeerAttribute.KEEPALIVE_INTERVAL, 2, False),
    (PeerAttribute.SENT_BYTES, 8, True),
    (PeerAttribute.RECEIVED_BYTES, 8, True),
    (PeerAttribute.PROTOCOL_VERSION, 4, False),
)
_ENDPOINT_BYTES = 16, 28
_HEAD_BYTES = 4
_ADDRESS_BYTES = 16

_HOST = (
    pack(AllowedIPAttribute.PREFIX_LENGTH, bytes((128,))),
    pack(AllowedIPAttribute.FAMILY, from_number(socket.AF_INET6, size=2)),
    pack(AllowedIPAttribute.ADDRESS, bytes(_ADDRESS_BYTES)),
)
_BEFORE_ADDRESS = nested(PeerAttribute.ALLOWED_IPS, [nested(0, _HOST)])[:-_ADDRESS_BYTES]


class UsualPeers(NamedTuple):
    """The peers of a list in their order, a column for each fact, as the kernel wrote it.

    `endpoints` is empty where there is none; `addresses` are prefixes of 128 bits.
    """

    keys: Sequence[bytes]
    preshared_keys: Sequence[bytes]
    handshakes: Sequence[bytes]
    sent: Sequence[bytes]
    received: Sequence[bytes]
    endpoints: Sequence[bytes]
    addresses: Sequence[bytes]


def usual(listed: bytes) -> UsualPeers | None:
    """Return the peers that are listed, None where one of them is of another form."""
    # A search begins at each byte of what is of another form.
    if not _PEER.match(listed):
        return None
    columns = zip(*_PEER.findall(listed), strict=True)
    _, _, keys, secrets, handshakes, sent, received, ipv4, ipv6, addresses = columns
    endpoints = tuple(map(add, ipv4, ipv6))
    if sum(map(_SIZES.__getitem__, map(len, endpoints))) != len(listed):
        return None  # Something stands between two of them.
    return UsualPeers(keys, secrets, handshakes, sent, received, endpoints, addresses)


def _packed(endpoint_bytes: int) -> bytes:
    """Return a peer all of whose values are zero, with an endpoint of this size; 0: with none."""
    facts = [pack(kind, bytes(size)) for kind, size, _ in _FACTS]
    if endpoint_bytes:
        facts.append(pack(PeerAttribute.ENDPOINT, bytes(endpoint_bytes)))
    return nested(0, [*facts, _BEFORE_ADDRESS + bytes(_ADDRESS_BYTES)])


def _form() -> re.Pattern[bytes]:
    """Return what finds a peer, and keeps its values.

    Before them it keeps the head of one with an IPv4 endpoint, or of one with an IPv6 endpoint.
    """
    heads = tuple(re.escape(_packed(size)[:_HEAD_BYTES]) for size in (0, *_ENDPOINT_BYTES))
    facts = (
        re.escape(head(kind, size)) + (b"(.{%d})" if kept else b".{%d}") % (size + -size % 4)
        for kind, size, kept in _FACTS
    )
    endpoints = (
        b"(?(%d)%s(.{%d}))" % (group, re.escape(head(PeerAttribute.ENDPOINT, size)), size)
        for group, size in enumerate(_ENDPOINT_BYTES, start=1)
    )
    address = re.escape(_BEFORE_ADDRESS) + b"(.{%d})" % _ADDRESS_BYTES
    pattern = (b"(?:%s|(%s)|(%s))" % heads, *facts, *endpoints, address)
    return re.compile(b"".join(pattern), re.DOTALL)


_SIZES = {size: len(_packed(size)) for size in (0, *_ENDPOINT_BYTES)}
_PEER = _form()
