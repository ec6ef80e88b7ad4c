"""An upstream resolver, as the settings write it: address, port, transport, and its name for TLS.

Looks nothing up and asks nothing: see `wgctl.drivers.upstream`.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import AddressValueError, IPv6Address, ip_address
from typing import Self

from peers.endpoint import Endpoint
from peers.errors import Invalid, InvalidEndpoint, shown

__all__ = ["MOST_UPSTREAMS", "Transport", "Upstream"]

MOST_UPSTREAMS = 16
"""The most that a host has: no question has time for more than a few."""

_TEXT = re.compile(r"(?:(?P<scheme>[A-Za-z]+)://)?(?P<address>[^#]*)(?:#(?P<name>.*))?", re.DOTALL)
_EXPECTED = "expected 9.9.9.9, [2620:fe::fe]:53, tcp://9.9.9.9 or tls://9.9.9.9#dns.quad9.net"


class Transport(StrEnum):
    """How an upstream is asked; over UDP also over TCP, when a reply is too long for a datagram."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


_PORTS = {Transport.UDP: 53, Transport.TCP: 53, Transport.TLS: 853}  # RFC 7766, 7858


@dataclass(frozen=True, slots=True)
class Upstream:
    """One upstream.

    The host of `endpoint` is an address: a name could only be looked up by asking ourselves.
    `name` is what its certificate is for; None: its address, and always None without TLS.
    """

    endpoint: Endpoint
    transport: Transport = Transport.UDP
    name: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `[udp://|tcp://|tls://]ADDRESS[:PORT][#NAME]`, as resolved's `DNS=` has it.

        An IPv6 address with a port stands in brackets. A name means TLS, and may only stand with
        it. Without a port: 53, and 853 with TLS. Raises Invalid.
        """
        found = _TEXT.fullmatch(text)
        scheme, address, name = found.groups() if found else ("?", "", None)
        chosen = scheme or (Transport.UDP if name is None else Transport.TLS)
        if chosen not in _PORTS or (name is not None and chosen != Transport.TLS):
            raise Invalid(f"upstream {shown(text)}, {_EXPECTED}")
        transport = Transport(chosen)
        try:
            endpoint = _endpoint(address, port=_PORTS[transport])
            if name is not None:
                name = Endpoint.parse(f"{name}:{endpoint.port}").host
            ip_address(endpoint.host)
        except InvalidEndpoint as error:
            raise Invalid(f"upstream {shown(text)}: {error}") from None
        except ValueError:
            raise Invalid(f"upstream {shown(text)}: a name, expected an address") from None
        return cls(endpoint, transport, name)

    @property
    def address(self) -> bytes:
        """The address, as 4 or 16 octets."""
        return ip_address(self.endpoint.host).packed

    def __str__(self) -> str:
        scheme = "" if self.transport is Transport.UDP else f"{self.transport}://"
        return f"{scheme}{self.endpoint}" + (f"#{self.name}" if self.name else "")


def _endpoint(address: str, *, port: int) -> Endpoint:
    try:
        return Endpoint.parse(f"[{IPv6Address(address.strip('[]'))}]:{port}")
    except AddressValueError:
        return Endpoint.parse(address if ":" in address else f"{address}:{port}")
