import subprocess
import sys
from collections.abc import Callable, Iterator
from ipaddress import IPv6Interface, IPv6Network
from types import FrameType

import pytest

from tests.drivers.namespaces import Namespace
from wgctl.core.errors import Unavailable
from wgctl.core.tunnel import (
    AddAddress,
    AddRoute,
    Link,
    LinkStep,
    RemoveAddress,
    RemoveRoute,
    Route,
    SetLink,
    route_metric,
)
from wgctl.drivers.netlink.links import Netlink

pytestmark = pytest.mark.network

POOL = IPv6Network("fdaa::/16")
PREFIX = IPv6Network("fdaa:0:1::/48")


@pytest.fixture
def links(namespace: Namespace) -> Iterator[Netlink]:
    """A link of the kind that wireguard-go makes, without wireguard-go."""
    namespace.shell("ip", "tuntap", "add", "dev", namespace.interface, "mode", "tun")
    opened = Netlink(namespace.interface, metric=route_metric(namespace.interface))
    yield opened
    namespace.run(opened.close)


def reaches(namespace: Namespace, destination: str, *, source: str) -> bool:
    """Whether a packet between these addresses would go to the tunnel."""
    try:
        route = namespace.shell("ip", "-6", "route", "get", destination, "from", source)
    except subprocess.CalledProcessError:
        return False
    return f"dev {namespace.interface}" in route


def test_a_link_set_up_says_nothing_of_its_own_accord(namespace: Namespace, links: Netlink) -> None:
    """A tun device would take a link-local address and speak to all routers from it."""
    namespace.run(links.apply, [SetLink(1420)])

    assert "inet6" not in namespace.shell("ip", "-6", "addr", "show", namespace.interface)


def test_an_address_brings_no_route_of_the_kernels(namespace: Namespace, links: Netlink) -> None:
    namespace.run(links.apply, [SetLink(1420)])
    namespace.run(links.apply, [AddAddress(IPv6Interface("fdaa:0:1::3/128"))])

    assert namespace.shell("ip", "-6", "route", "show", "dev", namespace.interface) == ""
    assert "tentative" not in namespace.shell("ip", "-6", "addr")


def test_only_packets_of_a_network_take_its_route(namespace: Namespace, links: Netlink) -> None:
    """The first wall: with no firewall at all, another network's packets end here."""
    namespace.run(links.apply, [SetLink(1420)])
    for prefix in ("fdaa:0:1::/48", "fdaa:0:2::/48"):
        network = IPv6Network(prefix)
        namespace.run(links.apply, [AddAddress(IPv6Interface(network[3]))])
        namespace.run(links.apply, [AddRoute(Route(network, network, 7))])
    namespace.run(links.apply, [AddRoute(Route(POOL, None, 7, unreachable=True))])

    assert reaches(namespace, "fdaa:0:1::9", source="fdaa:0:1::3")
    assert not reaches(namespace, "fdaa:0:1::9", source="fdaa:0:2::3")
    assert not reaches(namespace, "fdaa:9::9", source="fdaa:0:1::3")


def test_foreign_routes_are_neither_seen_nor_touched(namespace: Namespace, links: Netlink) -> None:
    name = namespace.interface
    namespace.run(links.apply, [SetLink(1420)])
    namespace.shell("ip", "-6", "route", "add", "fdab::/48", "dev", name)
    namespace.shell("ip", "-6", "route", "add", "unreachable", "fdaa::/16", "metric", "4096")

    _, seen = namespace.run(links.read)
    namespace.run(links.apply, [RemoveRoute(Route(IPv6Network("fdab::/48"), None, 1024))])

    assert seen == frozenset()
    assert "fdab::/48" in namespace.shell("ip", "-6", "route")


def test_two_tunnels_of_one_pool_each_have_their_own_wall(
    namespace: Namespace, links: Netlink
) -> None:
    other = Netlink("other0", metric=route_metric("other0"))
    own, others = (
        Route(POOL, None, route_metric(name), unreachable=True)
        for name in (namespace.interface, "other0")
    )
    namespace.run(links.apply, [AddRoute(own)])
    namespace.run(other.apply, [AddRoute(others)])

    namespace.run(links.apply, [RemoveRoute(own)])

    assert namespace.run(links.read)[1] == frozenset()
    assert namespace.run(other.read)[1] == {others}
    namespace.run(other.close)


def test_a_route_that_somebody_made_in_our_place_becomes_ours(
    namespace: Namespace, links: Netlink
) -> None:
    ours = Route(POOL, None, route_metric(namespace.interface), unreachable=True)
    namespace.shell(
        "ip", "-6", "route", "add", "blackhole", "fdaa::/16", "metric", str(ours.metric)
    )

    namespace.run(links.apply, [AddRoute(ours)])

    assert namespace.run(links.read)[1] == {ours}
    assert "blackhole" not in namespace.shell("ip", "-6", "route")


def test_a_renamed_link_is_not_ours(namespace: Namespace, links: Netlink) -> None:
    namespace.shell("ip", "link", "set", namespace.interface, "name", "stolen0")

    assert namespace.run(links.index) is None
    with pytest.raises(Unavailable, match="the next pass"):
        namespace.run(links.apply, [AddAddress(IPv6Interface("fdaa:0:1::3/128"))])
    assert "fdaa" not in namespace.shell("ip", "-6", "addr")


