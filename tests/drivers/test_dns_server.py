"""The resolver's sockets in a namespace, asked by dig from another one.

Two veth pairs join them: the tunnel's device, and an uplink that nothing may be answered on.
"""

import asyncio
import secrets
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import dns.message
import dns.rrset
import pytest

from tests.drivers.namespaces import Namespace
from wgctl.drivers.dns_server import Asker, DnsServer, Handler, Listening

pytestmark = pytest.mark.network

RESOLVER, PEER = "fdaa:0:18::3", "fdaa:0:18:10::2"
OTHER_RESOLVER, OTHER_PEER = "fdaa:0:19::3", "fdaa:0:19:10::2"
UPLINK_HERE, UPLINK_THERE = "2001:db8::1", "2001:db8::2"
DEADLINE_S = 10.0


def who(message: bytes, asker: Asker) -> bytes:
    """Reply with a TXT record that says who asked, and how."""
    query = dns.message.from_wire(message)
    reply = dns.message.make_response(query)
    carrier = "stream" if asker.stream else "datagram"
    data = f'"{asker.address.hex(":", 2)} {carrier}"'
    reply.answer.append(dns.rrset.from_text(query.question[0].name, 5, "IN", "TXT", data))
    return reply.to_wire()


@dataclass(frozen=True, slots=True)
class Lan:
    """The server's namespace, the client's, and the devices between."""

    server: Namespace
    client: str

    @property
    def device(self) -> str:
        return self.server.interface

    @property
    def uplink(self) -> str:
        return f"{self.server.interface}u"

    def add_device(self) -> None:
        """Make the tunnel's device, with both networks on it."""
        self.join(self.device)
        for address in (RESOLVER, OTHER_RESOLVER, "fdaa:0:18::4"):
            self.add_address(self.device, f"{address}/48", here=True)
        for address in (PEER, OTHER_PEER):
            self.add_address(self.device, f"{address}/48", here=False)

    def add_uplink(self) -> None:
        self.join(self.uplink)
        self.add_address(self.uplink, f"{UPLINK_HERE}/64", here=True)
        self.add_address(self.uplink, f"{UPLINK_THERE}/64", here=False)

    def join(self, name: str) -> None:
        there = ["peer", "name", name, "netns", self.client]
        self.server.shell("ip", "link", "add", name, "type", "veth", *there)
        self.server.shell("ip", "link", "set", name, "up")
        self.in_client("ip", "link", "set", name, "up")

    def add_address(self, device: str, address: str, *, here: bool) -> None:
        command = ["ip", "address", "add", address, "dev", device]
        if here:
            self.server.shell(*command)
        else:
            self.in_client(*command)

    def in_client(self, *command: str) -> str:
        done = subprocess.run(
            ["ip", "netns", "exec", self.client, *command],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def dig(self, *words: str, tries: int = 3) -> str:
        """Return what dig prints of `who.internal`; nothing when no reply came."""
        command = ["dig", "+short", f"+tries={tries}", "+time=1", *words, "who.internal", "TXT"]
        try:
            return self.in_client(*command).strip()
        except subprocess.CalledProcessError as error:
            assert error.returncode == 9, error.stdout  # no reply  # noqa: PT017
            return ""


@pytest.fixture
def lan(namespace: Namespace) -> Iterator[Lan]:
    client = f"wc{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", client], check=True)
    try:
        made = Lan(namespace, client)
        # Neighbours are found from link-local addresses, which are otherwise in doubt for a second.
        for shell in (namespace.shell, made.in_client):
            shell("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        yield made
    finally:
        subprocess.run(["ip", "netns", "delete", client], check=True)


@dataclass(slots=True)
class Served:
    """A server that runs; `heard` is what it said of its sockets."""

    heard: list[Listening] = field(default_factory=list)

    def until(self, condition: Callable[[list[Listening]], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition(self.heard):
            assert time.monotonic() < deadline, self.heard
            time.sleep(0.02)


def listens(heard: list[Listening]) -> bool:
    return bool(heard) and heard[-1].index is not None


@contextmanager
def serving(lan: Lan, handler: Handler = who) -> Iterator[Served]:
    served = Served()
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = Future()

    async def serve() -> None:
        task = asyncio.current_task()
        assert task is not None
        started.set_result((asyncio.get_running_loop(), task))
        with suppress(asyncio.CancelledError):
            await DnsServer(lan.device, handler, notify=served.heard.append).run()

    ended = lan.server.thread.submit(lambda: asyncio.run(serve()))
    loop, task = started.result(DEADLINE_S)
    try:
        yield served
    finally:
        loop.call_soon_threadsafe(task.cancel)
        ended.result(DEADLINE_S)


def test_who_asks_is_known_and_answered_from_the_address_that_was_asked(lan: Lan) -> None:
    lan.add_device()
    with serving(lan) as served:
        served.until(listens)
        for peer, resolver in ((PEER, RESOLVER), (OTHER_PEER, OTHER_RESOLVER)):
            address = asker(peer)
            udp = lan.dig("-b", peer, f"@{resolver}")
            tcp = lan.dig("-b", peer, f"@{resolver}", "+tcp")

            assert udp == f'"{address} datagram"'
            assert tcp == f'"{address} stream"'


def asker(peer: str) -> str:
    groups = peer.removesuffix("::2").split(":")
    return ":".join([*(f"{int(group, 16):04x}" for group in groups), *["0000"] * 3, "0002"])


@pytest.mark.parametrize("carrier", ["+notcp", "+tcp"])
@pytest.mark.parametrize(
    ("source", "target"),
    [
        pytest.param(PEER, OTHER_RESOLVER, id="the resolver of another network"),
        pytest.param(PEER, "fdaa:0:18::4", id="another address of the host in the network"),
        pytest.param(PEER, UPLINK_HERE, id="the host's own address"),
    ],
)
def test_only_the_resolver_of_the_askers_own_network_answers(
    lan: Lan, carrier: str, source: str, target: str
) -> None:
    lan.add_device()
    lan.add_uplink()
    with serving(lan) as served:
        served.until(listens)

        assert lan.dig("-b", source, f"@{target}", carrier, tries=1) == ""
        assert lan.dig("-b", PEER, f"@{RESOLVER}", carrier) != ""


@pytest.mark.parametrize("carrier", ["+notcp", "+tcp"])
def test_nothing_that_comes_by_another_interface_is_answered(lan: Lan, carrier: str) -> None:
    """Whatever its source says: there is no firewall here, and the address is the host's own."""
    lan.add_device()
    lan.add_uplink()
    with serving(lan) as served:
        served.until(listens)
        there = [f"{RESOLVER}/128", "via", UPLINK_HERE, "dev", lan.uplink]
        back = [f"{PEER}/128", "via", UPLINK_THERE, "dev", lan.uplink]
        lan.in_client("ip", "-6", "route", "add", *there)
        lan.server.shell("ip", "-6", "route", "add", *back)
        # The way by the uplink is open in both directions.
        lan.in_client("ping", "-q", "-c5", "-i0.2", "-W1", "-I", PEER, RESOLVER)

        assert lan.dig("-b", PEER, f"@{RESOLVER}", carrier, tries=1) == ""
        lan.in_client("ip", "-6", "route", "del", *there)
        assert lan.dig("-b", PEER, f"@{RESOLVER}", carrier) != ""


def test_no_socket_hears_more_than_the_device(lan: Lan) -> None:
    lan.add_device()
    with serving(lan) as served:
        served.until(listens)
        sockets = lan.server.shell("ss", "-H", "-l", "-u", "-t", "-n").splitlines()

        assert sorted(line.split()[4] for line in sockets) == [f"[::]%{lan.device}:53"] * 2


def test_the_interface_may_come_late_go_and_come_back(lan: Lan) -> None:
    with serving(lan) as served:
        for _ in range(2):
            lan.add_device()
            served.until(listens)
            assert lan.dig("-b", PEER, f"@{RESOLVER}") != ""
            assert lan.dig("-b", PEER, f"@{RESOLVER}", "+tcp") != ""
            lan.server.shell("ip", "link", "delete", lan.device)
            served.until(lambda heard: not listens(heard))

    indices = [heard.index for heard in served.heard]
    assert [index is None for index in indices] == [True, False, True, False, True]
    assert indices[1] != indices[3]


def test_a_taken_port_is_said_once_and_tried_again(lan: Lan) -> None:
    lan.add_device()
    taken = lan.server.run(lambda: _take_port(lan.device))
    with serving(lan) as served:
        served.until(bool)
        taken.close()
        served.until(listens)

    reasons = [heard.reason is not None for heard in served.heard]
    assert reasons == [True, False]


def _take_port(device: str) -> socket.socket:
    taken = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    taken.bind(("::", 53))
    return taken


def test_a_reply_may_come_later_and_holds_up_nobody(lan: Lan) -> None:
    lan.add_device()
    release = asyncio.Event()

    async def later(message: bytes, asker: Asker) -> bytes:
        await release.wait()
        return who(message, asker)

    def handler(message: bytes, asker: Asker) -> Awaitable[bytes | None] | bytes:
        if dns.message.from_wire(message).edns >= 0:
            return later(message, asker)
        release.set()
        return who(message, asker)

    with serving(lan, handler) as served, ThreadPoolExecutor(1) as other:
        served.until(listens)
        late = other.submit(lan.dig, "-b", PEER, f"@{RESOLVER}", "+edns")
        quick = lan.dig("-b", PEER, f"@{RESOLVER}", "+noedns")

        assert quick == late.result(DEADLINE_S) == f'"{asker(PEER)} datagram"'


def test_silence_is_silence(lan: Lan) -> None:
    lan.add_device()
    with serving(lan, lambda *_: None) as served:
        served.until(listens)

        assert lan.dig("-b", PEER, f"@{RESOLVER}", tries=1) == ""
