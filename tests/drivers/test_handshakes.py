import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from peers.keys import PrivateKey
from peers.noise import INITIATION_BYTES, INITIATION_TYPE, Reader
from tests.drivers.namespaces import Namespace, namespaced
from tests.patience import HANG_S
from wgctl.core import firewall
from wgctl.core.allowed_ips import pack_host
from wgctl.core.errors import Unavailable
from wgctl.core.ports import WireGuard
from wgctl.core.tunnel import Greet, ReplaceFirewall, SetDevice, SetLink, SetPeer, Source, log_group
from wgctl.drivers.handshakes import Arrival, Handshakes
from wgctl.drivers.netlink.links import Netlink
from wgctl.drivers.netlink.wireguard import KernelWireGuard
from wgctl.drivers.nft import Nft
from wgctl.drivers.wireguard_go import WireguardGo

pytestmark = pytest.mark.network

PORT = 51820
INITIATION = INITIATION_TYPE + bytes(range(INITIATION_BYTES - len(INITIATION_TYPE)))
UDP_HEADER = bytes((4, 210, 202, 108, 0, 156, 0, 0))
MANY = 3_000


@pytest.fixture
def heard(namespace: Namespace) -> Iterator[Handshakes]:
    """A namespace with the table of a gateway that lets peers in on demand."""
    group = log_group(namespace.interface)
    table = firewall.ruleset(
        [],
        interface=namespace.interface,
        listen_port=PORT,
        own_uids=frozenset({0}),
        log_group=group,
    )
    namespace.run(Nft(namespace.interface).apply, ReplaceFirewall(table))
    with closing(namespace.run(Handshakes, group)) as made:
        yield made


