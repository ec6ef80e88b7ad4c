"""Real servers behind a real device, asked from the `::3` of their network."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv6Address
from itertools import chain, repeat

import pytest

from tests.drivers.namespaces import Namespace, namespaced
from tests.patience import HANG_S
from wgctl.core.check import Target
from wgctl.core.errors import Unavailable
from wgctl.core.health import Verdict
from wgctl.drivers.probe import Prober, final_status

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces"),
]

RESOLVER = "fdaa:0:18::3"
MACHINE = IPv6Address("fdaa:0:18:10::2")
OTHER_RESOLVER = "fdaa:0:19::3"
OTHER_MACHINE = IPv6Address("fdaa:0:19:10::2")
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def tunnel() -> Iterator[tuple[Namespace, Namespace]]:
    """A host with the `::3` of two networks on a device, and behind it a machine of each."""
    with namespaced() as host, namespaced() as machine:
        device, end = host.interface, f"{machine.interface}e"
        host.shell(
            *("ip", "link", "add", device, "type", "veth"),
            *("peer", "name", end, "netns", machine.name),
        )
        for place, name, addresses in (
            (host, device, [f"{RESOLVER}/128", f"{OTHER_RESOLVER}/128"]),
            (machine, end, [f"{MACHINE}/128", f"{OTHER_MACHINE}/128"]),
        ):
            place.shell("ip", "link", "set", name, "up")
            for address in addresses:
                place.shell("ip", "address", "add", address, "dev", name, "nodad")
            place.shell("ip", "route", "add", "fdaa::/16", "dev", name)
        yield host, machine


@contextmanager
def served(machine: Namespace, answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve on a port of the machine for the block; each connection gets `answer`."""

    def listen() -> socket.socket:
        return socket.create_server(("::", 0), family=socket.AF_INET6)

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    answer(connection)

    with machine.run(listen) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def saying(*parts: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        for part in parts:
            connection.sendall(part)

    return answer


def probe(
    host: Namespace,
    text: str,
    *,
    address: IPv6Address = MACHINE,
    device: str = "",
    timeout_s: float = HANG_S,
) -> Verdict:
    """Return what a probe of a machine finds, made on `host`."""

    def work() -> Verdict:
        prober = Prober(device or host.interface)
        return asyncio.run(prober.probe(address, Target.parse(text), timeout_s=timeout_s))

    return host.run(work)


Tunnel = tuple[Namespace, Namespace]


def test_a_machine_is_asked_from_the_address_of_its_own_network(tunnel: Tunnel) -> None:
    """What one network's machine sees tells it nothing of another, and no wall lets others by."""
    host, machine = tunnel
    sources = []

    def answer(connection: socket.socket) -> None:
        sources.append(connection.getpeername()[0])
        connection.recv(4096)
        connection.sendall(GOOD)

    with served(machine, answer) as port:
        for address in (MACHINE, OTHER_MACHINE):
            assert probe(host, f"http://web.internal:{port}/", address=address).passed

    assert sources == [RESOLVER, OTHER_RESOLVER]


def test_a_connection_is_all_that_a_port_is_asked_for(tunnel: Tunnel) -> None:
    host, machine = tunnel
    with served(machine, lambda _connection: None) as port:
        assert probe(host, f"tcp:{port}") == Verdict(passed=True, reason=f"tcp {port}: connected")


def test_a_port_where_nobody_listens_fails(tunnel: Tunnel) -> None:
    assert probe(tunnel[0], "tcp:9") == Verdict(passed=False, reason="tcp 9: connection refused")


def test_the_request_has_the_path_and_the_host_of_the_url(tunnel: Tunnel) -> None:
    host, machine = tunnel
    requests = []

    def answer(connection: socket.socket) -> None:
        requests.append(connection.recv(4096))
        connection.sendall(GOOD)

    with served(machine, answer) as port:
        assert probe(host, f"http://web.internal:{port}/health?full=1").passed

    line, *headers = requests[0].decode().split("\r\n")
    assert line == "GET /health?full=1 HTTP/1.1"
    assert f"Host: web.internal:{port}" in headers
    assert "Connection: close" in headers


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([GOOD], "200"),
        ([b"HTTP/1.0 204 No Content\r\n\r\n"], "204"),
        ([b"HTTP/1.1 200\r\n"], "200"),
        ([b"HTT", b"P/1.1 299 \r", b"\n"], "299"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 E\r\nA: x\r\n", b"\r\n", GOOD], "200"),
        ([b"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n"], "301, expected 2xx"),
        ([b"HTTP/1.1 404 Not Found\r\n\r\n"], "404, expected 2xx"),
        ([b"HTTP/1.1 503 \x1b[2J\r\n\r\n"], "503, expected 2xx"),
        ([b"HTTP/1.1 2000 OK\r\n\r\n"], "no HTTP answer"),
        ([b"HTTP/2 200\r\n\r\n"], "no HTTP answer"),
        ([b""], "no HTTP answer"),
        ([b"HTTP/1.1 200 OK"], "no HTTP answer"),
        ([b"x" * 20_000], "no HTTP answer"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" * 1000], "no HTTP answer"),
        ([b"HTTP/1.0 100\n\n" * 8, GOOD], "200"),
        ([b"HTTP/1.0 100\n\n" * 9, GOOD], "no HTTP answer"),
    ],
    ids=range(16),
)
def test_only_an_answer_of_2xx_passes(tunnel: Tunnel, parts: list[bytes], said: str) -> None:
    host, machine = tunnel
    with served(machine, saying(*parts)) as port:
        verdict = probe(host, f"http://web.internal:{port}/")

    assert verdict == Verdict(said.isdecimal(), f"http {port}: {said}")


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 100\r\n"])
def test_octets_that_trickle_keep_nobody_waiting_and_come_to_an_end(start: bytes) -> None:
    """The next one waits already whenever one was taken, as asyncio gives it without a turn."""
    octets = (bytes([octet]) for octet in chain(start, repeat(ord("x"))))
    turns = 0
    received_in = []

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def receive() -> bytes:
        received_in.append(turns)
        return next(octets)

    async def read() -> int | None:
        others = asyncio.create_task(take_turns())
        try:
            return await final_status(receive)
        finally:
            others.cancel()

    assert asyncio.run(read()) is None
    assert received_in == list(range(1, 65))


def test_what_is_no_answer_is_not_waited_for(tunnel: Tunnel) -> None:
    host, machine = tunnel

    def answer(connection: socket.socket) -> None:
        connection.sendall(b"220 mail ESMTP\r\n")
        while connection.recv(4096):
            pass

    with served(machine, answer) as port:
        verdict = probe(host, f"http://web.internal:{port}/", timeout_s=30)

    assert verdict.reason == f"http {port}: no HTTP answer"


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK"])
def test_silence_fails_when_the_time_is_over(tunnel: Tunnel, said: bytes) -> None:
    host, machine = tunnel

    def answer(connection: socket.socket) -> None:
        connection.sendall(said)
        while connection.recv(4096):
            pass

    with served(machine, answer) as port:
        verdict = probe(host, f"http://web.internal:{port}/", timeout_s=0.2)

    assert verdict == Verdict(passed=False, reason=f"http {port}: no answer in 0.2 s")


def test_a_host_that_cannot_ask_says_nothing_of_the_machine(tunnel: Tunnel) -> None:
    """No device, or one that has not the network's address: the tunnel is not up yet."""
    host, _ = tunnel
    with pytest.raises(Unavailable, match="No such device"):
        probe(host, "tcp:80", device="nowhere")
    host.shell("ip", "address", "del", f"{RESOLVER}/128", "dev", host.interface)
    try:
        with pytest.raises(Unavailable, match="Cannot assign requested address"):
            probe(host, "tcp:80")
    finally:
        host.shell("ip", "address", "add", f"{RESOLVER}/128", "dev", host.interface, "nodad")


def test_a_probe_leaves_by_its_device_or_not_at_all(tunnel: Tunnel) -> None:
    """The machine's address is reachable by the first device: through another it is not asked."""
    host, machine = tunnel
    other = f"{host.interface}x"
    host.shell("ip", "link", "add", other, "type", "veth", "peer", "name", f"{other}e")
    host.shell("ip", "link", "set", other, "up")
    try:
        with served(machine, saying(GOOD)) as port:
            assert probe(host, f"tcp:{port}").passed
            with pytest.raises(Unavailable, match="no probe through"):
                probe(host, f"tcp:{port}", device=other)
    finally:
        host.shell("ip", "link", "del", other)
