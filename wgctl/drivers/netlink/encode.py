"""What SET_DEVICE is told, as bytes.

Takes steps; who sends the bytes is `wgctl.drivers.netlink.wireguard`. They may hold secret keys:
they are never logged. The peers of a device are never replaced as a whole, nor is an endpoint set
but of a peer that is greeted.
"""

import socket
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from itertools import repeat
from operator import itemgetter
from typing import assert_never

from wgctl.core.allowed_ips import ROW_HEAD_BYTES, all_addresses, pack_host, rows
from wgctl.core.tunnel import (
    AddPeers,
    DeviceStep,
    GivePeer,
    Greet,
    RemovePeer,
    SetDevice,
    SetPeer,
    Source,
)
from wgctl.drivers.netlink.attributes import LONGEST_BYTES, from_number, head, nested, pack
from wgctl.drivers.netlink.vocabulary import (
    KEY_BYTES,
    NO_KEY,
    AllowedIPAttribute,
    DeviceAttribute,
    PeerAttribute,
    PeerFlag,
)

__all__ = ["device_name", "requests"]

# 40 bytes each: with these a peer fills two thirds of an attribute.
_IPS_IN_A_PIECE = 1024

# The members of a list have no number of their own.
_MEMBER = 0

# What is the same in every peer and in every allowed IP is packed once: it is most of the work.
_KEY_HEAD = head(PeerAttribute.PUBLIC_KEY, KEY_BYTES)
_SECRET_HEAD = head(PeerAttribute.PRESHARED_KEY, KEY_BYTES)
_FLAGS = {
    flags: pack(PeerAttribute.FLAGS, from_number(flags, size=4))
    for flags in (
        PeerFlag(0),
        PeerFlag.REMOVE,
        PeerFlag.REPLACE_ALLOWED_IPS,
        PeerFlag.UPDATE_ONLY,
    )
}
_NO_SECRET = _SECRET_HEAD + NO_KEY
_LENGTHS = [pack(AllowedIPAttribute.PREFIX_LENGTH, bytes((length,))) for length in range(129)]


def _before_address(family: int, size: int) -> bytes:
    """Return all that stands before the address of an allowed IP."""
    named = pack(AllowedIPAttribute.FAMILY, from_number(family, size=2))
    address = pack(AllowedIPAttribute.ADDRESS, bytes(size))
    return nested(_MEMBER, (named, address, _LENGTHS[0]))[: -size - len(_LENGTHS[0])]


_BEFORE_ADDRESS = {4: _before_address(socket.AF_INET, 4), 16: _before_address(socket.AF_INET6, 16)}


def device_name(interface: str) -> bytes:
    """Return the attribute that says which device is meant."""
    return pack(DeviceAttribute.NAME, interface.encode("ascii") + b"\0")


def requests(interface: str, steps: Sequence[DeviceStep]) -> Iterator[bytes]:
    """Yield the attributes of one SET_DEVICE after another, which together take `steps`.

    The device's own values come first. As many peers as it holds share a request, and a peer with
    more allowed IPs goes on in the next one; one that is made anew goes and comes in one.
    """
    own: dict[DeviceAttribute, bytes] = {}
    for step in steps:
        if isinstance(step, SetDevice):
            own |= _own(step)
    name = device_name(interface)
    if own:
        yield name + b"".join(pack(kind, value) for kind, value in own.items())
    for group in _grouped(piece for step in steps for piece in _pieces_of(step)):
        yield name + nested(DeviceAttribute.PEERS, group)


def _pieces_of(step: DeviceStep) -> Iterator[bytes]:
    match step:
        case AddPeers():
            yield from _added(step)
        case SetPeer():
            yield from _set(step)
        case GivePeer(key, allowed_ips):
            yield from _pieces(key, PeerFlag.UPDATE_ONLY, rows(allowed_ips))
        case RemovePeer(key):
            yield _piece(key, PeerFlag.REMOVE)
        case Greet():
            yield from _greeting(step)
        case SetDevice():
            return
        case _:
            assert_never(step)