def test_an_mtu_that_the_link_cannot_have_is_refused_with_the_kernels_reason(
    namespace: Namespace, links: Netlink
) -> None:
    with pytest.raises(Unavailable, match="link set up with MTU 99999: Invalid argument"):
        namespace.run(links.apply, [SetLink(99999)])


def test_a_links_kind_is_what_made_it(namespace: Namespace, links: Netlink) -> None:
    loopback = Netlink("lo", metric=1)

    assert namespace.run(links.kind) == "tun"
    assert namespace.run(loopback.kind) == "physical"
    namespace.run(links.remove)
    assert namespace.run(links.kind) is None
    namespace.run(loopback.close)


def test_a_kind_that_the_kernel_does_not_have_is_refused(namespace: Namespace) -> None:
    other = Netlink("other0", metric=1)

    with pytest.raises(Unavailable, match="this kernel has no such links"):
        namespace.run(other.make, "magic")
    assert namespace.run(other.kind) is None
    namespace.run(other.close)


def many(count: int) -> list[LinkStep]:
    networks = [IPv6Network((0xFDAA << 112 | n << 80, 48)) for n in range(1, count + 1)]
    addresses = [AddAddress(IPv6Interface(network[3])) for network in networks]
    return [*addresses, *(AddRoute(Route(network, network, 7)) for network in networks)]


def test_many_addresses_and_routes_are_all_there_and_all_gone(
    namespace: Namespace, links: Netlink
) -> None:
    steps = many(1000)
    namespace.run(links.apply, [SetLink(1420)])

    namespace.run(links.apply, steps)
    link, routes = namespace.run(links.read)

    assert link is not None
    assert link.addresses == {step.address for step in steps if isinstance(step, AddAddress)}
    assert routes == {step.route for step in steps if isinstance(step, AddRoute)}
    assert (
        namespace.shell("ip", "-6", "-o", "addr", "show", namespace.interface).count("fdaa") == 1000
    )
    back: list[LinkStep] = [
        RemoveAddress(step.address) if isinstance(step, AddAddress) else RemoveRoute(step.route)
        for step in steps
        if isinstance(step, AddAddress | AddRoute)
    ]
    namespace.run(links.apply, back)
    assert namespace.run(links.read) == (Link(1420, up=True, addresses=frozenset()), frozenset())


def test_a_step_that_is_refused_among_many_is_named(namespace: Namespace, links: Netlink) -> None:
    namespace.run(links.apply, [SetLink(1420)])
    multicast = AddAddress(IPv6Interface("ff02::3/128"))
    steps = [*many(20)[:20], multicast, *many(20)[20:]]

    with pytest.raises(Unavailable, match="address ff02::3/128 added: Cannot assign"):
        namespace.run(links.apply, steps)

    link, _ = namespace.run(links.read)
    assert link is not None
    assert len(link.addresses) == 20


def test_a_number_that_another_link_has_by_now_is_not_ours(
    namespace: Namespace, links: Netlink
) -> None:
    index = namespace.run(links.index)
    namespace.run(links.remove)
    namespace.shell("ip", "link", "add", "other0", "index", str(index), "type", "veth")
    namespace.shell("ip", "link", "set", "other0", "up")

    with pytest.raises(Unavailable, match="the interface is gone"):
        namespace.run(links.apply, many(3))

    assert namespace.run(links.read) == (None, frozenset())
    assert "fdaa" not in namespace.shell("ip", "-6", "addr")
    assert "fdaa" not in namespace.shell("ip", "-6", "route")


def test_a_link_that_is_renamed_between_look_and_write_keeps_nothing_of_ours(
    namespace: Namespace, links: Netlink
) -> None:
    namespace.run(links.apply, [SetLink(1420)])

    def rename(_frame: FrameType, event: str, called: object) -> None:
        if event == "c_call" and getattr(called, "__name__", "") == "send":
            sys.setprofile(None)
            namespace.shell("ip", "link", "set", namespace.interface, "name", "stolen0")

    def apply_meanwhile() -> None:
        sys.setprofile(rename)
        try:
            links.apply(many(3))
        finally:
            sys.setprofile(None)

    with pytest.raises(Unavailable, match="the interface is gone"):
        namespace.run(apply_meanwhile)

    assert "stolen0" in namespace.shell("ip", "link")
    assert "fdaa" not in namespace.shell("ip", "-6", "addr")
    assert "fdaa" not in namespace.shell("ip", "-6", "route")


@pytest.mark.parametrize(
    ("ask", "found"),
    [(Netlink.kind, None), (Netlink.read, (None, frozenset()))],
)
def test_a_link_that_goes_between_look_and_question_is_not_there(
    namespace: Namespace, links: Netlink, ask: Callable[[Netlink], object], found: object
) -> None:
    """As when the process of the device is killed."""

    def take_away(_frame: FrameType, event: str, called: object) -> None:
        if event == "c_call" and getattr(called, "__name__", "") == "send":
            sys.setprofile(None)
            namespace.shell("ip", "link", "del", namespace.interface)

    def ask_meanwhile() -> object:
        sys.setprofile(take_away)
        try:
            return ask(links)
        finally:
            sys.setprofile(None)

    assert namespace.run(ask_meanwhile) == found


def test_a_name_that_is_taken_is_refused(namespace: Namespace, links: Netlink) -> None:
    with pytest.raises(Unavailable, match="veth link made: File exists"):
        namespace.run(links.make, "veth")
