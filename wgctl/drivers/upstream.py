"""Asks upstream resolvers what is none of our own names.

Knows ports, ids, patience and which reply to believe (RFC 5452); which names may leave the
network at all is `wgctl.core.responder`.
"""

import asyncio
import secrets
import socket
from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_address

from peers.endpoint import Endpoint
from wgctl.core.errors import Invalid
from wgctl.core.wire import (
    Query,
    Rcode,
    Relayed,
    Reply,
    pack_reply,
    read_relayed,
    relay,
    upstream_query,
)

__all__ = ["Upstreams"]

_TIMEOUT_S = 2.0
_IN_FLIGHT = 512
# An eighth of all, so that one network's dead domains leave the others room.
_IN_FLIGHT_OF_NETWORK = 64
# More than a few wrong replies on one port are no accident.
_MAX_STRAYS = 8
_MAX_DATAGRAM_BYTES = 65535
_LENGTH_BYTES = 2
_BELIEVED = frozenset({Rcode.NOERROR, Rcode.NXDOMAIN})


class Upstreams:
    """The upstreams of this host, asked one after the other; the last that helped comes first.

    Each question has a port and an id of its own. Nothing is kept.
    """

    def __init__(self, endpoints: Sequence[Endpoint], *, timeout_s: float = _TIMEOUT_S) -> None:
        """Ask `endpoints`, each for at most `timeout_s`; raises Invalid unless all are addresses.

        A name could only be looked up by asking ourselves.
        """
        for endpoint in endpoints:
            _family(endpoint)
        self._endpoints = list(endpoints)
        self._timeout_s = timeout_s
        self._in_flight: Counter[bytes] = Counter()

    def __bool__(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self._endpoints)

    async def ask(self, query: Query, *, network: bytes, stream: bool) -> bytes:
        """Return the reply to `query`: an upstream's, or SERVFAIL.

        SERVFAIL when none gave an answer or a firm no in its time, and when 64 queries of
        `network`, whatever names it, or 512 in all are under way.
        """
        busy = self._in_flight.total() >= _IN_FLIGHT
        if busy or self._in_flight[network] >= _IN_FLIGHT_OF_NETWORK:
            return _failed(query, stream=stream)
        self._in_flight[network] += 1
        try:
            relayed = await self._first_good(query, stream=stream)
        finally:
            self._in_flight[network] -= 1
            self._in_flight += Counter()  # forgets networks that have none left
        if relayed is None:
            return _failed(query, stream=stream)
        return relay(query, relayed, stream=stream)

    async def _first_good(self, query: Query, *, stream: bool) -> Relayed | None:
        for endpoint in tuple(self._endpoints):
            try:
                async with asyncio.timeout(self._timeout_s):
                    relayed = await _exchange(endpoint, query, stream=stream)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                continue
            if relayed is not None and not relayed.truncated and relayed.rcode in _BELIEVED:
                self._prefer(endpoint)
                return relayed
        return None

    def _prefer(self, endpoint: Endpoint) -> None:
        if self._endpoints[0] != endpoint:
            self._endpoints.remove(endpoint)
            self._endpoints.insert(0, endpoint)


def _failed(query: Query, *, stream: bool) -> bytes:
    return pack_reply(query, Reply(Rcode.SERVFAIL), stream=stream, forwards=True)


def _family(endpoint: Endpoint) -> socket.AddressFamily:
    try:
        version = ip_address(endpoint.host).version
    except ValueError:
        raise Invalid(f"upstream {endpoint}: a name, expected an address") from None
    return {4: socket.AF_INET, 6: socket.AF_INET6}[version]


async def _exchange(endpoint: Endpoint, query: Query, *, stream: bool) -> Relayed | None:
    """Ask one upstream, over TCP what the asker sent over TCP or what a datagram cannot hold."""
    if not stream:
        relayed = await _over_udp(endpoint, query)
        if relayed is None or not relayed.truncated:
            return relayed
    return await _over_tcp(endpoint, query)


async def _over_udp(endpoint: Endpoint, query: Query) -> Relayed | None:
    """Ask in one datagram; the kernel picks a random port and takes replies from nobody else."""
    asked = upstream_query(query, id_=secrets.randbits(16))
    loop = asyncio.get_running_loop()
    type_ = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
    with socket.socket(_family(endpoint), type_) as connection:
        connection.connect((endpoint.host, endpoint.port))
        connection.send(asked)
        for _ in range(_MAX_STRAYS):
            message = await loop.sock_recv(connection, _MAX_DATAGRAM_BYTES)
            relayed = read_relayed(message, asked=asked)
            if relayed is not None:
                return relayed
    return None


async def _over_tcp(endpoint: Endpoint, query: Query) -> Relayed | None:
    asked = upstream_query(query, id_=secrets.randbits(16))
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    try:
        writer.write(len(asked).to_bytes(_LENGTH_BYTES, "big") + asked)
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
        return read_relayed(await reader.readexactly(length), asked=asked)
    finally:
        writer.transport.abort()
