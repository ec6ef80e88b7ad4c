"""Where a WireGuard device is reached from outside: a host and a UDP port.

Looks nothing up: whether a host name exists is for those who connect.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Self

from peers.errors import InvalidEndpoint, shown

__all__ = ["Endpoint"]

_MAX_PORT = 65535
_MAX_HOST = 253  # RFC 1035, section 2.3.4: 255 octets on the wire, less a length and the root

_BROADCAST = IPv4Address("255.255.255.255")

_PORT = re.compile(r"[1-9][0-9]{0,4}")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# inet_aton, and with it every resolver library, reads such a last label as part of an IPv4 address.
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")

_EXPECTED = "expected 203.0.113.7:51820, [2001:db8::1]:51820 or vpn.example.org:51820"


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """A host and a port.

    `host` is an IPv4 or IPv6 address in canonical text, without brackets, or a host name in lower
    case without a trailing dot; `port` is 1 to 65535. Raises InvalidEndpoint on anything else.
    """

    host: str
    port: int

    def __post_init__(self) -> None:
        if not 1 <= self.port <= _MAX_PORT:
            raise InvalidEndpoint(f"port {self.port}, expected 1 to {_MAX_PORT}")
        canonical = _canonical(self.host)
        if canonical != self.host:
            raise InvalidEndpoint(f"host {shown(self.host)}, expected its form {shown(canonical)}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `address:port`, `[address]:port` for IPv6, or `name:port`.

        IPv6 addresses may be in any spelling and names in any case; both come out canonical.
        Raises InvalidEndpoint, also for what is not one host that others can reach: unspecified,
        multicast and broadcast addresses, IPv4 written as IPv6, zones and link-local IPv6.
        """
        host, separator, port = text.rpartition(":")
        if not separator:
            raise InvalidEndpoint(f"endpoint {shown(text)} has no port, {_EXPECTED}")
        bracketed = host.startswith("[") and host.endswith("]")
        if not bracketed and ":" in host:
            raise InvalidEndpoint(f"endpoint {shown(text)} has no brackets, {_EXPECTED}")
        if not _PORT.fullmatch(port):
            raise InvalidEndpoint(
                f"endpoint {shown(text)}: port {shown(port)}, expected 1 to {_MAX_PORT}"
            )
        return cls(_ipv6(host[1:-1]) if bracketed else _lower(host), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _lower(host: str) -> str:
    # str.lower() alone would turn the Kelvin sign, U+212A, into a plain k.
    return host.lower() if host.isascii() else host


def _canonical(host: str) -> str:
    if ":" in host:
        return _ipv6(host)
    if _NUMERIC.fullmatch(_lower(host).rpartition(".")[2]):
        return _ipv4(host)
    return _name(_lower(host))


def _ipv6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except ValueError:
        raise InvalidEndpoint(f"host {shown(text)} is no IPv6 address, {_EXPECTED}") from None
    if address.scope_id is not None:
        raise InvalidEndpoint(f"host {shown(text)} has a zone, expected an address alone")
    if address.ipv4_mapped:
        raise InvalidEndpoint(f"host {shown(text)}, expected {address.ipv4_mapped} as IPv4")
    if address.is_link_local:
        raise InvalidEndpoint(f"host {shown(text)} is link-local, which only one link can reach")
    return _one_host(address)


def _ipv4(text: str) -> str:
    try:
        return _one_host(IPv4Address(text))
    except AddressValueError:
        raise InvalidEndpoint(
            f"host {shown(text)} ends in a number and is no IPv4 address, {_EXPECTED}"
        ) from None


def _one_host(address: IPv4Address | IPv6Address) -> str:
    """Return the address as text, unless it stands for no host or for many."""
    if address.is_unspecified or address.is_multicast or address == _BROADCAST:
        raise InvalidEndpoint(f"host {address} is not the address of one host, {_EXPECTED}")
    return str(address)


def _name(host: str) -> str:
    if len(host) > _MAX_HOST:
        raise InvalidEndpoint(f"host name of {len(host)} characters, expected at most {_MAX_HOST}")
    for label in host.split("."):
        if not _LABEL.fullmatch(label):
            raise InvalidEndpoint(
                f"host {shown(host)}: {shown(label)}, expected labels of 1 to 63 letters, digits "
                "and '-', with dots between them"
            )
    return host
