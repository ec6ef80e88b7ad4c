"""Two networks and what is in them, as a resolver's copy has them."""

from ipaddress import IPv6Network

from peers.keys import PublicKey
from peers.names import Label
from wgctl.core.feed import Kind, Put, Row
from wgctl.core.model import App, Check, Machine, MachineState, Network, Peer

__all__ = [
    "ACME",
    "ALICE",
    "BOB",
    "CAROL",
    "MACHINE",
    "NOW",
    "OTHER",
    "ROWS",
    "WEB",
    "peer",
    "put",
]

KEY = PublicKey.parse("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")
ACME = Network(1, 1, Label("default"), IPv6Network("fdaa:0:18::/48"), 0)
OTHER = Network(2, 2, Label("default"), IPv6Network("fdaa:0:19::/48"), 0)
WEB = App(1, 1, 1, Label("web"), 0)
NOW = 1000


def peer(number: int, network: Network, *, expires_at: int | None = None) -> Peer:
    address = network.prefix[0x10 << 64 | number]
    name = Label(f"peer{number}")
    return Peer(
        number, network.org_id, network.id, 1, name, "operator", KEY, address, 0, expires_at
    )


ALICE, BOB, CAROL = peer(2, ACME), peer(3, ACME), peer(4, OTHER)
MACHINE = Machine(
    *(1, 1, 1, WEB.id, BOB.id, Label("m1"), Label("ams"), Label("app")),
    *((), {}, MachineState.STARTED, 0),
)
ROWS: list[Row] = [ACME, OTHER, WEB, ALICE, BOB, CAROL, MACHINE]
KINDS = {
    Network: Kind.NETWORK,
    Peer: Kind.PEER,
    App: Kind.APP,
    Machine: Kind.MACHINE,
    Check: Kind.CHECK,
}


def put(row: Row) -> Put:
    return Put(KINDS[type(row)], row)
