"""Runs inside a client: sends messages to a resolver as they are, and prints what comes back.

Standard input is a JSON object: `at` is the resolver, `follow` a query in hexadecimal that it will
answer, `messages` a list of those to send. Standard output is a JSON object with what each got over
`udp` and over `tcp`, in hexadecimal, and null for silence: only the query that followed was
answered, or the connection was closed. Besides:

    pipelined   how many of 60 queries sent at once over one connection were answered
    crowd       whether each of nine connections that are open together is served, in their order
    after       whether another one is, after one of them was closed
    idle_s      when an idle connection was closed, after a query and in the middle of one
"""

import asyncio
import json
import socket
import sys
import time
from typing import Any

PORT = 53
PIPELINED, CROWD = 60, 9
WAIT_S, TRIES = 5.0, 5
LONG_S = 60.0

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def main() -> None:
    asked = json.load(sys.stdin)
    at, follow = asked["at"], bytes.fromhex(asked["follow"])
    messages = [bytes.fromhex(message) for message in asked["messages"]]
    found: dict[str, Any] = {
        "udp": [_hex(await over_udp(at, message, follow)) for message in messages],
        "tcp": [_hex(await over_tcp(at, message, follow)) for message in messages],
        "pipelined": await pipelined(at, follow),
    }
    found["crowd"], found["after"] = await crowd(at, follow)
    whole, half = await asyncio.gather(idle_s(at, follow), idle_s(at, follow, sent=3))
    json.dump({**found, "idle_s": [whole, half]}, sys.stdout)


def _hex(message: bytes | None) -> str | None:
    return None if message is None else message.hex()


async def over_udp(at: str, message: bytes, follow: bytes) -> bytes | None:
    """Return the reply to `message`; None when only `follow`, sent behind it, gets one."""
    loop = asyncio.get_running_loop()
    for _ in range(TRIES):
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as opened:
            opened.connect((at, PORT))
            opened.send(message)
            opened.send(follow)
            try:
                async with asyncio.timeout(WAIT_S):
                    first = await loop.sock_recv(opened, 65535)
                    if first[:2] == follow[:2]:
                        return None
                    await loop.sock_recv(opened, 65535)
                    return first
            except TimeoutError:
                continue
    raise SystemExit(f"no reply to the query that followed {message.hex()}")


async def over_tcp(at: str, message: bytes, follow: bytes) -> bytes | None:
    """Return the reply to `message`; None when the connection is closed instead."""
    reader, writer = await asyncio.open_connection(at, PORT)
    try:
        writer.write(_framed(message) + _framed(follow))
        return await _read(reader)
    finally:
        writer.transport.abort()


async def pipelined(at: str, query: bytes) -> int:
    reader, writer = await asyncio.open_connection(at, PORT)
    ids = [number.to_bytes(2, "big") for number in range(PIPELINED)]
    writer.write(b"".join(_framed(id_ + query[2:]) for id_ in ids))
    replies = {reply[:2] for _ in ids if (reply := await _read(reader)) is not None}
    writer.transport.abort()
    return len(replies & set(ids))


async def crowd(at: str, query: bytes) -> tuple[list[bool], bool]:
    opened = [await asyncio.open_connection(at, PORT) for _ in range(CROWD)]
    served = [await _is_served(stream, query) for stream in opened]
    opened[0][1].transport.abort()
    after = False
    until = time.monotonic() + LONG_S
    while not after and time.monotonic() < until:
        opened.append(await asyncio.open_connection(at, PORT))
        after = await _is_served(opened[-1], query)
    for _, writer in opened:
        writer.transport.abort()
    return served, after


async def idle_s(at: str, query: bytes, *, sent: int | None = None) -> float:
    """Return how long a connection is kept on which nothing more comes."""
    reader, writer = await asyncio.open_connection(at, PORT)
    # Before the server's own count can begin: this process may get no processor after it.
    began = time.monotonic()
    writer.write(_framed(query)[:sent])
    if sent is None:
        await _read(reader)
    await _read(reader)
    writer.transport.abort()
    return time.monotonic() - began


async def _is_served(stream: Stream, query: bytes) -> bool:
    reader, writer = stream
    try:
        writer.write(_framed(query))
        return await _read(reader) is not None
    except OSError:
        return False


async def _read(reader: asyncio.StreamReader) -> bytes | None:
    """Return the next message of a stream; None at its end."""
    try:
        async with asyncio.timeout(LONG_S):
            length = int.from_bytes(await reader.readexactly(2), "big")
            return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


if __name__ == "__main__":
    asyncio.run(main())
