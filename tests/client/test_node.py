import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from peers.endpoint import Endpoint
from peers.names import Label
from tests.api.asking import context_of, served
from tests.store import samples
from wgctl.api.nodes import nodes_app
from wgctl.client.node import Node
from wgctl.core.errors import Invalid, NotFound, Unavailable
from wgctl.core.feed import Commit, Event, Kind, Put
from wgctl.core.lease_schema import Announcement, LeaseReport, NewLease
from wgctl.core.model import Role
from wgctl.core.schema import NewGateway, ObservedPeer, RoleReport
from wgctl.services import org
from wgctl.services.observe import Observations
from wgctl.store.store import Store

_REPORT = RoleReport(role=Role.GATEWAY, revision=3, started_at=samples.NOW)
_GATEWAY = NewGateway(
    region="fra",
    endpoint=Endpoint.parse("203.0.113.9:51820"),
    public_key=samples.key(5),
    mtu_bytes=1420,
    forwards=True,
)


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the socket is: the path has to be short."""
    return tmp_path_factory.mktemp("n") / "node.sock"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = samples.create(tmp_path)
    samples.register(store)
    yield store
    store.close()


async def _first(node: Node, role: Role = Role.GATEWAY) -> Event:
    events = await anext(node.follow(role, epoch="epoch-a", since=0))
    return events[0]


_ANNOUNCED = Announcement(
    org="acme",
    network="default",
    peer="laptop",
    address=IPv6Address("fdaa:0:1:10::2"),
    machine=NewLease(app="web", name="one", holder="0" * 32),
)

_ASKING: list[Callable[[Node], Awaitable[object]]] = [
    lambda node: node.register(_GATEWAY),
    lambda node: node.report(_REPORT),
    lambda node: node.announce(_ANNOUNCED),
    lambda node: node.report_leases(LeaseReport()),
    _first,
]


@asynccontextmanager
async def _answering(path: Path, answer: bytes) -> AsyncIterator[Node]:
    """Answer every request at `path` with `answer`, whatever it asks."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(speak, path):
        yield Node(path)


def test_a_gateway_is_registered(store: Store, path: Path) -> None:
    async def register() -> str:
        async with served(nodes_app(context_of(store)), path):
            return (await Node(path).register(_GATEWAY)).name

    assert asyncio.run(register()) == "fra-17"
    with store.reading() as deployment:
        assert deployment.gateway("fra-17").public_key == samples.key(5)


def test_a_report_arrives(store: Store, path: Path) -> None:
    context = context_of(store)
    org.add(store, Label("acme"), now=samples.NOW)
    peer_id = samples.add_peer(store, "acme", 7).peer.id
    seen = ObservedPeer(peer_id=peer_id, last_handshake=samples.NOW, received_bytes=1, sent_bytes=2)

    async def report() -> None:
        async with served(nodes_app(context), path):
            await Node(path).report(_REPORT.model_copy(update={"peers": [seen]}))

    asyncio.run(report())
    observations: Observations = context.observations
    assert [facts.revision for facts in observations.roles()] == [3]
    assert observations.of_peer(peer_id).last_handshake == samples.NOW


def test_a_refusal_says_what_the_controller_said(store: Store, path: Path) -> None:
    context = replace(context_of(store), may_act=lambda _uid, _role: False)

    async def ask() -> None:
        async with served(nodes_app(context), path):
            for asked in (
                Node(path).register(_GATEWAY),
                Node(path).report(_REPORT),
                anext(aiter(Node(path).follow(Role.GATEWAY, epoch="", since=0))),
            ):
                with pytest.raises(Unavailable, match="user 0 may not speak for the"):
                    await asked

    asyncio.run(ask())


def test_the_feed_is_followed_event_by_event(store: Store, path: Path) -> None:
    async def follow() -> list[Event]:
        heard: list[Event] = []
        async with served(nodes_app(context_of(store)), path):
            async for events in Node(path).follow(Role.GATEWAY, epoch="epoch-a", since=0):
                heard += events
                if isinstance(heard[-1], Commit):
                    break
        return heard

    put, commit = asyncio.run(follow())
    assert isinstance(put, Put)
    assert (put.kind, commit) == (Kind.GATEWAY, Commit(1))


@pytest.mark.parametrize("ask", _ASKING)
def test_nobody_at_the_socket_is_unavailable(
    path: Path, ask: Callable[[Node], Awaitable[object]]
) -> None:
    async def asked() -> object:
        return await ask(Node(path))

    with pytest.raises(Unavailable, match=str(path)):
        asyncio.run(asked())
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with pytest.raises(Unavailable, match=str(path)):
        asyncio.run(asked())


def test_an_announcement_is_refused_with_the_controllers_own_words(
    path: Path, store: Store
) -> None:
    async def asked() -> object:
        async with served(nodes_app(context_of(store)), path):
            return await Node(path).announce(_ANNOUNCED)

    with pytest.raises(NotFound, match="no org 'acme'"):
        asyncio.run(asked())


@pytest.mark.parametrize("ask", _ASKING)
def test_a_refusal_without_a_reason_tells_its_status(
    path: Path, ask: Callable[[Node], Awaitable[object]]
) -> None:
    async def asked() -> None:
        answer = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\n{}"
        async with _answering(path, answer) as node:
            await ask(node)

    with pytest.raises(Unavailable, match="it answered 413 without a reason"):
        asyncio.run(asked())


@pytest.mark.parametrize("ask", _ASKING)
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ],
    ids=["nothing", "half an answer", "failed", "denied", "no HTTP"],
)
def test_an_answer_that_is_none_is_unavailable(
    path: Path, ask: Callable[[Node], Awaitable[object]], answer: bytes
) -> None:
    async def asked() -> None:
        async with _answering(path, answer) as node:
            await ask(node)

    with pytest.raises(Unavailable):
        asyncio.run(asked())


def test_a_registration_that_is_answered_with_another_shape_is_unavailable(path: Path) -> None:
    async def asked() -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        async with _answering(path, answer) as node:
            await node.register(_GATEWAY)

    with pytest.raises(Unavailable, match="no Gateway"):
        asyncio.run(asked())


def test_a_line_that_is_none_of_the_feed_is_invalid(path: Path) -> None:
    async def asked() -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}\n"
        async with _answering(path, answer) as node:
            await _first(node)

    with pytest.raises(Invalid, match="a line of the feed"):
        asyncio.run(asked())


def test_a_controller_that_dies_within_the_feed_is_unavailable(path: Path) -> None:
    """What came before the end was told, and no half line."""
    line = b'{"commit":7}\n'
    chunk = b"%x\r\n%b\r\n" % (len(line) + 5, line + b'{"com')
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def follow() -> Event:
        async with _answering(path, head + chunk) as node:
            events = node.follow(Role.GATEWAY, epoch="", since=0)
            (first,) = await anext(events)
            with pytest.raises(Unavailable):
                await anext(events)
            return first

    assert asyncio.run(follow()) == Commit(7)
