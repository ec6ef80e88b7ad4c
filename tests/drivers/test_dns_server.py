"""DNS over TCP in a namespace, asked by dig from another one."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import dns.message
import dns.rrset
import pytest

from tests.drivers.lan import (
    OTHER_PEER,
    OTHER_RESOLVER,
    PEER,
    RESOLVER,
    UPLINK_HERE,
    Lan,
)
from tests.patience import HANG_S
from wgctl.drivers.dns_server import DnsServer, Listening
from wgctl.drivers.dns_stream import Asker, Handler

pytestmark = pytest.mark.network


def who(message: bytes, asker: Asker) -> bytes:
    """Reply with a TXT record that says who asked, and how."""
    query = dns.message.from_wire(message)
    reply = dns.message.make_response(query)
    carrier = "stream" if asker.stream else "datagram"
    data = f'"{asker.address.hex(":", 2)} {carrier}"'
    reply.answer.append(dns.rrset.from_text(query.question[0].name, 5, "IN", "TXT", data))
    return reply.to_wire()


@dataclass(slots=True)
class Served:
    """A server that runs; `heard` is what it said of its sockets."""

    heard: list[Listening] = field(default_factory=list)

    def until(self, condition: Callable[[list[Listening]], bool]) -> None:
        deadline = time.monotonic() + HANG_S
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
    loop, task = started.result(HANG_S)
    try:
        yield served
    finally:
        loop.call_soon_threadsafe(task.cancel)
        ended.result(HANG_S)


def test_who_asks_is_known_and_answered_from_the_address_that_was_asked(lan: Lan) -> None:
    lan.add_device()
    with serving(lan) as served:
        served.until(listens)
        for peer, resolver in ((PEER, RESOLVER), (OTHER_PEER, OTHER_RESOLVER)):
            reply = lan.dig("-b", peer, f"@{resolver}", "+tcp")

            assert reply == f'"{asker(peer)} stream"'


def asker(peer: str) -> str:
    groups = peer.removesuffix("::2").split(":")
    return ":".join([*(f"{int(group, 16):04x}" for group in groups), *["0000"] * 3, "0002"])


@pytest.mark.parametrize(
    ("source", "target"),
    [
        pytest.param(PEER, OTHER_RESOLVER, id="the resolver of another network"),
        pytest.param(PEER, "fdaa:0:18::4", id="another address of the host in the network"),
        pytest.param(PEER, UPLINK_HERE, id="the host's own address"),
    ],
)
def test_only_the_resolver_of_the_askers_own_network_answers(
    lan: Lan, source: str, target: str
) -> None:
    lan.add_device()
    lan.add_uplink()
    with serving(lan) as served:
        served.until(listens)

        assert lan.dig("-b", source, f"@{target}", "+tcp", tries=1) == ""
        assert lan.dig("-b", PEER, f"@{RESOLVER}", "+tcp") != ""


def test_nothing_that_comes_by_another_interface_is_answered(lan: Lan) -> None:
    """Whatever its source says: there is no firewall here, and the address is the host's own."""
    lan.add_device()
    lan.add_uplink()
    with serving(lan) as served:
        served.until(listens)
        lan.take_uplink()

        assert lan.dig("-b", PEER, f"@{RESOLVER}", "+tcp", tries=1) == ""
        lan.leave_uplink()
        assert lan.dig("-b", PEER, f"@{RESOLVER}", "+tcp") != ""


def test_no_socket_hears_more_than_the_device(lan: Lan) -> None:
    lan.add_device()
    with serving(lan) as served:
        served.until(listens)
        sockets = lan.server.shell("ss", "-H", "-l", "-u", "-t", "-n").splitlines()

        assert sorted(line.split()[4] for line in sockets) == [f"[::]%{lan.device}:53"]


def test_the_interface_may_come_late_go_and_come_back(lan: Lan) -> None:
    with serving(lan) as served:
        for _ in range(2):
            lan.add_device()
            served.until(listens)
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
    taken = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    taken.bind(("::", 53))
    taken.listen()
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
        late = other.submit(lan.dig, "-b", PEER, f"@{RESOLVER}", "+tcp", "+edns")
        quick = lan.dig("-b", PEER, f"@{RESOLVER}", "+tcp", "+noedns")

        assert quick == late.result(HANG_S) == f'"{asker(PEER)} stream"'


def test_silence_is_silence(lan: Lan) -> None:
    lan.add_device()
    with serving(lan, lambda *_: None) as served:
        served.until(listens)

        assert lan.dig("-b", PEER, f"@{RESOLVER}", "+tcp", tries=1) == ""
