"""WireGuard's own self-test, re-enacted with our drivers: selftests/wireguard/netns.sh.

Both backends: two hosts on one wire, each with a device that our drivers made and program.
"""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import IPv6Interface, IPv6Network
from pathlib import Path

import pytest

from peers.keys import PresharedKey, PrivateKey
from tests.drivers.namespaces import Namespace, namespaced
from tests.patience import HANG_S
from wgctl.core import firewall
from wgctl.core.allowed_ips import NO_IPS, AllowedIPs, pack, pack_host
from wgctl.core.ports import Seen, WireGuard
from wgctl.core.tunnel import (
    AddAddress,
    AddPeers,
    AddRoute,
    Device,
    DeviceStep,
    GivePeer,
    RemovePeer,
    ReplaceFirewall,
    Route,
    SetDevice,
    SetLink,
    SetPeer,
)
from wgctl.drivers.netlink.links import Netlink
from wgctl.drivers.netlink.wireguard import KernelWireGuard
from wgctl.drivers.nft import Nft
from wgctl.drivers.wireguard_go import WireguardGo

pytestmark = [pytest.mark.network, pytest.mark.timeout(300)]

PORT = 51820
INSIDE = IPv6Network("fdaa:0:1::/48")
MTU_BYTES = 1420
# A message of data is a header of 16 bytes, the packet filled up to a multiple of 16, and a tag of
# 16; a handshake is one of 148 bytes and one of 92 (wireguard.com/protocol).
ECHO_BYTES = 16 + 112 + 16
INITIATION_BYTES, RESPONSE_BYTES, KEEPALIVE_BYTES = 148, 92, 32
# netns.sh has seven; RFC 7748 has the points.
LOW_ORDER = [
    bytes(32),
    (1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    *((2**255 - 19 + n).to_bytes(32, "little") for n in (-1, 0, 1)),
]


@dataclass
class End:
    """A host with a device; `number` is that of its addresses, inside and outside."""

    place: Namespace
    number: int
    links: Netlink
    device: WireGuard
    key: PrivateKey = field(default_factory=PrivateKey.generate)

    @property
    def public(self) -> bytes:
        return self.key.public().raw

    @property
    def ip(self) -> AllowedIPs:
        return pack_host(INSIDE[self.number])

    def apply(self, *steps: DeviceStep) -> None:
        self.place.run(self.device.apply, steps)

    def read(self) -> Device:
        device = self.place.run(self.device.read)
        assert device is not None
        return device

    def seen(self, key: bytes) -> Seen:
        return self.place.run(self.device.observe)[key]

    def sends_to(self, key: bytes, endpoint: str) -> None:
        text = SetPeer(key, NO_IPS)
        named = str(text).split()[1]
        self.place.shell("wg", "set", self.place.interface, "peer", named, "endpoint", endpoint)

    def pings(self, to: int, *more: str, wait_s: int = 20) -> bool:
        command = ["ping", "-6", "-c1", f"-W{wait_s}", "-s56", *more, str(INSIDE[to])]
        try:
            self.place.shell(*command)
        except subprocess.CalledProcessError:
            return False
        return True


@dataclass
class Pair:
    one: End
    two: End

    def met(self) -> "Pair":
        """Let both have the other for a peer; the first knows where the second is."""
        for end, far in ((self.one, self.two), (self.two, self.one)):
            end.apply(SetPeer(far.public, far.ip))
        self.one.sends_to(self.two.public, f"198.18.0.2:{PORT}")
        return self


@pytest.fixture(params=["userspace", pytest.param("kernel", marks=pytest.mark.kernel)])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        places = [stack.enter_context(namespaced()) for _ in range(2)]
        ends = [end(place, n, tmp_path, request.param) for n, place in enumerate(places, start=1)]
        wire = ("type", "veth", "peer", "name", "wire", "netns", places[1].name)
        places[0].shell("ip", "link", "add", "wire", *wire)
        for made in ends:
            shell = made.place.shell
            shell("ip", "addr", "add", f"198.18.0.{made.number}/24", "dev", "wire")
            shell("ip", "-6", "addr", "add", f"fd00::{made.number}/64", "dev", "wire", "nodad")
            shell("ip", "link", "set", "wire", "up")
        # What is sent before both ends have seen the other go up is lost, an initiation for 5 s.
        for address in ("198.18.0.2", "fd00::2"):
            places[0].shell("ping", "-c1", f"-w{HANG_S:.0f}", address)
        yield Pair(*ends)
        for made in ends:
            made.place.run(made.links.close)


def end(place: Namespace, number: int, folder: Path, backend: str) -> End:
    links = Netlink(place.interface, metric=1)
    device: WireGuard = WireguardGo(place.interface, log=folder / f"log-{number}")
    if backend == "kernel":
        device = KernelWireGuard(place.interface, links)
    made = End(place, number, links, device)
    place.run(device.create)
    address = AddAddress(IPv6Interface(INSIDE[number]))
    inside = AddRoute(Route(INSIDE, None, 1))
    place.run(links.apply, [SetLink(MTU_BYTES), address, inside])
    made.apply(SetDevice(made.key, PORT))
    return made


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANG_S
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_counters_are_exact(pair: Pair) -> None:
    pair.met()

    for _ in range(10):
        assert pair.one.pings(2)

    echoes = 10 * ECHO_BYTES
    one, two = pair.one.seen(pair.two.public), pair.two.seen(pair.one.public)
    assert one.received_bytes == RESPONSE_BYTES + echoes
    # Where the answer to the first is late, the one who began says that it lives.
    extra = one.sent_bytes - INITIATION_BYTES - echoes
    assert extra in {0, KEEPALIVE_BYTES}
    assert (two.received_bytes, two.sent_bytes) == (one.sent_bytes, one.received_bytes)
    assert one.last_handshake is not None


def test_a_peer_that_roams_is_found_where_it_writes_from(pair: Pair) -> None:
    pair.met()
    assert pair.one.pings(2)
    first = pair.two.seen(pair.one.public).endpoint
    shell = pair.one.place.shell
    shell("ip", "addr", "add", "198.18.0.9/24", "dev", "wire")
    shell("ip", "addr", "del", "198.18.0.1/24", "dev", "wire")
    shell("ip", "addr", "replace", "198.18.0.9/24", "dev", "wire")

    eventually(lambda: pair.one.pings(2, wait_s=2))
    over_ipv4 = pair.two.seen(pair.one.public).endpoint
    pair.one.sends_to(pair.two.public, f"[fd00::2]:{PORT}")
    eventually(lambda: pair.one.pings(2, wait_s=2))

    assert (first, over_ipv4) == (f"198.18.0.1:{PORT}", f"198.18.0.9:{PORT}")
    assert pair.two.seen(pair.one.public).endpoint == f"[fd00::1]:{PORT}"


def test_after_a_change_of_keys_a_handshake_is_made_at_once(pair: Pair) -> None:
    pair.met()
    assert pair.one.pings(2)
    before, after = pair.one.public, PrivateKey.generate()

    pair.two.apply(SetPeer(after.public().raw, pair.one.ip), RemovePeer(before))
    pair.one.apply(SetDevice(after, None))

    eventually(lambda: pair.one.pings(2, wait_s=2))
    assert pair.two.seen(after.public().raw).received_bytes > 0
    assert pair.two.read().peers.keys() == {after.public().raw}


def test_a_peer_that_is_made_anew_loses_its_session_and_gets_another(pair: Pair) -> None:
    pair.met()
    assert pair.one.pings(2)

    pair.two.apply(SetPeer(pair.one.public, pair.one.ip, anew=True))
    lost = pair.two.seen(pair.one.public)

    assert (lost.last_handshake, lost.received_bytes) == (None, 0)
    pair.one.apply(SetPeer(pair.two.public, pair.two.ip, anew=True))
    pair.one.sends_to(pair.two.public, f"198.18.0.2:{PORT}")
    eventually(lambda: pair.one.pings(2, wait_s=2))


@pytest.mark.parametrize("psk", [None, PresharedKey.generate()], ids=["open", "preshared"])
def test_a_peer_that_is_added_again_as_it_is_keeps_its_session(
    pair: Pair, psk: PresharedKey | None
) -> None:
    """A handshake too many would be among the bytes that it got."""
    pair.met()
    for end, far in ((pair.one, pair.two), (pair.two, pair.one)):
        end.apply(SetPeer(far.public, far.ip, psk))
    assert pair.one.pings(2)
    handshake = pair.two.seen(pair.one.public).last_handshake

    for _ in range(3):
        for end, far in ((pair.one, pair.two), (pair.two, pair.one)):
            end.apply(AddPeers({far.public: far.ip}, {far.public: psk} if psk else {}))
        assert pair.two.pings(1)
        assert pair.one.pings(2)

    assert pair.two.seen(pair.one.public).last_handshake == handshake
    assert pair.one.seen(pair.two.public).received_bytes == RESPONSE_BYTES + 7 * ECHO_BYTES
    assert pair.one.read().peers == {pair.two.public: pair.two.ip}


def test_an_address_that_moves_to_another_peer_is_nobodys_else(pair: Pair) -> None:
    """What comes from it by the peer that had it is dropped, and nothing for it goes there."""
    pair.met()
    assert pair.one.pings(2)
    other = PrivateKey.generate().public().raw

    pair.two.apply(SetPeer(other, pair.one.ip))
    moved = pair.one.pings(2, wait_s=2)
    pair.two.apply(GivePeer(pair.one.public, pair.one.ip))

    assert not moved
    assert pair.two.read().peers == {pair.one.public: pair.one.ip, other: NO_IPS}
    eventually(lambda: pair.one.pings(2, wait_s=2))


@pytest.mark.parametrize(("peers", "ips"), [(1, 65_000), (1, 2_500), (40, 52), (3, 197)], ids=str)
def test_what_does_not_fit_into_one_answer_is_read_whole(pair: Pair, peers: int, ips: int) -> None:
    wanted = {
        bytes((1, peer)) + bytes(30): pack(
            IPv6Network((0xFDAA << 112 | peer << 64 | n, 128)) for n in range(ips)
        )
        for peer in range(peers)
    }

    pair.one.apply(*(SetPeer(key, held) for key, held in wanted.items()))

    assert pair.one.read().peers == wanted
    listed = pair.one.place.shell("wg", "show", pair.one.place.interface, "allowed-ips")
    assert len(listed.split()) == peers * (ips + 1)


def test_the_devices_own_key_is_no_peer_of_its(pair: Pair) -> None:
    end = pair.one

    end.apply(SetPeer(end.public, end.ip), SetPeer(pair.two.public, pair.two.ip))
    first = end.read().peers.keys()
    end.apply(SetDevice(pair.two.key, None))

    assert first == {pair.two.public}
    assert end.read().peers == {}


def test_to_a_point_of_low_order_nothing_is_sent(pair: Pair) -> None:
    end = pair.one
    for number, key in enumerate(LOW_ORDER, start=10):
        end.apply(SetPeer(key, pack_host(INSIDE[number])))
        end.sends_to(key, f"198.18.0.2:{PORT}")
    with socket_of(pair.two.place) as heard:
        for number in range(len(LOW_ORDER)):
            end.place.shell("sh", "-c", f"ping -6 -c1 -W0.2 {INSIDE[number + 10]} || true")
        nothing = silent(heard)

    assert nothing
    assert {seen.sent_bytes for seen in end.place.run(end.device.observe).values()} == {0}


def socket_of(place: Namespace) -> socket.socket:
    """Return what hears every UDP packet that comes in from the wire."""

    def made() -> socket.socket:
        heard = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
        heard.setblocking(False)  # as the method has it
        return heard

    return place.run(made)


def silent(heard: socket.socket) -> bool:
    try:
        return not heard.recv(2000)
    except BlockingIOError:
        return True


def test_a_packet_that_fits_goes_through_and_one_byte_more_does_not(pair: Pair) -> None:
    pair.met()
    assert pair.one.pings(2)
    headers = 40 + 8

    assert pair.one.pings(2, f"-s{MTU_BYTES - headers}", "-Mdo")
    assert not pair.one.pings(2, f"-s{MTU_BYTES - headers + 1}", "-Mdo", wait_s=2)
    link, _ = pair.one.place.run(pair.one.links.read)
    assert link is not None
    assert link.mtu_bytes == MTU_BYTES


def test_an_endpoint_inside_the_tunnel_is_no_loop(pair: Pair) -> None:
    """The table lets no message of a device into its tunnel; netns.sh allows some rounds."""
    one, key, pings = pair.met().one, pair.two.public, 10
    table = firewall.ruleset(
        [INSIDE], interface=one.place.interface, listen_port=PORT, own_uids=frozenset({0})
    )
    one.place.run(Nft(one.place.interface).apply, ReplaceFirewall(table))
    assert one.pings(2)
    before = one.seen(key).sent_bytes

    one.sends_to(key, f"[{INSIDE[2]}]:{PORT}")
    assert not one.pings(2, f"-c{pings}", "-i0.01", wait_s=2)

    assert one.seen(key).sent_bytes - before <= pings * ECHO_BYTES
    one.sends_to(key, f"198.18.0.2:{PORT}")
    eventually(lambda: one.pings(2, wait_s=2))
