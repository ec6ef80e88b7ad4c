"""Answers of a real uvicorn over TLS, whose records are counted as they come over the wire."""

import asyncio
import ssl
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.drivers.serving import OWN, served
from tests.patience import HANG_S
from wgctl.core.pin import NAME

Send = Callable[[dict[str, Any]], Awaitable[None]]

_HEAD = struct.Struct("!BHH")  # type, version and length of a record (RFC 8446, section 5.1)


class Wire:
    """A client with TLS that gives what each record holds."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cadata=OWN.certificate.decode())
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=NAME)

    async def greet(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                await self._take()
            else:
                self._flush()
                return

    def tell(self, octets: bytes) -> None:
        self._tls.write(octets)
        self._flush()

    async def record(self) -> bytes:
        """Return what the next record holds; those of TLS itself hold nothing."""
        while True:
            await self._take()
            try:
                return self._tls.read(2**16)
            except ssl.SSLWantReadError:
                self._flush()

    async def _take(self) -> None:
        async with asyncio.timeout(HANG_S):
            head = await self._reader.readexactly(_HEAD.size)
            _type, _version, length = _HEAD.unpack(head)
            self._incoming.write(head + await self._reader.readexactly(length))

    def _flush(self) -> None:
        self.writer.write(self._outgoing.read())


def _asked(method: str) -> bytes:
    return f"{method} / HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def _answers(asked: bytes, *, app: Any, records: int, **more: Any) -> list[bytes]:
    """Return what each of the first `records` of an answer holds; `more` is uvicorn's."""

    async def scene() -> list[bytes]:
        async with served(app=app, **more) as place:
            wire = Wire(*await asyncio.open_connection("127.0.0.1", place.port))
            await wire.greet()
            wire.tell(asked)
            try:
                return [await wire.record() for _ in range(records)]
            finally:
                wire.writer.transport.abort()

    return asyncio.run(scene())


async def _of_a_length(_scope: Any, _receive: Any, send: Send) -> None:
    headers = [(b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"bo", "more_body": True})
    await send({"type": "http.response.body", "body": b"dy"})


@pytest.mark.parametrize(("method", "bodies"), [("GET", [b"bo", b"dy"]), ("HEAD", [b""])])
def test_a_head_goes_with_the_beginning_of_the_body(method: str, bodies: list[bytes]) -> None:
    first, *others = _answers(_asked(method), app=_of_a_length, records=len(bodies))
    head, _, body = first.partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert [body, *others] == bodies


async def _of_no_body(_scope: Any, _receive: Any, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


def test_what_has_no_body_is_answered() -> None:
    assert _answers(_asked("GET"), app=_of_no_body, records=1)[0].startswith(b"HTTP/1.1 204 ")


async def _for_ever(_scope: Any, receive: Any, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    while (await receive())["type"] != "http.disconnect":
        pass


def test_the_head_of_a_stream_does_not_wait_for_what_may_never_come() -> None:
    assert _answers(_asked("GET"), app=_for_ever, records=1)[0].startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(("most", "answer"), [(1_000, b"HTTP/1.1 400 "), (None, b"HTTP/1.1 204 ")])
def test_a_request_s_head_may_be_as_long_as_the_server_is_told(
    most: int | None, answer: bytes
) -> None:
    head = _asked("GET").replace(b"x", b"x" * 8_000)
    asked = head[: -1 if most else None]  # What has come whole is never too long.
    (answered,) = _answers(asked, app=_of_no_body, records=1, h11_max_incomplete_event_size=most)

    assert answered.startswith(answer)
