"""The contract of the drivers' Protocols: memory, userspace and kernel are held to it alike."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import TypeVar

import pytest

from peers.keys import PresharedKey, PrivateKey
from wgctl.core import firewall
from wgctl.core.allowed_ips import NO_IPS, pack
from wgctl.core.errors import Unavailable
from wgctl.core.firewall import Element
from wgctl.core.ports import Firewall, Links, Seen, WireGuard
from wgctl.core.service import Service
from wgctl.core.tunnel import (
    AddAddress,
    AddPeers,
    AddRoute,
    ChangeFirewall,
    GivePeer,
    Greet,
    Link,
    RemoveAddress,
    RemovePeer,
    RemoveRoute,
    ReplaceFirewall,
    Route,
    SetDevice,
    SetLink,
    SetPeer,
    Source,
    route_metric,
)
from wgctl.drivers.memory import Kernel, MemoryFirewall, MemoryLinks, MemoryWireGuard
from wgctl.drivers.netlink.links import Netlink
from wgctl.drivers.netlink.wireguard import KernelWireGuard
from wgctl.drivers.nft import Nft
from wgctl.drivers.wireguard_go import WireguardGo

Result = TypeVar("Result")

POOL = IPv6Network("fdaa::/16")
NETWORKS = [IPv6Network("fdaa:0:1::/48"), IPv6Network("fdaa:0:2::/48")]
ONE, OTHER = (PrivateKey.generate().public().raw for _ in range(2))
IPS = [IPv6Network(f"fdaa:0:1:10::{n}/128") for n in (2, 3)]
IP, OTHER_IP = (pack([ip]) for ip in IPS)
BOTH = pack(IPS)


@dataclass(frozen=True, slots=True)
class Place:
    """Three drivers of one kernel, and the thread to call them in."""

    interface: str
    links: Links
    wireguard: WireGuard
    firewall: Firewall
    thread: ThreadPoolExecutor

    def run(self, work: Callable[..., Result], *arguments: object) -> Result:
        return self.thread.submit(work, *arguments).result()

    def link(self) -> Link:
        link, _ = self.run(self.links.read)
        assert link is not None
        return link

    def routes(self) -> frozenset[Route]:
        return self.run(self.links.read)[1]

    def peers(self) -> dict[bytes, object]:
        device = self.run(self.wireguard.read)
        assert device is not None
        return dict(device.peers)


@pytest.fixture(
    params=[
        "memory",
        pytest.param("userspace", marks=pytest.mark.network),
        pytest.param("kernel", marks=[pytest.mark.network, pytest.mark.kernel]),
    ]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "memory":
        kernel = Kernel()
        with ThreadPoolExecutor(1) as thread:
            yield Place(
                "memory0",
                MemoryLinks(kernel),
                MemoryWireGuard(kernel),
                MemoryFirewall(kernel),
                thread,
            )
        return
    namespace = request.getfixturevalue("namespace")
    name = namespace.interface
    links = Netlink(name, metric=route_metric(name))
    wireguard: WireGuard = WireguardGo(name, log=tmp_path / "log")
    if request.param == "kernel":
        wireguard = KernelWireGuard(name, links)
    yield Place(name, links, wireguard, Nft(name), namespace.thread)
    namespace.run(links.close)


@pytest.fixture
def up(place: Place) -> Place:
    """A place with a link that is up."""
    place.run(place.wireguard.create)
    place.run(place.links.apply, [SetLink(1400)])
    return place


def test_nothing_is_there_at_first(place: Place) -> None:
    assert place.run(place.links.index) is None
    assert place.run(place.links.read) == (None, frozenset())
    assert place.run(place.wireguard.alive) is False
    assert place.run(place.wireguard.read) is None
    assert place.run(place.firewall.read) is None


def test_a_new_link_is_down_and_empty(place: Place) -> None:
    place.run(place.wireguard.create)

    assert place.run(place.links.index) is not None
    assert (place.link().up, place.link().addresses) == (False, frozenset())
    assert place.routes() == frozenset()
    assert place.run(place.wireguard.alive)
    assert place.peers() == {}


def test_a_link_set_up_has_its_mtu_and_no_address_of_its_own(up: Place) -> None:
    assert up.link() == Link(1400, up=True, addresses=frozenset())


def test_addresses_come_and_go_and_twice_is_once(up: Place) -> None:
    one, other = (IPv6Interface(network[3]) for network in NETWORKS)

    for step in (AddAddress(one), AddAddress(other), AddAddress(other)):
        up.run(up.links.apply, [step])
    for _ in range(2):
        up.run(up.links.apply, [RemoveAddress(one)])

    assert up.link().addresses == {other}


def test_routes_come_and_go_and_twice_is_once(up: Place) -> None:
    metric = route_metric(up.interface)
    to_nowhere = Route(POOL, None, metric, unreachable=True)
    one, other = (Route(network, network, metric) for network in NETWORKS)

    for route in (to_nowhere, one, other, other, to_nowhere):
        up.run(up.links.apply, [AddRoute(route)])
    for _ in range(2):
        up.run(up.links.apply, [RemoveRoute(one)])

    assert up.routes() == {to_nowhere, other}


def test_a_route_to_a_link_that_is_down_is_refused(place: Place) -> None:
    place.run(place.wireguard.create)

    with pytest.raises(Unavailable):
        place.run(place.links.apply, [AddRoute(Route(NETWORKS[0], NETWORKS[0], 7))])


def test_a_link_that_goes_takes_its_routes_but_not_the_one_to_nowhere(up: Place) -> None:
    metric = route_metric(up.interface)
    to_nowhere = Route(POOL, None, metric, unreachable=True)
    up.run(up.links.apply, [AddRoute(to_nowhere)])
    up.run(up.links.apply, [AddRoute(Route(NETWORKS[0], NETWORKS[0], metric))])

    up.run(up.links.remove)
    up.run(up.links.remove)

    assert up.run(up.links.read) == (None, frozenset({to_nowhere}))


def test_what_belongs_to_a_link_that_is_not_there_is_refused_and_gone_is_gone(place: Place) -> None:
    address = IPv6Interface(NETWORKS[0][3])

    for step in (SetLink(1420), AddAddress(address), AddRoute(Route(NETWORKS[0], None, 7))):
        with pytest.raises(Unavailable):
            place.run(place.links.apply, [step])
    place.run(place.links.apply, [RemoveAddress(address)])
    place.run(place.links.apply, [RemoveRoute(Route(NETWORKS[0], None, 7))])


def test_a_device_keeps_its_key_and_port_and_each_alone_can_change(up: Place) -> None:
    key, next_key = PrivateKey.generate(), PrivateKey.generate()

    up.run(up.wireguard.apply, [SetDevice(key, 0)])
    up.run(up.wireguard.apply, [SetDevice(next_key, None)])
    up.run(up.wireguard.apply, [SetDevice(None, None)])
    device = up.run(up.wireguard.read)

    assert device is not None
    assert device.private_key == next_key


def test_peers_come_and_go_and_twice_is_once(up: Place) -> None:
    set_both = [SetPeer(ONE, IP), SetPeer(OTHER, OTHER_IP), SetPeer(OTHER, OTHER_IP)]

    up.run(up.wireguard.apply, set_both)
    up.run(up.wireguard.apply, [RemovePeer(ONE), RemovePeer(ONE)])

    assert up.peers() == {OTHER: OTHER_IP}


def test_a_set_peer_has_just_the_allowed_ips_of_the_last_step(up: Place) -> None:
    up.run(up.wireguard.apply, [SetPeer(ONE, BOTH)])
    up.run(up.wireguard.apply, [SetPeer(ONE, OTHER_IP)])

    assert up.peers() == {ONE: OTHER_IP}


def test_more_peers_and_allowed_ips_than_one_message_holds_read_back_the_same(up: Place) -> None:
    """The kernel takes at most 64 KiB of peers at a time, and gives them back in pieces of 32."""
    many = pack(IPv6Network(f"fdaa:0:1:11::{n:x}/128") for n in range(3000))
    wanted = {bytes([1, *divmod(n, 256)]) + bytes(29): NO_IPS for n in range(900)}
    wanted[ONE] = many

    up.run(up.wireguard.apply, [SetPeer(key, ips) for key, ips in wanted.items()])

    assert up.peers() == wanted


def test_a_preshared_key_comes_changes_and_goes_with_the_last_step(up: Place) -> None:
    first, second = PresharedKey.generate(), PresharedKey.generate()

    found = []
    for key in (first, second, second, None):
        up.run(up.wireguard.apply, [SetPeer(ONE, IP, key), SetPeer(OTHER, OTHER_IP)])
        device = up.run(up.wireguard.read)
        assert device is not None
        found.append(dict(device.preshared_keys))

    assert found == [{ONE: first}, {ONE: second}, {ONE: second}, {}]


def test_a_preshared_key_goes_with_its_peer(up: Place) -> None:
    up.run(up.wireguard.apply, [SetPeer(ONE, IP, PresharedKey.generate())])
    up.run(up.wireguard.apply, [SetDevice(None, None), RemovePeer(ONE), SetPeer(ONE, IP)])
    device = up.run(up.wireguard.read)

    assert device is not None
    assert device.preshared_keys == {}


def test_an_allowed_ip_given_to_a_second_peer_moves_there(up: Place) -> None:
    up.run(up.wireguard.apply, [SetPeer(ONE, IP), SetPeer(OTHER, IP)])

    assert up.peers() == {ONE: NO_IPS, OTHER: IP}


def test_two_peers_swap_their_allowed_ips_when_each_is_given_the_others(up: Place) -> None:
    up.run(up.wireguard.apply, [SetPeer(ONE, IP), SetPeer(OTHER, OTHER_IP)])

    up.run(up.wireguard.apply, [GivePeer(ONE, OTHER_IP), GivePeer(OTHER, IP)])

    assert up.peers() == {ONE: OTHER_IP, OTHER: IP}


def test_neither_removing_nor_giving_makes_a_peer_that_is_not_there(up: Place) -> None:
    """It would have no preshared key."""
    up.run(up.wireguard.apply, [RemovePeer(ONE), GivePeer(OTHER, IP)])

    assert up.peers() == {}


def test_peers_are_added_at_once(up: Place) -> None:
    secret = PresharedKey.generate()
    up.run(up.wireguard.apply, [SetPeer(ONE, IP), AddPeers({OTHER: OTHER_IP}, {OTHER: secret})])
    up.run(up.wireguard.apply, [AddPeers({bytes([1]) * 32: IP})])
    device = up.run(up.wireguard.read)

    assert device is not None
    assert device.peers == {ONE: NO_IPS, OTHER: OTHER_IP, bytes([1]) * 32: IP}
    assert device.preshared_keys == {OTHER: secret}


def test_a_peer_that_is_made_anew_has_what_it_is_made_with(up: Place) -> None:
    secret = PresharedKey.generate()
    up.run(up.wireguard.apply, [SetPeer(ONE, BOTH, secret)])

    up.run(up.wireguard.apply, [SetPeer(ONE, IP, anew=True)])
    device = up.run(up.wireguard.read)

    assert device is not None
    assert (device.peers, device.preshared_keys) == ({ONE: IP}, {})


def test_a_peer_that_was_never_heard_is_seen_without_times(up: Place) -> None:
    up.run(up.wireguard.apply, [SetPeer(ONE, IP)])

    assert up.run(up.wireguard.observe) == {ONE: Seen(None, None, 0, 0)}


def test_a_peer_that_is_greeted_is_where_it_wrote_from(up: Place) -> None:
    source = Source(IPv4Address("127.0.0.1"), 9)
    up.run(up.wireguard.apply, [SetPeer(ONE, IP)])
    before = up.run(up.wireguard.read)

    up.run(up.wireguard.apply, [Greet(ONE, source)])

    assert up.run(up.wireguard.observe)[ONE].endpoint == str(source)
    assert up.run(up.wireguard.read) == before


def test_greeting_a_peer_that_is_not_there_does_not_make_it(up: Place) -> None:
    up.run(up.wireguard.apply, [Greet(ONE, Source(IPv4Address("127.0.0.1"), 9))])

    assert up.peers() == {}


def test_a_device_that_is_removed_takes_its_link_along(up: Place) -> None:
    up.run(up.wireguard.remove)
    up.run(up.wireguard.remove)

    assert up.run(up.links.index) is None
    assert up.run(up.wireguard.alive) is False
    with pytest.raises(Unavailable):
        up.run(up.wireguard.apply, [RemovePeer(ONE)])


def test_a_device_made_again_is_another_link(up: Place) -> None:
    before = up.run(up.links.index)
    up.run(up.wireguard.apply, [SetPeer(ONE, IP)])

    up.run(up.wireguard.remove)
    up.run(up.wireguard.create)

    assert up.run(up.links.index) != before
    assert up.peers() == {}


def test_a_written_table_reads_back_the_same(place: Place) -> None:
    wanted = firewall.ruleset(
        NETWORKS, interface=place.interface, listen_port=51820, own_uids=frozenset({0, 998})
    )

    place.run(place.firewall.apply, ReplaceFirewall(wanted))
    place.run(place.firewall.apply, ReplaceFirewall(wanted))

    assert place.run(place.firewall.read) == wanted


def test_elements_come_and_go_and_twice_is_once(place: Place) -> None:
    first, both, second = (
        firewall.ruleset(
            networks, interface=place.interface, listen_port=51820, own_uids=frozenset({0})
        )
        for networks in (NETWORKS[:1], NETWORKS, NETWORKS[1:])
    )
    none: frozenset[Element] = frozenset()
    added = both.elements - first.elements
    removed = both.elements - second.elements

    place.run(place.firewall.apply, ReplaceFirewall(first))
    for _ in range(2):
        place.run(place.firewall.apply, ChangeFirewall(added, none))
    for _ in range(2):
        place.run(place.firewall.apply, ChangeFirewall(none, removed))

    assert place.run(place.firewall.read) == second


def _service(number: int, *machines: int) -> Service:
    prefix = NETWORKS[0]
    return Service(prefix[1 << 64 | number], tuple(prefix[16 << 64 | n] for n in machines))


def test_a_service_s_machines_change_in_their_place_and_what_is_not_as_told_is_refused(
    place: Place,
) -> None:
    """The same slot leads elsewhere, in one step."""
    before, after = (
        firewall.ruleset(
            NETWORKS,
            services,
            interface=place.interface,
            listen_port=51820,
            own_uids=frozenset({0}),
        )
        for services in ([_service(2, 2, 3), _service(3, 2)], [_service(2, 4, 3), _service(4, 5)])
    )
    place.run(place.firewall.apply, ReplaceFirewall(before))
    written = place.run(place.firewall.read)
    change = ChangeFirewall(after.elements - before.elements, before.elements - after.elements)
    place.run(place.firewall.apply, change)

    assert written == before
    assert place.run(place.firewall.read) == after
    with pytest.raises(Unavailable, match="File exists"):
        place.run(place.firewall.apply, change)
    assert place.run(place.firewall.read) == after


def test_elements_without_their_table_are_refused_and_a_removed_table_is_gone(place: Place) -> None:
    wanted = firewall.ruleset(
        NETWORKS, interface=place.interface, listen_port=51820, own_uids=frozenset({0})
    )
    place.run(place.firewall.apply, ReplaceFirewall(wanted))

    place.run(place.firewall.remove)
    place.run(place.firewall.remove)

    assert place.run(place.firewall.read) is None
    with pytest.raises(Unavailable):
        place.run(place.firewall.apply, ChangeFirewall(wanted.elements, frozenset()))
