"""What GET_DEVICE tells, as a device, or as what it saw of each peer.

Takes the bytes of all its messages, as they come; who asks is `wgctl.drivers.netlink.wireguard`.
They hold secret keys: they are never logged. A device that does not fit into a message goes on in
the next, and so does a peer, by its key.
"""

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from itertools import chain

from peers.keys import PresharedKey, PrivateKey
from wgctl.core.allowed_ips import NO_IPS, AllowedIPs, from_rows, pack_hosts, rows, to_row
from wgctl.core.ports import Seen
from wgctl.core.tunnel import Device
from wgctl.drivers.netlink.attributes import to_number, unpack
from wgctl.drivers.netlink.usual import usual
from wgctl.drivers.netlink.vocabulary import (
    KEY_BYTES,
    NO_KEY,
    AllowedIPAttribute,
    DeviceAttribute,
    PeerAttribute,
)

__all__ = ["parse", "parse_seen"]

# struct sockaddr_in and sockaddr_in6: family, port in network order, and for IPv6 the flow before
# the address and the scope after it.
_IPV4_ENDPOINT = struct.Struct("=2s2s4s")
_IPV6_ENDPOINT = struct.Struct("=2s2s4x16s4s")
_SECONDS_BYTES = 8

_SEEN = (
    PeerAttribute.ENDPOINT,
    PeerAttribute.LAST_HANDSHAKE,
    PeerAttribute.RECEIVED_BYTES,
    PeerAttribute.SENT_BYTES,
)

_SIZES: Mapping[int, int] = {socket.AF_INET: 4, socket.AF_INET6: 16}


def parse(messages: Iterable[bytes]) -> Device:
    """Return the device that `messages` tell of. Raises ValueError for another form."""
    own: dict[int, bytes] = {}
    peers: dict[bytes, AllowedIPs] = {}
    preshared_keys: dict[bytes, PresharedKey] = {}
    split: dict[bytes, list[AllowedIPs]] = {}
    for listed in _lists(messages, own):
        told = usual(listed)
        if told is not None and _are_new(told.keys, peers):
            peers.update(zip(told.keys, pack_hosts(told.addresses), strict=True))
            preshared_keys.update(_preshared_keys(told.keys, told.preshared_keys))
            continue
        for key, facts in _peers(listed):
            ips = _allowed_ips(facts.get(PeerAttribute.ALLOWED_IPS, b""))
            if key in peers:
                split.setdefault(key, [peers[key]]).append(ips)
            else:
                peers[key] = ips
            secret = facts.get(PeerAttribute.PRESHARED_KEY, NO_KEY)
            preshared_keys.update(_preshared_keys([key], [secret]))
    peers.update(
        (key, from_rows(chain.from_iterable(map(rows, parts)))) for key, parts in split.items()
    )
    private_key = own.get(DeviceAttribute.PRIVATE_KEY, NO_KEY)
    return Device(
        None if private_key == NO_KEY else PrivateKey.from_bytes(private_key),
        to_number(own.get(DeviceAttribute.LISTEN_PORT, b"")),
        peers,
        preshared_keys,
    )


def parse_seen(messages: Iterable[bytes]) -> Mapping[bytes, Seen]:
    """Return what the device that `messages` tell of saw of each peer, by its key.

    Of a peer that is told more than once, what was told first. Raises ValueError for another form.
    """
    seen: dict[bytes, Seen] = {}
    for listed in _lists(messages, {}):
        told = usual(listed)
        if told is not None and _are_new(told.keys, seen):
            sights = map(_seen, told.endpoints, told.handshakes, told.received, told.sent)
            seen.update(zip(told.keys, sights, strict=True))
            continue
        for key, facts in _peers(listed):
            # Where a peer goes on, its key alone is told again.
            if key not in seen:
                seen[key] = _seen(*(facts.get(kind, b"") for kind in _SEEN))
    return seen


def _are_new(keys: Sequence[bytes], peers: Mapping[bytes, object]) -> bool:
    """Whether each of `keys` is told once, and none was told before."""
    return len(set(keys)) == len(keys) and peers.keys().isdisjoint(keys)


def _preshared_keys(
    keys: Sequence[bytes], secrets: Sequence[bytes]
) -> Iterator[tuple[bytes, PresharedKey]]:
    """Yield those of `keys` that have a preshared key, with it."""
    if secrets.count(NO_KEY) < len(secrets):
        for key, secret in zip(keys, secrets, strict=True):
            if secret != NO_KEY:
                yield key, PresharedKey.from_bytes(secret)


def _lists(messages: Iterable[bytes], own: dict[int, bytes]) -> Iterator[bytes]:
    """Yield the lists of peers; what is the device's own is added to `own`."""
    for message in messages:
        for kind, value in unpack(message):
            if kind == DeviceAttribute.PEERS:
                yield value
            else:
                own.setdefault(kind, value)


def _peers(listed: bytes) -> Iterator[tuple[bytes, Mapping[int, bytes]]]:
    """Yield keys and attributes of the peers of a list."""
    for _, member in unpack(listed):
        facts = dict(unpack(member))
        key = facts.get(PeerAttribute.PUBLIC_KEY, b"")
        if len(key) != KEY_BYTES:
            raise ValueError(f"a peer with a key of {len(key)} bytes, expected {KEY_BYTES}")
        yield key, facts


def _allowed_ips(data: bytes) -> AllowedIPs:
    return from_rows(_row(dict(unpack(told))) for _, told in unpack(data)) if data else NO_IPS


def _row(facts: Mapping[int, bytes]) -> bytes:
    try:
        family = to_number(facts[AllowedIPAttribute.FAMILY])
        address = facts[AllowedIPAttribute.ADDRESS]
        length = to_number(facts[AllowedIPAttribute.PREFIX_LENGTH])
    except KeyError as error:
        raise ValueError(f"an allowed IP without attribute {error}") from error
    if len(address) != _SIZES.get(family) or length > 8 * len(address):
        raise ValueError(f"an allowed IP of family {family}, {len(address)} bytes, /{length}")
    return to_row(address, length)


def _seen(endpoint: bytes, handshake: bytes, received: bytes, sent: bytes) -> Seen:
    return Seen(
        endpoint=_endpoint(endpoint),
        last_handshake=to_number(handshake[:_SECONDS_BYTES]) or None,
        received_bytes=to_number(received),
        sent_bytes=to_number(sent),
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
