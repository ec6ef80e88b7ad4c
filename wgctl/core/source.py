"""Where a connection from elsewhere comes from, as far as one host alone can choose it.

What is counted by that, and what becomes of what is too much, is said by who counts.
"""

from ipaddress import IPv4Address, ip_address

__all__ = ["source_of"]

_ADDRESS_BYTES = 8


def source_of(host: str) -> bytes:
    """Return 16 octets that stand for whoever connects from `host`, an address.

    A host with IPv6 has a whole /64 to choose from. An IPv4 address stands as the /48 that it has
    in 6to4 (RFC 3056), so that it shares its first six octets with no other.
    """
    address = ip_address(host.partition("%")[0])
    mapped = address if isinstance(address, IPv4Address) else address.ipv4_mapped
    if mapped is not None:
        return b"\x20\x02" + mapped.packed + bytes(10)
    return address.packed[:_ADDRESS_BYTES] + bytes(_ADDRESS_BYTES)
