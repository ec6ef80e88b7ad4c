import select
import socket
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv6Interface, IPv6Network

import pytest

from tests.drivers.namespaces import Namespace
from wgctl.core import firewall
from wgctl.core.tunnel import (
    AddAddress,
    AddRoute,
    ReplaceFirewall,
    Route,
    SetLink,
    route_metric,
)
from wgctl.drivers.netlink.links import Netlink
from wgctl.drivers.netlink.watch import Notice, Watch
from wgctl.drivers.nft import Nft

pytestmark = pytest.mark.network

NETWORK = IPv6Network("fdaa:0:1::/48")
OTHERS = "fdaa:0:9::/48"


@pytest.fixture
def watch(namespace: Namespace) -> Iterator[Watch]:
    """A link with an address, a route and a table, all of which were told of before."""
    name = namespace.interface
    namespace.shell("ip", "tuntap", "add", "dev", name, "mode", "tun")
    namespace.shell("ip", "link", "add", "other0", "type", "veth")
    namespace.shell("ip", "link", "set", "other0", "up")
    with closing(Netlink(name, metric=route_metric(name))) as links:
        route = Route(NETWORK, NETWORK, route_metric(name))
        address = AddAddress(IPv6Interface(NETWORK[3]))
        namespace.run(links.apply, [SetLink(1420), address, AddRoute(route)])
        table = firewall.ruleset(
            [NETWORK], interface=name, listen_port=51820, own_uids=frozenset({0})
        )
        namespace.run(Nft(name).apply, ReplaceFirewall(table))
        with closing(namespace.run(Watch, name)) as made:
            yield made
        namespace.run(links.close)


def heard(watch: Watch) -> set[Notice]:
    """What is told by now: the kernel tells before what it was told returns."""
    return set(watch.read())


TUNNEL, FIREWALL = {Notice.TUNNEL}, {Notice.FIREWALL}
DEEDS: list[tuple[str, set[Notice]]] = [
    ("ip link set {0} mtu 1300", TUNNEL),
    ("ip link set {0} down", TUNNEL),
    ("ip link set {0} name stolen0", TUNNEL),
    ("ip link del {0}", TUNNEL),
    ("ip -6 addr del fdaa:0:1::3/128 dev {0}", TUNNEL),
    ("ip -6 addr add fdaa:0:7::3/128 dev {0}", TUNNEL),
    ("ip -6 route del fdaa:0:1::/48 from fdaa:0:1::/48 dev {0}", TUNNEL),
    ("nft flush ruleset", FIREWALL),
    ("nft delete table inet {0}", FIREWALL),
    ("nft flush chain inet {0} forward", FIREWALL),
    ("nft flush set inet {0} networks", FIREWALL),
    ("nft insert rule inet {0} input accept", FIREWALL),
]
NO_DEEDS_OF_OURS = [
    "ip link set other0 mtu 1300",
    "ip -6 addr add fd00::1/64 dev other0",
    "ip -6 route add fd00:1::/48 dev other0",
    "nft add table inet other",
    "nft add table ip {0}",
]
# Of a link that comes up the kernel tells once more, when it has looked at it (link_watch.c).
QUIET_S = 1.2


@pytest.mark.parametrize(("deed", "notices"), DEEDS, ids=[deed for deed, _ in DEEDS])
def test_what_is_done_to_ours_is_noticed(
    namespace: Namespace, watch: Watch, deed: str, notices: set[Notice]
) -> None:
    namespace.shell(*deed.format(namespace.interface).split())

    assert notices <= heard(watch)


def test_what_is_done_to_others_is_not(namespace: Namespace, watch: Watch) -> None:
    while select.select(watch.sockets, [], [], QUIET_S)[0]:
        watch.read()

    for deed in NO_DEEDS_OF_OURS:
        namespace.shell(*deed.format(namespace.interface).split())

        assert (deed, heard(watch)) == (deed, set())


def test_a_link_that_is_made_later_is_ours_by_its_name(namespace: Namespace) -> None:
    name = namespace.interface
    with closing(namespace.run(Watch, name)) as watch:
        namespace.shell("ip", "link", "add", name, "type", "veth", "peer", "name", "far0")
        made = heard(watch)
        namespace.shell("ip", "-6", "addr", "add", "fdaa::3/128", "dev", name)
        given = heard(watch)
        namespace.shell("ip", "link", "del", name)
        gone = heard(watch)
        namespace.shell("ip", "link", "add", "far0", "type", "veth", "peer", "name", "far1")
        namespace.shell("ip", "-6", "addr", "add", "fdaa::3/128", "dev", "far0")
        others = heard(watch)

    assert (made, given, gone, others) == (TUNNEL, TUNNEL, TUNNEL, set())


def test_there_is_something_to_wait_on(namespace: Namespace, watch: Watch) -> None:
    namespace.shell("ip", "link", "set", namespace.interface, "mtu", "1300")
    told = select.select(watch.sockets, [], [], 5)[0]

    assert told == [watch.sockets[0]]


def test_what_finds_no_room_counts_as_told_of_all(namespace: Namespace, watch: Watch) -> None:
    for heard_at in watch.sockets:
        heard_at.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)

    for n in range(60):
        namespace.shell("ip", "link", "set", "other0", "mtu", str(1300 + n))

    assert heard(watch) == set(Notice)


def test_words_of_other_programs_are_not_believed(namespace: Namespace, watch: Watch) -> None:
    def tell() -> None:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as liar:
            port = watch.sockets[0].getsockname()[0]
            liar.sendto(b"\x14\0\0\0\x11\0\0\0" + bytes(12), (port, 0))

    while select.select(watch.sockets, [], [], QUIET_S)[0]:
        watch.read()
    namespace.run(tell)

    assert heard(watch) == set()