def _own(step: SetDevice) -> Iterable[tuple[DeviceAttribute, bytes]]:
    if step.private_key is not None:
        yield DeviceAttribute.PRIVATE_KEY, step.private_key.raw
    if step.listen_port is not None:
        yield DeviceAttribute.LISTEN_PORT, from_number(step.listen_port, size=2)


def _added(step: AddPeers) -> Iterator[bytes]:
    """Yield new peers; those without a preshared key that have one address of IPv6 by the row."""
    if step.preshared_keys or not all_addresses(step.peers.values()):
        for one in step.each():
            yield from _set(one)
        return
    before, between, after = map(repeat, _around_key_and_address())
    addresses = map(itemgetter(slice(ROW_HEAD_BYTES, None)), step.peers.values())
    yield from map(b"".join, zip(before, step.peers, between, addresses, after, strict=False))


def _around_key_and_address() -> tuple[bytes, bytes, bytes]:
    """Return what stands before, between and after the two in a new peer with one address."""
    key, address = b"\x01" * KEY_BYTES, IPv6Address(b"\x02" * 16)
    before, _, rest = next(_set(SetPeer(key, pack_host(address)))).partition(key)
    between, _, after = rest.partition(address.packed)
    return before, between, after


def _set(step: SetPeer) -> Iterator[bytes]:
    secret = _SECRET_HEAD + step.preshared_key.raw if step.preshared_key else _NO_SECRET
    flags = PeerFlag.REPLACE_ALLOWED_IPS
    first, *more = _pieces(step.key, flags, rows(step.allowed_ips), own=secret)
    yield _piece(step.key, PeerFlag.REMOVE) + first if step.anew else first
    yield from more


def _pieces(
    key: bytes, flags: PeerFlag, found: frozenset[bytes], *, own: bytes = b""
) -> Iterator[bytes]:
    """Yield a peer; only its first piece may empty the list that the others add to."""
    packed = list(map(_allowed_ip, sorted(found)))
    yield _piece(key, flags, packed[:_IPS_IN_A_PIECE], own=own)
    for start in range(_IPS_IN_A_PIECE, len(packed), _IPS_IN_A_PIECE):
        more = packed[start : start + _IPS_IN_A_PIECE]
        yield _piece(key, flags & PeerFlag.UPDATE_ONLY, more)


def _greeting(step: Greet) -> Iterator[bytes]:
    """Yield a peer twice: a keepalive that is switched on is sent at once, after a handshake."""
    place = pack(PeerAttribute.ENDPOINT, _endpoint(step.source))
    for own, interval_s in ((place, 1), (b"", 0)):
        interval = pack(PeerAttribute.KEEPALIVE_INTERVAL, from_number(interval_s, size=2))
        yield _piece(step.key, PeerFlag.UPDATE_ONLY, own=own + interval)


def _endpoint(source: Source) -> bytes:
    """Return a struct sockaddr_in or sockaddr_in6."""
    port, host = source.port.to_bytes(2), source.host.packed
    if isinstance(source.host, IPv4Address):
        return from_number(socket.AF_INET, size=2) + port + host + bytes(8)
    scope = from_number(int(source.host.scope_id or 0), size=4)
    return from_number(socket.AF_INET6, size=2) + port + bytes(4) + host + scope


def _piece(
    key: bytes, flags: PeerFlag, allowed_ips: Sequence[bytes] = (), *, own: bytes = b""
) -> bytes:
    members = [_KEY_HEAD, key, _FLAGS[flags], own]
    if allowed_ips:
        members.append(nested(PeerAttribute.ALLOWED_IPS, allowed_ips))
    return nested(_MEMBER, members)


def _allowed_ip(row: bytes) -> bytes:
    return b"".join((_BEFORE_ADDRESS[row[0]], row[ROW_HEAD_BYTES:], _LENGTHS[row[1]]))


def _grouped(pieces: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield `pieces` in order, as many at a time as one attribute holds."""
    group: list[bytes] = []
    size = 0
    for piece in pieces:
        if size + len(piece) > LONGEST_BYTES:
            yield group
            group, size = [], 0
        group.append(piece)
        size += len(piece)
    if group:
        yield group
