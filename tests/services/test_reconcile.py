from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Interface, IPv6Network

import pytest

from peers.keys import PrivateKey
from peers.names import Label
from wgctl.core.allowed_ips import pack_host
from wgctl.core.errors import Conflict, Unavailable
from wgctl.core.model import Network, Peer
from wgctl.core.plan import desired, diff
from wgctl.core.roster import Change
from wgctl.core.tunnel import (
    AddPeers,
    DeviceStep,
    Host,
    Link,
    MakeLink,
    Route,
    SetDevice,
    Tunnel,
    route_metric,
    singly,
)
from wgctl.drivers.memory import Kernel, MemoryFirewall, MemoryLinks, MemoryWireGuard
from wgctl.services.reconcile import Parts, apply_change, read, reconcile, take, take_down

HOST = Host(
    interface="wgctl0",
    pool=IPv6Network("fdaa::/16"),
    private_key=PrivateKey.generate(),
    listen_port=51820,
    mtu_bytes=1420,
    own_uids=frozenset({0}),
)
NETWORK = Network(1, 1, Label("default"), IPv6Network("fdaa:0:1::/48"), 0)
PEERS = [
    Peer(
        id_,
        1,
        1,
        1,
        Label(f"p{id_}"),
        "operator",
        PrivateKey.generate().public(),
        NETWORK.prefix[(16 << 64) + id_],
        0,
        None,
    )
    for id_ in (2, 3)
]
WANTED = desired([NETWORK], PEERS, host=HOST, now=0)
LESS = desired([NETWORK], PEERS[:1], host=HOST, now=0)
LESS_IPS = pack_host(PEERS[0].address)


@dataclass
class CountedWireGuard(MemoryWireGuard):
    """Counts writes, and keeps of each but `keeps` steps, as a set that fails half-way."""

    kernel: Kernel
    keeps: int | None = None
    writes: list[tuple[DeviceStep, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.kernel)

    def apply(self, steps: Sequence[DeviceStep]) -> None:
        self.writes.append(tuple(steps))
        super().apply(list(singly(steps))[: self.keeps])
        if self.keeps is not None:
            raise Unavailable("errno 5")


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def wireguard(kernel: Kernel) -> CountedWireGuard:
    return CountedWireGuard(kernel)


@pytest.fixture
def parts(kernel: Kernel, wireguard: CountedWireGuard) -> Parts:
    return Parts(MemoryLinks(kernel), wireguard, MemoryFirewall(kernel))


def test_a_pass_makes_what_is_wanted(parts: Parts) -> None:
    outcome = reconcile(parts, WANTED)

    assert read(parts) == WANTED
    assert MakeLink() in outcome.done
    assert outcome.left == ()


def test_a_second_pass_writes_nothing(parts: Parts, wireguard: CountedWireGuard) -> None:
    reconcile(parts, WANTED)
    wireguard.writes.clear()

    assert reconcile(parts, WANTED).done == ()
    assert wireguard.writes == []


def test_peers_go_to_the_device_together(parts: Parts, wireguard: CountedWireGuard) -> None:
    reconcile(parts, WANTED)

    added = [step for write in wireguard.writes for step in write if isinstance(step, AddPeers)]
    assert [len(step.peers) for step in added] == [2]


def test_a_write_that_fails_half_way_is_finished_by_the_next_pass(
    parts: Parts, wireguard: CountedWireGuard
) -> None:
    reconcile(parts, desired([NETWORK], [], host=HOST, now=0))
    wireguard.keeps = 1
    with pytest.raises(Unavailable):
        reconcile(parts, WANTED)

    wireguard.keeps = None
    outcome = reconcile(parts, WANTED)

    assert len(outcome.done) == 1
    assert read(parts) == WANTED


def test_a_device_that_died_is_made_and_filled_again(parts: Parts, kernel: Kernel) -> None:
    reconcile(parts, WANTED)
    kernel.lose_link()

    reconcile(parts, WANTED)

    assert read(parts) == WANTED
    assert kernel.makes == 2


def test_an_interface_that_is_not_ours_is_left_as_it_is(parts: Parts, kernel: Kernel) -> None:
    """The uplink named by mistake: a table with its name would cut the host off."""
    foreign = Link(1500, up=True, addresses=frozenset())
    kernel.link = foreign

    with pytest.raises(Conflict, match="no WireGuard device of wgctl's"):
        reconcile(parts, WANTED)

    assert kernel.link == foreign
    assert parts.firewall.read() is None
    assert parts.links.read()[1] == frozenset()


def test_a_device_with_another_key_is_left_as_it_is(parts: Parts) -> None:
    """Two deployments, one interface name: the second must not wipe the first."""
    reconcile(parts, WANTED)
    assert WANTED.device is not None
    other = PrivateKey.generate()
    theirs = replace(WANTED, device=replace(WANTED.device, private_key=other))

    with pytest.raises(Conflict, match="another private key"):
        reconcile(parts, theirs)
    with pytest.raises(Conflict, match="another private key"):
        take_down(parts, other)

    assert read(parts) == WANTED


def test_a_key_that_changed_on_our_own_device_is_drift(parts: Parts) -> None:
    reconcile(parts, WANTED)
    parts.wireguard.apply([SetDevice(PrivateKey.generate(), None)])

    reconcile(parts, WANTED, ours=True)

    assert read(parts) == WANTED


def test_a_link_without_its_device_counts_as_missing(parts: Parts, kernel: Kernel) -> None:
    """Somebody else's interface of our name: no step may be taken on it before ours is made."""
    kernel.link = Link(1500, up=True, addresses=frozenset({IPv6Interface("fd00::1/64")}))

    assert read(parts) == Tunnel(None, frozenset(), None, None)


def test_what_fights_back_is_left_and_named(parts: Parts, kernel: Kernel) -> None:
    class Stubborn(MemoryWireGuard):
        def apply(self, steps: Sequence[DeviceStep]) -> None:
            super().apply([step for step in steps if not isinstance(step, AddPeers)])

    outcome = reconcile(replace(parts, wireguard=Stubborn(kernel)), LESS)

    assert outcome.left == (AddPeers({PEERS[0].public_key.raw: LESS_IPS}),)


def test_a_change_writes_just_what_it_names(parts: Parts, wireguard: CountedWireGuard) -> None:
    reconcile(parts, LESS)
    wireguard.writes.clear()

    steps = apply_change(parts, Change(LESS, WANTED))

    added = [list(step.peers) for step in steps if isinstance(step, AddPeers)]
    assert added == [[PEERS[1].public_key.raw]]
    assert wireguard.writes == [steps]


def test_down_takes_everything_away_and_again_is_no_fault(parts: Parts, kernel: Kernel) -> None:
    reconcile(parts, WANTED)

    take_down(parts, HOST.private_key)
    take_down(parts, HOST.private_key)

    assert kernel == Kernel(makes=1)


def test_down_leaves_a_link_that_is_not_ours(parts: Parts, kernel: Kernel) -> None:
    kernel.link = Link(1500, up=True, addresses=frozenset())
    kernel.routes.add(Route(HOST.pool, None, route_metric("wgctl0"), unreachable=True))

    take_down(parts, HOST.private_key)

    assert kernel.link is not None
    assert kernel.routes == set()


def test_steps_are_taken_in_their_order(parts: Parts) -> None:
    """A route needs its link: the wrong way round the kernel refuses."""
    backwards = diff(WANTED, read(parts))[::-1]

    with pytest.raises(Unavailable):
        take(parts, backwards)
