"""What a gateway of the kernel's forwards between two of its peers, with our walls and without.

Two labs stand side by side, each of a gateway and two peers: in one, everything that wgctl programs
for many networks; in the other, the same device with one route. A stream goes through both in turn.
"""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from peers.keys import PrivateKey
from peers.names import Label
from tests.drivers.namespaces import Namespace, namespaced
from wgctl.core.allowed_ips import pack
from wgctl.core.model import Network, Peer
from wgctl.core.plan import desired
from wgctl.core.tunnel import AddAddress, Host, SetDevice, SetLink, SetPeer, route_metric
from wgctl.drivers.netlink.links import Netlink
from wgctl.drivers.netlink.wireguard import KernelWireGuard
from wgctl.drivers.nft import Nft
from wgctl.services.reconcile import Parts, reconcile

__all__ = ["throughputs"]

POOL = IPv6Network("fdaa::/16")
PORT, STREAM_PORT = 51820, 9000
TIMEOUT_S = 30.0


@dataclass
class _Member:
    place: Namespace
    key: PrivateKey
    address: IPv6Address


def throughputs(networks: int, *, rounds: int, seconds: float) -> tuple[list[float], list[float]]:
    """Return Mbit/s with all of `networks` programmed, and with one route; by turns.

    Which is first changes each round: a host that gets slower would tell against the second.
    """
    with _lab(networks) as walled, _lab(0) as bare:
        found: tuple[list[float], list[float]] = ([], [])
        for members in (walled, bare):
            _stream(members, 0.5)  # Handshakes, and neighbours.
        for number in range(rounds):
            turns = [(walled, found[0]), (bare, found[1])]
            for members, rates in turns if number % 2 else reversed(turns):
                rates.append(_stream(members, seconds))
        return found


@contextmanager
def _lab(networks: int) -> Iterator[tuple[_Member, _Member]]:
    """Make a gateway and two peers of its first network; 0 networks: no wall."""
    with ExitStack() as stack:
        gateway = stack.enter_context(namespaced())
        prefix = _network(1).prefix
        members = [
            _Member(stack.enter_context(namespaced()), PrivateKey.generate(), address)
            for address in (prefix[(16 << 64) + 2], prefix[(16 << 64) + 3])
        ]
        own = PrivateKey.generate()
        for number, member in enumerate(members):
            _wire(gateway, member.place, number)
        gateway.shell("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        host = Host(gateway.interface, POOL, own, PORT, 1420, frozenset({0}))
        peers = [
            Peer(n, 1, 1, 1, Label(f"p{n}"), "operator", one.key.public(), one.address, 0, None)
            for n, one in enumerate(members)
        ]
        links = Netlink(gateway.interface, metric=route_metric(gateway.interface))
        device = KernelWireGuard(gateway.interface, links)
        parts = Parts(links, device, Nft(gateway.interface))
        rows = [_network(number) for number in range(1, max(networks, 1) + 1)]
        gateway.run(reconcile, parts, desired(rows, peers, host=host, now=0))
        if not networks:
            gateway.run(parts.firewall.remove)
            gateway.shell("ip", "-6", "route", "flush", "proto", "119")
            gateway.shell("ip", "-6", "route", "add", str(POOL), "dev", gateway.interface)
        for number, member in enumerate(members):
            _join(member, own, prefix, number)
        yield members[0], members[1]
        gateway.run(links.close)


def _network(number: int) -> Network:
    prefix = IPv6Network((0xFDAA << 112 | number << 80, 48))
    return Network(number, 1, Label("default"), prefix, 0)


def _wire(gateway: Namespace, place: Namespace, number: int) -> None:
    here, there = f"to{number}", "eth0"
    ends = ("type", "veth", "peer", "name", there, "netns", place.name)
    subprocess.run(["ip", "link", "add", here, "netns", gateway.name, *ends], check=True)
    for end, link, host in ((gateway, here, 1), (place, there, 2)):
        end.shell("ip", "addr", "add", f"198.18.{number}.{host}/30", "dev", link)
        end.shell("ip", "link", "set", link, "up")


def _join(member: _Member, gateway: PrivateKey, prefix: IPv6Network, number: int) -> None:
    place = member.place
    links = Netlink(place.interface, metric=1)
    device = KernelWireGuard(place.interface, links)
    place.run(device.create)
    place.run(links.apply, [SetLink(1420), AddAddress(IPv6Interface(member.address))])
    place.run(
        device.apply,
        [SetDevice(member.key, None), SetPeer(gateway.public().raw, pack([prefix]))],
    )
    place.run(links.close)
    peer = ("peer", str(gateway.public()), "endpoint", f"198.18.{number}.1:{PORT}")
    place.shell("wg", "set", place.interface, *peer)
    place.shell("ip", "-6", "route", "add", str(prefix), "dev", place.interface)
    # The gateway hears where it is.
    place.shell("ping", "-6", "-c1", "-W5", str(prefix[3]))


def _stream(members: tuple[_Member, _Member], seconds: float) -> float:
    """Return the Mbit/s of one TCP stream from the first member to the second."""
    sender, receiver = members
    with (
        receiver.place.run(_listen) as listener,
        sender.place.run(_connect, receiver.address) as out,
        listener.accept()[0] as into,
    ):
        into.settimeout(TIMEOUT_S)
        sending = sender.place.thread.submit(_send, out, seconds)
        began, received = time.perf_counter(), 0
        while data := into.recv(1 << 18):
            received += len(data)
        sending.result()
        return received * 8 / 1e6 / (time.perf_counter() - began)


def _listen() -> socket.socket:
    listener = socket.create_server(("::", STREAM_PORT), family=socket.AF_INET6)
    listener.settimeout(TIMEOUT_S)
    return listener


def _connect(address: IPv6Address) -> socket.socket:
    return socket.create_connection((str(address), STREAM_PORT), timeout=TIMEOUT_S)


def _send(out: socket.socket, seconds: float) -> None:
    data, until = bytes(1 << 16), time.perf_counter() + seconds
    while time.perf_counter() < until:
        out.sendall(data)
    out.shutdown(socket.SHUT_WR)
