"""A network that has a name of each kind, and a client in it; another network beside it.

The app `web` has a started machine in ams, one in fra and a stopped one in iad; `crowd` one on each
of forty peers; those of `sick` fail their checks, and `idle` has none. Five names of apps are so
long that their list takes more than one string, and more than a datagram of 512 octets. `shop` and
`clerk` are in the other network. Nothing is forwarded.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from peers.addresses import reverse_name, reverse_zone
from peers.keys import PrivateKey
from tests.system.hosts import Gateway, Host, Lab, eventually
from wgctl.client.api import Client
from wgctl.core.check import Target
from wgctl.core.health import Health
from wgctl.core.health_shape import Check
from wgctl.core.model import MachineState, Protocol
from wgctl.core.schema import NewApp, NewMachine, NewNetwork, NewOrg, NewPeer, Port

__all__ = ["CROWD", "LONG", "Named", "named"]

CROWD = 40
LONG = [letter * 60 for letter in "defgh"]
"""The apps with long names, in the order of a list."""

WEB = [
    NewMachine(
        name="web-1",
        app="web",
        peer="server-1",
        ports=[Port(name="http", number=80)],
        metadata={"role": "primary"},
    ),
    NewMachine(
        name="web-2",
        app="web",
        peer="server-2",
        region="fra",
        process_group="worker",
        ports=[Port(name="http", number=8080)],
    ),
    NewMachine(
        name="web-3",
        app="web",
        peer="server-2",
        region="iad",
        ports=[Port(name="dns", number=53, protocol=Protocol.UDP)],
    ),
]

_SERIAL = re.compile(r"(SOA \S+ \S+) \d+ ")


@dataclass
class Named:
    """The network's gateway and client; `addresses` are peers', service addresses and `::3`."""

    gateway: Gateway
    alice: Host
    resolver: str
    addresses: dict[str, IPv6Address]
    zone: str

    def concrete(self, name: str) -> str:
        """Return the name that `name` stands for: that of `zone.reverse` or `<peer>.reverse`."""
        word, _, rest = name.partition(".")
        if rest != "reverse":
            return name
        return self.zone if word == "zone" else reverse_name(self.addresses[word])

    def abstract(self, line: str) -> str:
        """Return a record with what differs from run to run under another name."""
        for word, address in self.addresses.items():
            line = line.replace(reverse_name(address), f"{word}.reverse")
            line = re.sub(rf"{address}(?![0-9a-f:])", word, line)
        return _SERIAL.sub(r"\1 SERIAL ", line.replace(self.zone, "zone.reverse"))


@contextmanager
def named(lab: Lab) -> Iterator[Named]:
    """Make it all in `lab`, and take down the tunnel after."""
    gateway = lab.gateway
    gateway.write_config(more="distances = { iad = 9000 }")
    gateway.init()
    gateway.serve()
    client = Client(gateway.folder / "run" / "api.sock")
    client.add_org(NewOrg(slug="acme"))
    alice, config = lab.client(), lab.config_path("alice")
    tunnel = gateway.add_peer("acme", "alice", config=config)["tunnel"]
    addresses = {"alice": tunnel["address"], "resolver": tunnel["resolver"]}
    addresses = {word: IPv6Address(address) for word, address in addresses.items()}
    addresses |= _fill(client)
    gateway.wait_ready("resolver")
    alice.tunnel_up(config)
    eventually(lambda: alice.pings(tunnel["resolver"]), what="the tunnel works")
    eventually(lambda: _all_fail(client), what="both machines fail their checks", every_s=0.5)
    zone = reverse_zone(IPv6Network((addresses["resolver"].packed[:6] + bytes(10), 48)))
    yield Named(gateway, alice, tunnel["resolver"], addresses, zone)
    gateway.wgctl("down", check=False)


def _fill(client: Client) -> dict[str, IPv6Address]:
    """Fill both networks; return the addresses."""
    crowd = [f"crowd-{number:02}" for number in range(CROWD)]
    peers = ["server-1", "server-2", *crowd]
    addresses = {peer: _add_peer(client, peer) for peer in peers}
    for name in ("idle", *LONG, "crowd", "sick"):
        client.add_app("acme", NewApp(name=name))
    web = client.add_app("acme", NewApp(name="web", flycast=True))
    assert web.service_address is not None
    addresses["service"] = web.service_address
    for machine in (*WEB, *(_machine(peer, "crowd", peer) for peer in crowd)):
        client.add_machine("acme", machine)
    client.set_machine_state("acme", "default", "web-3", state=MachineState.STOPPED)
    check = Check(target=Target(9), interval_s=1, timeout_s=1, grace_s=0, fall=1)
    for number in (1, 2):
        client.add_machine("acme", _machine(f"sick-{number}", "sick", f"server-{number}"))
        client.set_machine_check("acme", "default", f"sick-{number}", check)
    client.add_network("acme", NewNetwork(name="other"))
    client.add_app("acme", NewApp(name="shop", network="other", flycast=True))
    addresses["clerk"] = _add_peer(client, "clerk", network="other")
    return addresses


def _all_fail(client: Client) -> bool:
    """Whether the resolver has told that the machines of `sick` fail."""
    found = (client.machine("acme", "default", f"sick-{number}").health for number in (1, 2))
    return all(health is Health.UNHEALTHY for health in found)


def _machine(name: str, app: str, peer: str) -> NewMachine:
    return NewMachine(name=name, app=app, peer=peer)


def _add_peer(client: Client, name: str, *, network: str = "default") -> IPv6Address:
    key = PrivateKey.generate().public()
    return client.add_peer("acme", NewPeer(name=name, network=network, public_key=key)).peer.address
