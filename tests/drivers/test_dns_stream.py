"""Streams over the loopback and over a Unix socket, held against rude and slow askers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.patience import HANG_S
from wgctl.drivers.dns_stream import Asker, Handler, Streams, ends

ALICE = bytes(15) + b"\1"
BOB = bytes(6) + b"\1" + bytes(9)
SHORT_S = 0.2

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def echo(message: bytes, asker: Asker) -> bytes | None:
    """Reply with the message backwards and who asked; silence to what begins with «shh»."""
    assert asker.stream
    return None if message.startswith(b"shh") else message[::-1] + b"|" + asker.address


class Late:
    """Replies when it is told to."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, asyncio.Future[bytes | None]] = {}
        self.came = asyncio.Event()

    def __call__(self, message: bytes, _: Asker) -> Awaitable[bytes | None]:
        reply: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self.waiting[message] = reply
        self.came.set()
        return reply

    async def has(self, count: int) -> None:
        while len(self.waiting) < count:
            self.came.clear()
            await self.came.wait()


class Listener:
    """A TCP listener on a free port of the loopback, whose askers all are `asker`."""

    def __init__(self, port: int, streams: Streams) -> None:
        self._port = port
        self._clients: list[Client] = []
        self.streams = streams

    async def connect(self) -> Client:
        client = await asyncio.open_connection("::1", self._port)
        self._clients.append(client)
        return client

    def close(self) -> None:
        for _, writer in self._clients:
            writer.transport.abort()
        self.streams.close()


@asynccontextmanager
async def listening(
    handler: Handler, *, asker: bytes | None = ALICE, patience_s: float = HANG_S
) -> AsyncIterator[Listener]:
    streams = Streams(handler, patience_s=patience_s)
    converse = partial(streams.converse, asker=asker)
    server = await asyncio.start_server(converse, "::1", 0)
    listener = Listener(server.sockets[0].getsockname()[1], streams)
    try:
        yield listener
    finally:
        server.close()
        listener.close()


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


async def receive(client: Client) -> bytes:
    length = int.from_bytes(await client[0].readexactly(2), "big")
    return await client[0].readexactly(length)


async def closed(client: Client) -> bool:
    """Wait until the other side has closed, whatever it sends before."""
    try:
        while await client[0].read(65536):
            pass
    except ConnectionError:
        pass
    return True


def within_deadline(work: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), HANG_S))


def test_requests_are_answered_one_after_the_other() -> None:
    async def work() -> None:
        async with listening(echo) as listener:
            client = await listener.connect()
            client[1].write(framed(b"one") + framed(b"two")[:3])
            assert await receive(client) == b"eno|" + ALICE
            client[1].write(framed(b"two")[3:])
            assert await receive(client) == b"owt|" + ALICE

    within_deadline(work)


def test_a_slow_reply_does_not_hold_up_the_next() -> None:
    """RFC 7766, section 6.2.1.1: replies to pipelined queries may come in any order."""

    async def work() -> None:
        late = Late()
        async with listening(late) as listener:
            client = await listener.connect()
            client[1].write(framed(b"slow") + framed(b"quick"))
            await late.has(2)
            late.waiting[b"quick"].set_result(b"first")
            assert await receive(client) == b"first"
            late.waiting[b"slow"].set_result(b"second")
            assert await receive(client) == b"second"

    within_deadline(work)


def test_no_more_than_32_requests_are_owed_a_reply_at_once() -> None:
    async def work() -> None:
        late = Late()
        async with listening(late) as listener:
            client = await listener.connect()
            client[1].write(b"".join(framed(b"%d" % number) for number in range(40)))
            await late.has(32)
            late.waiting[b"7"].set_result(b"done")
            assert await receive(client) == b"done"
            await late.has(33)
            assert len(late.waiting) == 33

    within_deadline(work)


def test_what_is_owed_is_sent_after_the_asker_has_closed_its_side() -> None:
    async def work() -> None:
        late = Late()
        async with listening(late) as listener:
            client = await listener.connect()
            client[1].write(framed(b"one"))
            client[1].write_eof()
            await late.has(1)
            late.waiting[b"one"].set_result(b"reply")
            assert await receive(client) == b"reply"
            assert await closed(client)

    within_deadline(work)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\0", id="half a length"),
        pytest.param(b"\0\x20short", id="less than announced"),
        pytest.param(framed(b"shh") + framed(b"one"), id="what deserves silence"),
    ],
)
def test_whoever_stalls_or_sends_nonsense_is_disconnected(sent: bytes) -> None:
    async def work() -> None:
        async with listening(echo, patience_s=SHORT_S) as listener:
            client = await listener.connect()
            client[1].write(sent)
            assert await client[0].read() == b""

    within_deadline(work)


def test_a_connection_is_not_closed_before_it_has_what_it_is_owed() -> None:
    async def work() -> None:
        late = Late()
        async with listening(late, patience_s=SHORT_S) as listener:
            client = await listener.connect()
            client[1].write(framed(b"one"))
            await late.has(1)
            asyncio.get_running_loop().call_later(
                3 * SHORT_S, late.waiting[b"one"].set_result, b"reply"
            )
            assert await receive(client) == b"reply"
            assert await client[0].read() == b""

    within_deadline(work)


async def ask_for_ever(client: Client) -> None:
    while True:
        client[1].write(framed(b"more") * 100)
        await client[1].drain()


def test_whoever_takes_no_reply_is_disconnected() -> None:
    async def work() -> None:
        async with listening(lambda *_: bytes(65535), patience_s=SHORT_S) as listener:
            client = await listener.connect()
            client[0]._transport.pause_reading()  # type: ignore[attr-defined]  # noqa: SLF001  # asks and never reads
            with pytest.raises(ConnectionError):
                await ask_for_ever(client)

    within_deadline(work)


def test_one_address_has_8_connections_and_no_more() -> None:
    async def work() -> None:
        async with listening(echo) as listener:
            clients = []
            for _ in range(8):
                client = await listener.connect()
                client[1].write(framed(b"one"))
                assert await receive(client) == b"eno|" + ALICE
                clients.append(client)
            assert await closed(await listener.connect())

            clients[0][1].write_eof()
            assert await closed(clients[0])
            client = await listener.connect()
            client[1].write(framed(b"one"))
            assert await receive(client) == b"eno|" + ALICE

    within_deadline(work)


def test_an_operators_request_names_its_asker(tmp_path: Path) -> None:
    async def work() -> None:
        streams = Streams(echo)
        path = str(tmp_path / "s")
        server = await asyncio.start_unix_server(partial(streams.converse, asker=None), path)
        client = await asyncio.open_unix_connection(path)
        client[1].write(ALICE + framed(b"one") + BOB + framed(b"shh") + BOB + framed(b"two"))
        assert await receive(client) == b"eno|" + ALICE
        assert await receive(client) == b""
        assert await receive(client) == b"owt|" + BOB
        server.close()
        streams.close()
        assert await closed(client)
        client[1].transport.abort()

    within_deadline(work)


def test_the_ends_of_a_connection_are_16_octets_each() -> None:
    async def work() -> None:
        seen: asyncio.Future[tuple[bytes, bytes]] = asyncio.get_running_loop().create_future()

        async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.set_result(ends(writer))
            writer.close()

        server = await asyncio.start_server(note, "::1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        loopback = socket.inet_pton(socket.AF_INET6, "::1")
        assert await seen == (loopback, loopback)
        writer.close()
        server.close()

    within_deadline(work)
