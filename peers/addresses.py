"""Prefixes and addresses of networks, gateways and peers, by arithmetic alone.

Knows nothing of which numbers are taken.

    fdaa : nnnn nnnn : hhhh : 0000 0000 0000 0002
    pool   network id  host   number inside (network, host)

The pool is 16 to 32 bits long; the network id fills what is left of the first 48. Host 0 is the
network itself, host 1 is for service addresses, and from 16 up hosts are gateways.
"""

from ipaddress import IPv6Address, IPv6Network

from peers.errors import InvalidAddress, shown

__all__ = [
    "DEFAULT_POOL",
    "FIRST_GATEWAY",
    "FIRST_PEER",
    "FIRST_SERVICE",
    "GATEWAY_SELF",
    "LAST_GATEWAY",
    "RESOLVER_NUMBER",
    "SERVICE_HOST",
    "gateway_address",
    "gateway_prefix",
    "network_id_bits",
    "network_prefix",
    "parse_pool",
    "peer_address",
    "prefix_of",
    "resolver_address",
    "reverse_name",
    "reverse_zone",
    "service_address",
]

DEFAULT_POOL = IPv6Network("fdaa::/16")

RESOLVER_NUMBER = 3
SERVICE_HOST = 1
FIRST_GATEWAY = 16
LAST_GATEWAY = 65535
GATEWAY_SELF = 1
FIRST_PEER = 2
FIRST_SERVICE = 2

_ADDRESS_BITS = 128
_NETWORK_LENGTH = 48
_GATEWAY_LENGTH = 64
_NIBBLE_BITS = 4
_NETWORK_MASK = (2**_NETWORK_LENGTH - 1) << (_ADDRESS_BITS - _NETWORK_LENGTH)

# The half of the unique local addresses whose prefixes anyone may choose (RFC 4193, section 3.1).
_LOCAL = IPv6Network("fd00::/8")
_SHORTEST_POOL = 16
_LONGEST_POOL = 32


def parse_pool(text: str) -> IPv6Network:
    """Read the prefix that a deployment's networks are cut from.

    It lies in fd00::/8, has a length of 16 to 32 and no bits set behind it. Raises InvalidAddress.
    """
    expected = "expected a prefix like fdaa::/16"
    try:
        pool = IPv6Network(text)
    except ValueError:
        raise InvalidAddress(f"pool {shown(text)} is no IPv6 prefix, {expected}") from None
    if pool.network_address.scope_id is not None:
        raise InvalidAddress(f"pool {shown(text)} has a zone, {expected}")
    if not pool.subnet_of(_LOCAL):
        raise InvalidAddress(f"pool {shown(text)} is not in {_LOCAL}, {expected}")
    if not _SHORTEST_POOL <= pool.prefixlen <= _LONGEST_POOL:
        raise InvalidAddress(
            f"pool {shown(text)}: length {pool.prefixlen}, "
            f"expected {_SHORTEST_POOL} to {_LONGEST_POOL}"
        )
    return pool


def network_id_bits(pool: IPv6Network) -> int:
    """Return how many bits a network id has in `pool`: 32 for a /16, 16 for a /32."""
    return _NETWORK_LENGTH - pool.prefixlen


def network_prefix(pool: IPv6Network, network_id: int) -> IPv6Network:
    """Return the /48 of network `network_id`.

    Raises InvalidAddress unless 0 <= network_id < 2**network_id_bits(pool).
    """
    _within("network id", network_id, range(2 ** network_id_bits(pool)))
    return IPv6Network((_packed(pool) | network_id << 80, _NETWORK_LENGTH))


def resolver_address(prefix: IPv6Network) -> IPv6Address:
    """Return the address of a network's resolver and API: `::3` in its /48.

    Raises InvalidAddress unless `prefix` is a /48.
    """
    return IPv6Address(_network(prefix) + RESOLVER_NUMBER)


def gateway_prefix(prefix: IPv6Network, number: int) -> IPv6Network:
    """Return the /64 of gateway `number` in the network of `prefix`.

    Raises InvalidAddress unless FIRST_GATEWAY <= number <= LAST_GATEWAY and `prefix` is a /48.
    """
    return IPv6Network((_gateway(prefix, number), _GATEWAY_LENGTH))


def gateway_address(prefix: IPv6Network, number: int) -> IPv6Address:
    """Return the address of gateway `number` itself in the network of `prefix`.

    Raises InvalidAddress as `gateway_prefix` does.
    """
    return IPv6Address(_gateway(prefix, number) + GATEWAY_SELF)


def peer_address(prefix: IPv6Network, gateway_number: int, number: int) -> IPv6Address:
    """Return the address of peer `number` that was born at a gateway.

    Raises InvalidAddress as `gateway_prefix` does, and unless FIRST_PEER <= number < 2**64.
    """
    _within("peer number", number, range(FIRST_PEER, 2**64))
    return IPv6Address(_gateway(prefix, gateway_number) + number)


def service_address(prefix: IPv6Network, number: int) -> IPv6Address:
    """Return service address `number` of the network of `prefix`: no host has it.

    Raises InvalidAddress unless FIRST_SERVICE <= number < 2**64 and `prefix` is a /48.
    """
    _within("service number", number, range(FIRST_SERVICE, 2**64))
    return IPv6Address(_network(prefix) | SERVICE_HOST << _GATEWAY_LENGTH | number)


def prefix_of(address: IPv6Address) -> IPv6Network:
    """Return the /48 that holds `address`, in whatever pool it may be."""
    return IPv6Network((int(address) & _NETWORK_MASK, _NETWORK_LENGTH))


def reverse_name(address: IPv6Address) -> str:
    """Return the name that PTR records of `address` stand at: 32 nibbles, no trailing dot."""
    return f"{_reversed_nibbles(int(address), 32)}.ip6.arpa"


def reverse_zone(prefix: IPv6Network) -> str:
    """Return the zone that holds the reverse names of `prefix`: 12 nibbles for a /48, no final dot.

    Raises InvalidAddress unless the length is a multiple of 4 and not 0.
    """
    nibbles, rest = divmod(prefix.prefixlen, _NIBBLE_BITS)
    if rest or not nibbles:
        raise InvalidAddress(f"prefix {prefix}: expected a length that is a multiple of 4, not 0")
    return f"{_reversed_nibbles(_packed(prefix), nibbles)}.ip6.arpa"


def _reversed_nibbles(number: int, count: int) -> str:
    return ".".join(reversed(f"{number:032x}"[:count]))


def _gateway(prefix: IPv6Network, number: int) -> int:
    _within("gateway number", number, range(FIRST_GATEWAY, LAST_GATEWAY + 1))
    return _network(prefix) | number << _GATEWAY_LENGTH


def _network(prefix: IPv6Network) -> int:
    if prefix.prefixlen != _NETWORK_LENGTH:
        raise InvalidAddress(f"prefix {prefix}, expected a /{_NETWORK_LENGTH}")
    return _packed(prefix)


def _packed(prefix: IPv6Network) -> int:
    return int(prefix.network_address)


def _within(what: str, number: int, allowed: range) -> None:
    if number not in allowed:
        raise InvalidAddress(f"{what} {number}, expected {allowed.start} to {allowed.stop - 1}")
