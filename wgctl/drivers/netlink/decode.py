"""What GET_DEVICE tells, as a device, or as what it saw of each peer.

Takes the bytes of all its messages, as they come; who asks is `wgctl.drivers.netlink.wireguard`.
They hold secret keys: they are never logged. A device that does not fit into a message goes on in
the next, and so does a peer, by its key.
"""

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from itertools import chain

from peers.keys import PresharedKey, PrivateKey
from wgctl.core.allowed_ips import NO_IPS, AllowedIPs, from_rows, rows, to_row
from wgctl.core.ports import Seen
from wgctl.core.tunnel import Device
from wgctl.drivers.netlink.attributes import from_number, head, pack, to_number, unpack
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

# One allowed IP of IPv6 as Linux writes it (drivers/net/wireguard/netlink.c, get_allowedips), and
# where its length and its address are: nearly all are, and reading one by one takes ten times as
# long.
_LENGTH_AT, _FAMILY_AT, _ADDRESS_AT, _USUAL_BYTES = 8, 12, 24, 40
_USUAL_START = head(0x8000, _USUAL_BYTES - 4) + head(AllowedIPAttribute.PREFIX_LENGTH, 1)
_USUAL_MIDDLE = pack(AllowedIPAttribute.FAMILY, from_number(socket.AF_INET6, size=2)) + head(
    AllowedIPAttribute.ADDRESS, 16
)
_IPV6_SIZE = bytes((16,))
_SIZES: Mapping[int, int] = {socket.AF_INET: 4, socket.AF_INET6: 16}


def parse(messages: Iterable[bytes]) -> Device:
    """Return the device that `messages` tell of. Raises ValueError for another form."""
    own: dict[int, bytes] = {}
    peers: dict[bytes, AllowedIPs] = {}
    preshared_keys: dict[bytes, PresharedKey] = {}
    split: dict[bytes, list[AllowedIPs]] = {}
    for key, facts in _peers(messages, own):
        ips = _allowed_ips(facts.get(PeerAttribute.ALLOWED_IPS, b""))
        if key in peers:
            split.setdefault(key, [peers[key]]).append(ips)
        else:
            peers[key] = ips
        secret = facts.get(PeerAttribute.PRESHARED_KEY, NO_KEY)
        if secret != NO_KEY:
            preshared_keys[key] = PresharedKey.from_bytes(secret)
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

    Raises ValueError for another form.
    """
    seen: dict[bytes, Seen] = {}
    for key, facts in _peers(messages, {}):
        # Where a peer goes on, its key alone is told again.
        if key not in seen:
            seen[key] = _seen(facts)
    return seen


def _peers(
    messages: Iterable[bytes], own: dict[int, bytes]
) -> Iterator[tuple[bytes, Mapping[int, bytes]]]:
    """Yield keys and attributes of the peers; what is the device's own is added to `own`."""
    for message in messages:
        for kind, value in unpack(message):
            if kind != DeviceAttribute.PEERS:
                own.setdefault(kind, value)
                continue
            for _, member in unpack(value):
                facts = dict(unpack(member))
                key = facts.get(PeerAttribute.PUBLIC_KEY, b"")
                if len(key) != KEY_BYTES:
                    raise ValueError(f"a peer with a key of {len(key)} bytes, expected {KEY_BYTES}")
                yield key, facts


def _allowed_ips(data: bytes) -> AllowedIPs:
    if (
        len(data) == _USUAL_BYTES
        and data[:_LENGTH_AT] == _USUAL_START
        and data[_FAMILY_AT:_ADDRESS_AT] == _USUAL_MIDDLE
    ):
        return AllowedIPs(_IPV6_SIZE + data[_LENGTH_AT : _LENGTH_AT + 1] + data[_ADDRESS_AT:])
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
