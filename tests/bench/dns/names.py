"""The names that are asked for: the same for every server, and each network's own for ours."""

import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

from peers.keys import PublicKey
from peers.names import Label
from tests.bench.dns.load import Query
from wgctl.core.feed import Kind, Put, Row
from wgctl.core.model import App, Machine, MachineState, Network, Peer

__all__ = ["Names", "with_mistakes"]

_AAAA_IN = struct.pack("!2H", 28, 1)
_KINDS = {Network: Kind.NETWORK, Peer: Kind.PEER, App: Kind.APP, Machine: Kind.MACHINE}
_DRAWN = 7
"""A seed: the order of questions is drawn, and the same in every run."""


@dataclass(frozen=True, slots=True)
class Names:
    """So many networks, each with as many apps and peers, a machine of each app on a peer."""

    networks: int
    apps: int

    def rows(self) -> Iterator[Put]:
        """Yield the rows of the feed that make them."""
        for number in range(1, self.networks + 1):
            yield _put(self.network(number))
            for index in range(self.apps):
                yield from map(_put, self._home(number, index))

    def network(self, number: int) -> Network:
        """Return network `number`, 1 or more."""
        prefix = IPv6Network((0xFDAA << 112 | number << 80, 48))
        return Network(number, number, Label("default"), prefix, 0)

    def machine(self, id_: int, *, peer_id: int) -> Machine:
        """Return the machine of app `id_`, on a peer of the same network."""
        number = (id_ - 1) // self.apps + 1
        return Machine(
            *(id_, number, number, id_, peer_id, Label(f"m{id_}"), Label("ams"), Label("app")),
            *((), {}, MachineState.STARTED, 0),
        )

    def address(self, peer_id: int) -> IPv6Address:
        """Return the address of a peer, 1 or more."""
        number, index = divmod(peer_id - 1, self.apps)
        return self.network(number + 1).prefix[16 << 64 | index + 2]

    def pairs(self) -> Iterator[tuple[str, IPv6Address]]:
        """Yield each name and its address: those of apps, and those of peers."""
        for id_ in range(1, self.networks * self.apps + 1):
            yield f"app-{id_}.internal", self.address(id_)
            yield f"peer-{id_}._peer.internal", self.address(id_)

    def queries(self, server: IPv6Address | None) -> list[Query]:
        """Return a query for each name, in an order that is drawn.

        Each comes from the first peer of its name's network, and is for `server`, or for the
        network's own resolver.
        """
        asked: list[Query] = []
        for number in range(1, self.networks + 1):
            network = self.network(number)
            target, source = server or network.resolver, network.prefix[16 << 64 | 2]
            for index in range(self.apps):
                id_ = (number - 1) * self.apps + index + 1
                asked.extend(
                    Query(_message(name), source.packed, target.packed, answered=True)
                    for name in (f"app-{id_}.internal", f"peer-{id_}._peer.internal")
                )
        random.Random(_DRAWN).shuffle(asked)  # an order is no secret
        return asked

    def _home(self, number: int, index: int) -> Iterator[Row]:
        id_ = (number - 1) * self.apps + index + 1
        key = PublicKey(id_.to_bytes(31, "big") + b"\1")
        label = Label(f"peer-{id_}")
        yield Peer(id_, number, number, 1, label, "operator", key, self.address(id_), 0, None)
        yield App(id_, number, number, Label(f"app-{id_}"), 0)
        yield self.machine(id_, peer_id=id_)


def with_mistakes(queries: Sequence[Query]) -> list[Query]:
    """Return `queries`, of a hundred 5 for a name that is not there and 5 that break the rules."""
    mixed = []
    for number, query in enumerate(queries):
        match number % 20:
            case 7:
                octets = _message(f"no-{number % 997}.internal")
                mixed.append(query._replace(octets=octets))
            case 13:
                # The question ends within its name.
                mixed.append(query._replace(octets=query.octets[:-9], answered=False))
            case _:
                mixed.append(query)
    return mixed


def zone(names: Names, path: Path) -> Path:
    """Write the names as a zone file of `internal`."""
    with path.open("w", encoding="ascii") as file:
        file.write("$ORIGIN internal.\n$TTL 5\n")
        file.write("@ SOA _api hostmaster 1 3600 600 86400 5\n@ NS _api\n_api AAAA ::1\n")
        file.writelines(f"{name}. AAAA {address}\n" for name, address in names.pairs())
    return path


def _put(row: Row) -> Put:
    return Put(_KINDS[type(row)], row)


def _message(name: str) -> bytes:
    """Return a query for AAAA without its id."""
    labels = b"".join(bytes((len(one),)) + one.encode() for one in name.split("."))
    return struct.pack("!5H", 0x0100, 1, 0, 0, 0) + labels + b"\0" + _AAAA_IN
