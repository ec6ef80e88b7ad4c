import os
import socket
from collections.abc import Iterator

import pytest

from tests.drivers.namespaces import Namespace, namespaced
from tests.patience import HANG_S
from wgctl.drivers.tunnel_socket import interface_index, listen_on

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces"),
]

_PORT = 4280


@pytest.fixture(scope="module")
def here() -> Iterator[Namespace]:
    """A namespace with a device, and another device beside it, to a second namespace."""
    with namespaced() as made, namespaced() as far:
        for name, number in ((made.interface, 1), (f"{made.interface}b", 2)):
            made.shell(
                *("ip", "link", "add", name, "type", "veth"),
                *("peer", "name", f"{far.interface}{number}", "netns", far.name),
            )
            for place, device, end in (
                (made, name, 1),
                (far, f"{far.interface}{number}", 2),
            ):
                place.shell("ip", "link", "set", device, "up")
                place.shell(
                    "ip", "address", "add", f"fd00:{number}::{end}/64", "dev", device, "nodad"
                )
        # The far end's thread is asked through `far`, which lives as long as this one.
        _FAR[made.name] = far
        yield made
        del _FAR[made.name]


_FAR: dict[str, Namespace] = {}


def _said(kind: socket.SocketKind, address: str) -> socket.socket:
    asking = socket.socket(socket.AF_INET6, kind)
    asking.settimeout(HANG_S)
    try:
        asking.connect((address, _PORT))
        if kind == socket.SOCK_DGRAM:
            asking.send(b"hello")
    except OSError:
        asking.close()
        raise
    return asking


def _heard(listener: socket.socket) -> tuple[bytes, list[tuple[int, int, bytes]]]:
    listener.settimeout(HANG_S)
    data, ancillary, _flags, _sender = listener.recvmsg(100, 100)
    return data, ancillary


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_socket_does_not_block_and_shares_its_port(
    here: Namespace, kind: socket.SocketKind
) -> None:
    """So each resolver worker opens its own."""

    def check() -> None:
        with (
            listen_on(here.interface, _PORT, kind=kind) as first,
            listen_on(here.interface, _PORT, kind=kind) as second,
        ):
            assert first.getsockname()[:2] == second.getsockname()[:2] == ("::", _PORT)
            assert not first.getblocking()

    here.run(check)


def test_a_stream_socket_hears_its_device_and_no_other(here: Namespace) -> None:
    far = _FAR[here.name]
    listener = here.run(lambda: listen_on(here.interface, _PORT, kind=socket.SOCK_STREAM))
    with listener:
        far.run(_said, socket.SOCK_STREAM, "fd00:1::1").close()
        for place, address in ((far, "fd00:2::1"), (here, "fd00:2::1"), (here, "::1")):
            with pytest.raises(ConnectionRefusedError):
                place.run(_said, socket.SOCK_STREAM, address)


def test_a_datagram_socket_hears_its_device_alone_and_tells_the_destination(
    here: Namespace,
) -> None:
    far = _FAR[here.name]
    listener = here.run(lambda: listen_on(here.interface, _PORT, kind=socket.SOCK_DGRAM))
    with listener:
        far.run(_said, socket.SOCK_DGRAM, "fd00:2::1").close()
        far.run(_said, socket.SOCK_DGRAM, "fd00:1::1").close()
        data, [(level, kind, info)] = _heard(listener)

        assert data == b"hello"
        assert (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)
        assert socket.inet_ntop(socket.AF_INET6, info[:16]) == "fd00:1::1"
        listener.settimeout(0.1)
        with pytest.raises(TimeoutError):
            listener.recv(100)


def test_a_device_that_is_not_there_has_no_index_and_no_socket(here: Namespace) -> None:
    assert here.run(interface_index, "none0") is None
    with pytest.raises(OSError, match="No such device"):
        here.run(lambda: listen_on("none0", _PORT, kind=socket.SOCK_STREAM))


def test_a_device_that_was_made_anew_has_another_index(here: Namespace) -> None:
    def make_anew() -> list[int | None]:
        found: list[int | None] = []
        for _ in range(2):
            here.shell("ip", "link", "add", "anew0", "type", "veth")
            found.append(interface_index("anew0"))
            here.shell("ip", "link", "delete", "anew0")
        return [*found, interface_index("anew0")]

    first, second, gone = here.run(make_anew)

    assert first is not None
    assert second is not None
    assert first != second
    assert gone is None