def send(host: str, message: bytes = INITIATION, *, port: int = PORT, count: int = 1) -> int:
    """Send datagrams from a port of its own; return that."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as opened:
        for _ in range(count):
            opened.sendto(message, (host, port))
        return int(opened.getsockname()[1])


def arrivals(heard: Handshakes, *, wanted: int) -> list[Arrival]:
    """Return what arrives until there are so many, and what there is besides.

    The kernel may hand it on a moment after it was sent, and asks for a neighbour again after 1 s.
    """
    deadline, found = time.monotonic() + HANG_S, list[Arrival]()
    while len(found) < wanted and time.monotonic() < deadline:
        found += heard.read(MANY, within_s=1)
    return found + heard.read(MANY, within_s=0)


def told(found: Sequence[Arrival]) -> list[tuple[str, bytes]]:
    return [(str(one.source), one.message) for one in found]


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_an_initiation_is_heard_once_with_its_source(
    namespace: Namespace, heard: Handshakes, host: str, shown: str
) -> None:
    ports = [namespace.run(send, host) for _ in range(2)]

    assert told(arrivals(heard, wanted=2)) == [(f"{shown}:{port}", INITIATION) for port in ports]


def test_nothing_else_is_heard(namespace: Namespace, heard: Handshakes) -> None:
    for host in ("127.0.0.1", "::1"):
        namespace.run(send, host, b"\x02" + INITIATION[1:])
        namespace.run(send, host, b"\x01\x00\x00\x01" + INITIATION[4:])
        namespace.run(send, host, INITIATION[:-1])
        namespace.run(send, host, INITIATION + b"\0")
        namespace.run(lambda host=host: send(host, port=PORT + 1))
    last = namespace.run(send, "127.0.0.1")

    assert told(arrivals(heard, wanted=1)) == [(f"127.0.0.1:{last}", INITIATION)]


def test_whom_the_hosts_own_filter_keeps_out_is_not_heard(
    namespace: Namespace, heard: Handshakes
) -> None:
    """The gateway would open the way for them, by writing to them first."""
    namespace.shell("nft", "add table inet own")
    namespace.shell("nft", "add chain inet own in { type filter hook input priority 0 ; }")
    namespace.shell("nft", "add rule inet own in ip saddr 127.0.0.1 drop")

    namespace.run(send, "127.0.0.1")
    port = namespace.run(send, "::1")

    assert told(arrivals(heard, wanted=1)) == [(f"[::1]:{port}", INITIATION)]


def test_another_port_that_is_redirected_is_heard(namespace: Namespace, heard: Handshakes) -> None:
    namespace.shell("nft", "add table inet own")
    namespace.shell("nft", "add chain inet own out { type nat hook output priority -100 ; }")
    namespace.shell("nft", f"add rule inet own out udp dport 443 redirect to :{PORT}")

    port = namespace.run(lambda: send("127.0.0.1", port=443))

    assert told(arrivals(heard, wanted=1)) == [(f"127.0.0.1:{port}", INITIATION)]


def test_over_a_bridge_it_is_heard_once_and_from_the_link_itself_with_the_scope(
    namespace: Namespace, heard: Handshakes
) -> None:
    with namespaced() as client:
        here, there = f"a{client.name[:10]}", f"b{client.name[:10]}"
        place = ("type", "veth", "peer", "name", there, "netns", client.name)
        subprocess.run(["ip", "link", "add", here, "netns", namespace.name, *place], check=True)
        namespace.shell("ip", "link", "add", "br0", "type", "bridge")
        namespace.shell("ip", "link", "set", here, "master", "br0", "up")
        for end, link, host in ((namespace, "br0", 1), (client, there, 2)):
            end.shell("ip", "link", "set", link, "up")
            end.shell("ip", "addr", "add", f"fe80::{host}/64", "dev", link, "nodad")
            end.shell("ip", "addr", "add", f"198.18.0.{host}/30", "dev", link)
        scope = namespace.run(socket.if_nametoindex, "br0")

        ports = [client.run(send, host) for host in ("198.18.0.1", f"fe80::1%{there}")]
        sources = [arrival.source for arrival in arrivals(heard, wanted=2)]

    assert len(sources) == 2
    assert set(sources) == {
        Source(IPv4Address("198.18.0.2"), ports[0]),
        Source(IPv6Address(f"fe80::2%{scope}"), ports[1]),
    }


def test_the_queue_is_bounded_and_what_it_could_not_take_is_counted(
    namespace: Namespace, heard: Handshakes
) -> None:
    namespace.run(lambda: send("127.0.0.1", count=MANY))

    read = len(heard.read(100, within_s=0))
    taken = read + len(heard.read(MANY, within_s=0))
    namespace.run(send, "127.0.0.1")

    assert read == 100
    assert taken < MANY
    assert len(heard.read(MANY, within_s=0)) == 1
    assert heard.lost == MANY - taken


def test_two_cannot_hear_one_group(namespace: Namespace, heard: Handshakes) -> None:
    assert heard.lost == 0

    with pytest.raises(Unavailable, match="end the other program that hears it"):
        namespace.run(Handshakes, log_group(namespace.interface))


@pytest.mark.parametrize(
    ("packet", "source"),
    [
        (b"\x45" + bytes(8) + b"\x11" + bytes(2) + b"\xc0\0\2\1" + bytes(4), "192.0.2.1:1234"),
        (
            b"\x47" + bytes(8) + b"\x11" + bytes(2) + b"\xc0\0\2\1" + bytes(4) + bytes(8),
            "192.0.2.1:1234",
        ),
        (
            b"\x60" + bytes(5) + b"\x11\x40" + ip_address("fe80::1").packed + bytes(16),
            "[fe80::1%3]:1234",
        ),
    ],
)
def test_a_source_is_what_the_headers_say(packet: bytes, source: str) -> None:
    arrival = Arrival(packet + UDP_HEADER + INITIATION, 3)

    assert str(arrival.source) == source
    assert arrival.message == INITIATION


@pytest.mark.parametrize("backend", ["userspace", pytest.param("kernel", marks=pytest.mark.kernel)])
def test_a_peer_that_is_greeted_gets_an_initiation_at_once(
    namespace: Namespace, tmp_path: Path, backend: str
) -> None:
    """What makes a tunnel work without the 5 s after which a client tries again."""
    gateway, client = PrivateKey.generate(), PrivateKey.generate()
    name, key = namespace.interface, client.public().raw
    links = Netlink(name, metric=1)
    device: WireGuard = WireguardGo(name, log=tmp_path / "log")
    if backend == "kernel":
        device = KernelWireGuard(name, links)
    namespace.run(device.create)
    namespace.run(links.apply, [SetLink(1420)])
    with namespace.run(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.settimeout(4)
        source = Source(IPv4Address("127.0.0.1"), opened.getsockname()[1])
        steps = SetPeer(key, pack_host(IPv6Address("fdaa::2"))), Greet(key, source)

        namespace.run(device.apply, [SetDevice(gateway, 0), *steps])
        message = opened.recv(2000)

    reader = Reader(client)
    assert reader.is_ours(message)
    assert reader.initiator(message).key == gateway.public()
    assert "persistent keepalive" not in namespace.shell("wg", "show", name)
    namespace.run(device.remove)
    namespace.run(links.close)
