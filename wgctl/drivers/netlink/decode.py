"""What GET_DEVICE tells, as a device and what it saw of each peer.

Takes the bytes of all its messages; who asks is `wgctl.drivers.netlink.wireguard`. They hold
secret keys: they are never logged.
"""

import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from peers.keys import PresharedKey, PrivateKey
from wgctl.core.ports import Seen
from wgctl.core.tunnel import Device
from wgctl.drivers.netlink.attributes import to_number, unpack
from wgctl.drivers.netlink.vocabulary import (
    KEY_BYTES,
    NO_KEY,
    AllowedIPAttribute,
    DeviceAttribute,
    PeerAttribute,
)

__all__ = ["parse"]

# struct sockaddr_in and sockaddr_in6: family, port in network order, and for IPv6 the flow before
# the address and the scope after it.
_IPV4_ENDPOINT = struct.Struct("=2s2s4s")
_IPV6_ENDPOINT = struct.Struct("=2s2s4x16s4s")
_SECONDS_BYTES = 8


@dataclass(slots=True)
class _Peer:
    """A peer, as far as it was told."""

    facts: dict[int, bytes] = field(default_factory=dict)
    allowed_ips: set[IPv6Network | IPv4Network] = field(default_factory=set)


def parse(messages: Iterable[bytes]) -> tuple[Device, Mapping[bytes, Seen]]:
    """Return the device that `messages` tell of, in order, and what it saw of each peer.

    A device that does not fit goes on in the next message, and so does a peer, by its key.
    Raises ValueError for another form.
    """
    own: dict[int, bytes] = {}
    peers: dict[bytes, _Peer] = {}
    for message in messages:
        for kind, value in unpack(message):
            if kind == DeviceAttribute.PEERS:
                for _, member in unpack(value):
                    _add(peers, member)
            else:
                own.setdefault(kind, value)
    private_key = own.get(DeviceAttribute.PRIVATE_KEY, NO_KEY)
    device = Device(
        None if private_key == NO_KEY else PrivateKey.from_bytes(private_key),
        to_number(own.get(DeviceAttribute.LISTEN_PORT, b"")),
        {key: frozenset(peer.allowed_ips) for key, peer in peers.items()},
        {
            key: PresharedKey.from_bytes(secret)
            for key, peer in peers.items()
            if (secret := peer.facts.get(PeerAttribute.PRESHARED_KEY, NO_KEY)) != NO_KEY
        },
    )
    return device, {key: _seen(peer.facts) for key, peer in peers.items()}


def _add(peers: dict[bytes, _Peer], member: bytes) -> None:
    facts = dict(unpack(member))
    key = facts.get(PeerAttribute.PUBLIC_KEY, b"")
    if len(key) != KEY_BYTES:
        raise ValueError(f"a peer with a key of {len(key)} bytes, expected {KEY_BYTES}")
    peer = peers.setdefault(key, _Peer())
    for _, told in unpack(facts.pop(PeerAttribute.ALLOWED_IPS, b"")):
        peer.allowed_ips.add(_allowed_ip(dict(unpack(told))))
    peer.facts = facts | peer.facts


def _allowed_ip(facts: Mapping[int, bytes]) -> IPv6Network | IPv4Network:
    try:
        family = to_number(facts[AllowedIPAttribute.FAMILY])
        address = facts[AllowedIPAttribute.ADDRESS]
        length = to_number(facts[AllowedIPAttribute.PREFIX_LENGTH])
    except KeyError as error:
        raise ValueError(f"an allowed IP without attribute {error}") from error
    if family == socket.AF_INET6:
        return IPv6Network((address, length))
    return IPv4Network((address, length))


def _seen(facts: Mapping[int, bytes]) -> Seen:
    handshake = facts.get(PeerAttribute.LAST_HANDSHAKE, b"")[:_SECONDS_BYTES]
    return Seen(
        endpoint=_endpoint(facts.get(PeerAttribute.ENDPOINT, b"")),
        last_handshake=to_number(handshake) or None,
        received_bytes=to_number(facts.get(PeerAttribute.RECEIVED_BYTES, b"")),
        sent_bytes=to_number(facts.get(PeerAttribute.SENT_BYTES, b"")),
    )


def _endpoint(address: bytes) -> str | None:
    """Return an endpoint as wireguard-go writes it, None if there is none."""
    if len(address) >= _IPV6_ENDPOINT.size:
        _, port, host, scope = _IPV6_ENDPOINT.unpack_from(address)
        zone = f"%{to_number(scope)}" if any(scope) else ""
        return f"[{IPv6Address(host)}{zone}]:{int.from_bytes(port)}"
    if len(address) >= _IPV4_ENDPOINT.size:
        _, port, host = _IPV4_ENDPOINT.unpack_from(address)
        return f"{IPv4Address(host)}:{int.from_bytes(port)}"
    return None
