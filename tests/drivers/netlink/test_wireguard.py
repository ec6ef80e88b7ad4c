"""What is the kernel's alone; the contract that all backends share is `test_memory`."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv6Network

import pytest

from peers.keys import PrivateKey
from tests.drivers.namespaces import Namespace, namespaced
from wgctl.core.allowed_ips import NO_IPS, pack
from wgctl.core.errors import Conflict, Unavailable
from wgctl.core.tunnel import SetDevice, SetLink, SetPeer, route_metric
from wgctl.drivers.netlink.links import Netlink
from wgctl.drivers.netlink.wireguard import KernelWireGuard

pytestmark = [pytest.mark.network, pytest.mark.kernel]

ONE, OTHER = (PrivateKey.generate().public() for _ in range(2))
IPS = [IPv6Network(f"fdaa:0:1:10::{n}/128") for n in (2, 3)]
IP, OTHER_IP = (pack([ip]) for ip in IPS)


def links(namespace: Namespace) -> Netlink:
    return Netlink(namespace.interface, metric=route_metric(namespace.interface))


@pytest.fixture
def device(namespace: Namespace) -> Iterator[KernelWireGuard]:
    """A device whose link is up."""
    opened = links(namespace)
    made = KernelWireGuard(namespace.interface, opened)
    namespace.run(made.create)
    namespace.run(opened.apply, [SetLink(1420)])
    yield made
    namespace.run(opened.close)


def test_wg_shows_what_was_set(namespace: Namespace, device: KernelWireGuard) -> None:
    """A second opinion on our own packing."""
    secret = PrivateKey.generate()

    namespace.run(device.apply, [SetDevice(secret, 51820), SetPeer(ONE.raw, pack(IPS))])

    shown = namespace.shell("wg", "show", namespace.interface, "dump").splitlines()
    assert shown[0].split("\t") == [secret.text(), str(secret.public()), "51820", "off"]
    assert shown[1].split("\t")[0] == str(ONE)
    assert set(shown[1].split("\t")[3].split(",")) == set(map(str, IPS))


def test_a_peer_keeps_its_endpoint_when_it_or_another_is_set(
    namespace: Namespace, device: KernelWireGuard
) -> None:
    namespace.run(device.apply, [SetPeer(ONE.raw, IP)])
    namespace.shell(
        *("wg", "set", namespace.interface, "peer", str(ONE), "endpoint", "[2001:db8::1]:9")
    )

    namespace.run(device.apply, [SetPeer(OTHER.raw, IP), SetPeer(ONE.raw, OTHER_IP)])

    seen = namespace.run(device.observe)
    assert seen[ONE.raw].endpoint == "[2001:db8::1]:9"
    assert seen[OTHER.raw].endpoint is None


def test_a_peer_with_the_devices_own_key_is_left_out(
    namespace: Namespace, device: KernelWireGuard
) -> None:
    secret = PrivateKey.generate()

    namespace.run(device.apply, [SetDevice(secret, None), SetPeer(secret.public().raw, IP)])

    assert namespace.run(device.observe) == {}


def test_a_port_that_is_taken_is_refused_with_its_cure_and_no_key(
    namespace: Namespace, device: KernelWireGuard
) -> None:
    secret = PrivateKey.generate()

    def take() -> socket.socket:
        taken = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        taken.bind(("::", 0))
        return taken

    with (
        namespace.run(take) as taken,
        pytest.raises(Unavailable, match="choose another listen_port") as caught,
    ):
        namespace.run(device.apply, [SetDevice(secret, taken.getsockname()[1])])

    assert secret.text() not in str(caught.value)
    assert secret.raw.hex() not in str(caught.value)


def test_another_namespaces_device_of_our_name_is_not_ours(
    namespace: Namespace, device: KernelWireGuard
) -> None:
    with namespaced() as other:
        opened = Netlink(namespace.interface, metric=1)
        theirs = KernelWireGuard(namespace.interface, opened)

        assert not other.run(theirs.alive)
        assert other.run(theirs.read) is None
        other.run(theirs.create)
        other.run(theirs.apply, [SetPeer(ONE.raw, IP)])
        other.run(opened.close)

    assert namespace.run(device.observe) == {}


def test_a_link_of_another_kind_is_neither_used_nor_removed(namespace: Namespace) -> None:
    namespace.shell("ip", "link", "add", namespace.interface, "type", "veth")
    opened = links(namespace)
    device = KernelWireGuard(namespace.interface, opened)

    assert not namespace.run(device.alive)
    assert namespace.run(device.read) is None
    with pytest.raises(Conflict, match="a veth link"):
        namespace.run(device.create)
    with pytest.raises(Unavailable, match="refused a change"):
        namespace.run(device.apply, [SetPeer(ONE.raw, IP)])
    namespace.run(device.remove)
    assert namespace.interface in namespace.shell("ip", "link")
    namespace.run(opened.close)


def test_a_device_that_changes_while_it_is_read_is_read_whole(
    namespace: Namespace, device: KernelWireGuard
) -> None:
    """The kernel marks such an answer as interrupted; half of it would look like drift."""
    lasting = {n.to_bytes(32) for n in range(1, 601)}
    namespace.run(device.apply, [SetPeer(key, NO_IPS) for key in lasting])

    changing = [SetPeer(ONE.raw, ips) for ips in (IP, OTHER_IP) * 20]
    with namespace.beside() as beside:
        changes = [beside.submit(device.apply, [step]) for step in changing]
        read = 0
        while not all(change.done() for change in changes):
            with suppress(Unavailable):
                assert namespace.run(device.observe).keys() >= lasting
                read += 1
        for change in changes:
            change.result()

    assert read > 0
