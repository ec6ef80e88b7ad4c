"""What SET_DEVICE is told, as bytes.

Takes steps; who sends the bytes is `wgctl.drivers.netlink.wireguard`. They may hold secret keys:
they are never logged. The peers of a device are never replaced as a whole, nor is an endpoint set
but of a peer that is greeted.
"""

import socket
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import assert_never

from wgctl.core.tunnel import DeviceStep, Greet, RemovePeer, SetDevice, SetPeer, Source
from wgctl.drivers.netlink.attributes import LONGEST_BYTES, from_number, nested, pack
from wgctl.drivers.netlink.vocabulary import (
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


def device_name(interface: str) -> bytes:
    """Return the attribute that says which device is meant."""
    return pack(DeviceAttribute.NAME, interface.encode("ascii") + b"\0")


def requests(interface: str, steps: Sequence[DeviceStep]) -> Iterator[bytes]:
    """Yield the attributes of one SET_DEVICE after another, which together take `steps`.

    The device's own values come first. As many peers as it holds share a request, and a peer with
    more allowed IPs goes on in the next one.
    """
    own: dict[DeviceAttribute, bytes] = {}
    pieces: list[bytes] = []
    for step in steps:
        match step:
            case SetDevice():
                own |= _own(step)
            case RemovePeer(key):
                pieces.append(_piece(key, PeerFlag.REMOVE))
            case SetPeer():
                pieces += _pieces(step)
            case Greet():
                pieces += _greeting(step)
            case _:
                assert_never(step)
    name = device_name(interface)
    if own:
        yield name + b"".join(pack(kind, value) for kind, value in own.items())
    for group in _grouped(pieces):
        yield name + nested(DeviceAttribute.PEERS, group)


def _own(step: SetDevice) -> Iterable[tuple[DeviceAttribute, bytes]]:
    if step.private_key is not None:
        yield DeviceAttribute.PRIVATE_KEY, step.private_key.raw
    if step.listen_port is not None:
        yield DeviceAttribute.LISTEN_PORT, from_number(step.listen_port, size=2)


def _pieces(step: SetPeer) -> Iterator[bytes]:
    """Yield a peer; only its first piece may empty the list that the others add to."""
    packed = [_allowed_ip(one) for one in sorted(step.allowed_ips, key=str)]
    preshared_key = step.preshared_key.raw if step.preshared_key else NO_KEY
    secret = pack(PeerAttribute.PRESHARED_KEY, preshared_key)
    yield _piece(step.key, PeerFlag.REPLACE_ALLOWED_IPS, packed[:_IPS_IN_A_PIECE], own=secret)
    for start in range(_IPS_IN_A_PIECE, len(packed), _IPS_IN_A_PIECE):
        yield _piece(step.key, PeerFlag(0), packed[start : start + _IPS_IN_A_PIECE])


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
    members = [
        pack(PeerAttribute.PUBLIC_KEY, key),
        pack(PeerAttribute.FLAGS, from_number(flags, size=4)),
        own,
    ]
    if allowed_ips:
        members.append(nested(PeerAttribute.ALLOWED_IPS, allowed_ips))
    return nested(_MEMBER, members)


def _allowed_ip(network: IPv6Network | IPv4Network) -> bytes:
    family = socket.AF_INET6 if network.version == 6 else socket.AF_INET  # noqa: PLR2004  # IPv6
    return nested(
        _MEMBER,
        [
            pack(AllowedIPAttribute.FAMILY, from_number(family, size=2)),
            pack(AllowedIPAttribute.ADDRESS, network.network_address.packed),
            pack(AllowedIPAttribute.PREFIX_LENGTH, from_number(network.prefixlen, size=1)),
        ],
    )


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
