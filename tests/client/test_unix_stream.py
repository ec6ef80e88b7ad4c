import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.patience import HANG_S
from wgctl.client.unix_stream import Answer, asked
from wgctl.core.errors import Unavailable

_Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the socket is: the path has to be short."""
    return tmp_path_factory.mktemp("u") / "s"


@asynccontextmanager
async def _asked(
    path: Path, speak: _Speak, *, body: bytes | None = None, silence_s: float = 10
) -> AsyncIterator[Answer]:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await speak(reader, writer)
        writer.close()

    async with (
        await asyncio.start_unix_server(once, path),
        asked(path, "POST", "/v1/x?y=1", body=body, silence_s=silence_s) as answer,
    ):
        yield answer


def test_a_request_is_sent_whole_and_what_comes_before_its_answer_is_passed_over(
    path: Path,
) -> None:
    heard = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        heard.append(await reader.readexactly(2))
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        writer.write(b"HTTP/1.1 409 Conflict\r\nContent-Length: 3\r\n\r\nwhy")

    async def ask() -> tuple[int, bool, bytes]:
        async with _asked(path, speak, body=b"{}") as answer:
            return answer.status, answer.good, await answer.body()

    assert asyncio.run(ask()) == (409, False, b"why")
    assert heard[0].startswith(b"POST /v1/x?y=1 HTTP/1.1\r\n")
    assert b"content-type: application/json\r\n" in heard[0].lower()
    assert heard[1] == b"{}"


def test_lines_are_whole_however_they_come(path: Path) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_CHUNKED)
        for piece in (b"one\ntw", b"o\n\nth", b"ree"):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    async def ask() -> list[bytes]:
        async with _asked(path, speak) as answer:
            return [line async for lines in answer.lines() for line in lines]

    assert asyncio.run(ask()) == [b"one", b"two", b"", b"three"]


def test_lines_that_came_together_are_given_together(path: Path) -> None:
    """A server makes a chunk of each: whoever waited a while is to have all that there is."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_CHUNKED + b"4\r\none\n\r\n4\r\ntwo\n\r\n")
        await writer.drain()
        await heard.wait()
        writer.write(b"6\r\nthree\n\r\n0\r\n\r\n")

    heard = asyncio.Event()

    async def ask() -> list[list[bytes]]:
        async with _asked(path, speak) as answer:
            lots = answer.lines()
            first = await anext(lots)
            heard.set()
            return [first, *[lines async for lines in lots]]

    assert asyncio.run(ask()) == [[b"one", b"two"], [b"three"]]


def test_silence_is_no_answer(path: Path) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_CHUNKED + b"4\r\none\n\r\n")
        await reader.read()

    async def ask() -> None:
        async with _asked(path, speak, silence_s=0.1) as answer:
            lines = answer.lines()
            assert await anext(lines) == [b"one"]
            with pytest.raises(Unavailable, match=f"{path} says nothing"):
                await anext(lines)

    asyncio.run(ask())


@pytest.mark.parametrize("whole", [True, False], ids=["a body", "a line"])
def test_what_has_no_end_is_given_up(path: Path, whole: bool) -> None:  # noqa: FBT001  # a case
    """Else the memory of a role would be the controller's to fill."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_CHUNKED)
        with suppress(ConnectionError):
            for _ in range(64):
                writer.write(b"10000\r\n%b\r\n" % (b"x" * 0x10000))
                await writer.drain()
            writer.write(b"0\r\n\r\n")

    async def ask() -> None:
        async with _asked(path, speak) as answer:
            if whole:
                await answer.body()
            else:
                await anext(answer.lines())

    with pytest.raises(Unavailable, match="of more than 1048576 bytes"):
        asyncio.run(ask())


def test_a_controller_that_takes_no_request_is_left(path: Path) -> None:
    """What it did not take must not be waited for at the end."""

    async def ask() -> None:
        async with asked(path, "POST", "/", body=bytes(2**22), silence_s=10):
            pass

    async def left() -> bool:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as hung:
            hung.bind(str(path))
            hung.listen()
            hung.setblocking(False)
            asking = asyncio.create_task(ask())
            taken, _ = await loop.sock_accept(hung)
            with taken:
                assert await loop.sock_recv(taken, 1) == b"P"
                asking.cancel()
                done, _ = await asyncio.wait({asking}, timeout=HANG_S)
        return bool(done)

    assert asyncio.run(left())


def test_a_path_too_long_for_a_socket_is_said_to_be(tmp_path: Path) -> None:
    async def ask() -> None:
        async with asked(tmp_path / ("x" * 108), "GET", "/", silence_s=1):
            pass

    with pytest.raises(Unavailable, match="x: AF_UNIX path too long"):
        asyncio.run(ask())
