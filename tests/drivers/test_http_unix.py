import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from tests.patience import HANG_S
from wgctl.drivers.http_unix import credited

_SOMEBODY = 54_321


async def _tell_uid(scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(scope["state"]["uid"]).encode()})


@contextmanager
def _being(uid: int) -> Iterator[None]:
    own = os.geteuid()
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(own)


def _connected(address: bytes, uid: int) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    with _being(uid):
        connection.connect(address)
    connection.setblocking(False)
    return connection


async def _ask(connection: socket.socket) -> bytes:
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    writer.write(b"GET / HTTP/1.0\r\nx-uid: 0\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), HANG_S)
    writer.close()
    return answer


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can be somebody else")
def test_each_request_knows_the_user_who_made_its_connection() -> None:
    """Also where several ask at once, and whatever they say of themselves."""

    async def ask() -> list[bytes]:
        with socket.socket(socket.AF_UNIX) as listener:
            # Without a folder, which somebody else would have to be let into.
            listener.bind("")
            listener.listen()
            config = uvicorn.Config(_tell_uid, http=credited(), lifespan="off", log_config=None)
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve([listener]))
            asked = [_connected(listener.getsockname(), uid) for uid in (_SOMEBODY, 0)]
            answers = await asyncio.gather(*map(_ask, asked))
            server.should_exit = True
            await serving
            return answers

    answers = asyncio.run(ask())

    assert [answer.rpartition(b"\r\n")[2] for answer in answers] == [b"54321", b"0"]
