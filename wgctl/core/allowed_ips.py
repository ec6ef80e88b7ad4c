"""The allowed IPs of a peer, as one row of bytes.

A device has a hundred thousand peers and each has such a list: a frozen set of networks takes 500
bytes and 5 microseconds to make, a row of bytes 60 and half a one, and two rows are compared as
bytes. Which IPs a peer is to have is `wgctl.core.plan`.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import islice, repeat
from operator import add
from typing import NewType, cast

__all__ = [
    "NO_IPS",
    "ROW_HEAD_BYTES",
    "AllowedIPs",
    "all_addresses",
    "from_rows",
    "in_words",
    "pack",
    "pack_host",
    "pack_hosts",
    "rows",
    "texts",
    "to_row",
    "unpack",
]

AllowedIPs = NewType("AllowedIPs", bytes)
"""Rows in order, each once: the size of an address in bytes, the length of the prefix, the address.

One set of allowed IPs is one value.
"""

NO_IPS = AllowedIPs(b"")

ROW_HEAD_BYTES = 2
"""What stands before the address in a row."""

_NAMED = 5
_IPV6_BYTES = 16
_IPV6_ROW_BYTES = ROW_HEAD_BYTES + _IPV6_BYTES
_IPV6_HOST = bytes((_IPV6_BYTES, 128))


def pack(networks: Iterable[IPv6Network | IPv4Network]) -> AllowedIPs:
    """Return `networks` as a value."""
    return from_rows(to_row(one.network_address.packed, one.prefixlen) for one in networks)


def pack_host(address: IPv6Address) -> AllowedIPs:
    """Return one address, which is a prefix of 128 bits, as a value."""
    return AllowedIPs(_IPV6_HOST + address.packed)


def pack_hosts(addresses: Iterable[bytes]) -> Iterator[AllowedIPs]:
    """Yield for each address, 16 bytes, a value that is it alone."""
    return cast(Iterator[AllowedIPs], map(add, repeat(_IPV6_HOST), addresses))


def unpack(ips: AllowedIPs) -> frozenset[IPv6Network | IPv4Network]:
    """Return the networks that `pack` was given."""
    return frozenset(_network(row) for row in _each(ips))


def to_row(address: bytes, length: int) -> bytes:
    """Return the row of a prefix, whose address has 4 or 16 bytes and no bits behind the prefix."""
    return bytes((len(address), length)) + address


def from_rows(found: Iterable[bytes]) -> AllowedIPs:
    """Return the value of these rows, in whatever order they are."""
    return AllowedIPs(b"".join(sorted(set(found))))


def all_addresses(values: Iterable[AllowedIPs]) -> bool:
    """Whether each of `values` is one address of IPv6."""
    listed = list(values)
    starts = map(bytes.startswith, listed, repeat(_IPV6_HOST))
    return set(map(len, listed)) <= {_IPV6_ROW_BYTES} and all(starts)


def rows(ips: AllowedIPs) -> frozenset[bytes]:
    """Return the rows of a value, to compare one by one."""
    # Nearly every peer has one address of IPv6.
    return frozenset((ips,) if _is_one_ipv6(ips) else _each(ips))


def texts(ips: AllowedIPs) -> list[str]:
    """Return each prefix in its usual writing, in the order of the rows."""
    return list(map(_text, _each(ips)))


def in_words(ips: AllowedIPs) -> str:
    """Return the first few prefixes, and how many there are besides; `nothing` where there is none.

    Somebody may give a peer 65,000, which fill a megabyte.
    """
    found = list(islice(_each(ips), _NAMED + 1))
    if len(found) > _NAMED:
        more = len(rows(ips)) - _NAMED
        return f"{', '.join(map(_text, found[:_NAMED]))} and {more} more"
    return ", ".join(map(_text, found)) or "nothing"


def _is_one_ipv6(ips: bytes) -> bool:
    """Whether a value is one row, of an IPv6 prefix."""
    return len(ips) == _IPV6_ROW_BYTES and ips[0] == _IPV6_BYTES


def _each(ips: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(ips):
        end = at + ROW_HEAD_BYTES + ips[at]
        yield ips[at:end]
        at = end


def _text(row: bytes) -> str:
    return f"{_address(row)}/{row[1]}"


def _address(row: bytes) -> IPv6Address | IPv4Address:
    packed = row[ROW_HEAD_BYTES:]
    return IPv6Address(packed) if row[0] == _IPV6_BYTES else IPv4Address(packed)


def _network(row: bytes) -> IPv6Network | IPv4Network:
    packed = row[ROW_HEAD_BYTES:]
    if row[0] == _IPV6_BYTES:
        return IPv6Network((packed, row[1]))
    return IPv4Network((packed, row[1]))
