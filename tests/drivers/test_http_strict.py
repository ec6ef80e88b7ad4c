"""Octets over a real socket to a real uvicorn, and after them a request that must stay one."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from tests.drivers.plain_serving import serving
from tests.patience import HANG_S
from wgctl.drivers.http_strict import MOST_HEAD_BYTES, MOST_HEADER_LINES, StrictProtocol

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
SEEN_LAST = ["GET", "/last", ""]
LONG = "x" * 300_000


async def echo(scope: Any, receive: Receive, send: Send) -> None:
    """Say what was asked; at `/unread` before a body has come, and at `/parts` in two parts."""
    body = b""
    while scope["path"] != "/unread":
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    query = scope["query_string"].decode()
    seen = [scope["method"], scope["path"] + (f"?{query}" if query else ""), body.decode("latin-1")]
    said = json.dumps(seen).encode()
    parts = scope["path"] == "/parts"
    headers = [] if parts else [(b"content-length", str(len(said)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if parts:
        await send({"type": "http.response.body", "body": said[:5], "more_body": True})
        said = said[5:]
    await send({"type": "http.response.body", "body": said})


def served() -> AbstractAsyncContextManager[int]:
    """Serve for the block; give the port."""
    return serving(echo, StrictProtocol, host="127.0.0.1")


def answered(*parts: bytes) -> bytes:
    """Send each part when the one before it has gone, and return all that comes to the end."""

    async def scene() -> bytes:
        async with served() as port, asyncio.timeout(HANG_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            reading = asyncio.create_task(reader.read(-1))
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0)
            try:
                return await reading
            finally:
                writer.transport.abort()

    return asyncio.run(scene())


def seen(said: bytes) -> list[Any]:
    """Return what the application says that it saw, or the status of another answer than 200."""
    found = []
    while said:
        head, _, rest = said.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        length = re.search(rb"\r\ncontent-length: (\d+)", head)
        size = len(rest) if length is None else int(length[1])
        found.append(json.loads(rest[:size]) if status == 200 else status)
        said = rest[size:]
    return found


def get(*lines: bytes, target: bytes = b"/") -> bytes:
    return b"\r\n".join([b"GET " + target + b" HTTP/1.1", b"Host: x", *lines, b"", b""])


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([b"POST / HTTP/1.1", b"Host: x", *lines, b"", body])


TAKEN = {
    "no body": (get(), ["GET", "/", ""]),
    "query": (get(target=b"/a%20b/c?d=%20e?f"), ["GET", "/a b/c?d=%20e?f", ""]),
    "every character of a target": (
        get(target=b"/!\"$%&'()*+,-./:;<=>@[\\]^_`{|}~"),
        ["GET", "/!\"$%&'()*+,-./:;<=>@[\\]^_`{|}~", ""],
    ),
    "two slashes": (get(target=b"//host/a"), ["GET", "//host/a", ""]),
    "dots are the application's": (get(target=b"/../a"), ["GET", "/../a", ""]),
    "body": (post(b"Content-Length: 3", body=b"abc"), ["POST", "/", "abc"]),
    "body that looks like a request": (
        post(b"Content-Length: %d" % len(LAST), body=LAST),
        ["POST", "/", LAST.decode()],
    ),
    "body of nothing": (post(b"Content-Length: 0"), ["POST", "/", ""]),
    "long body": (
        post(b"Content-Length: 300000", body=LONG.encode()),
        ["POST", "/", LONG],
    ),
    "body of a GET": (get(b"Content-Length: 2") + b"ab", ["GET", "/", "ab"]),
    "white space around a length": (
        post(b"Content-Length: \t 3 \t", body=b"abc"),
        ["POST", "/", "abc"],
    ),
    "empty header": (get(b"X-A:", b"X-B: "), ["GET", "/", ""]),
    "octets of no ASCII": (get(b"X-A: caf\xc3\xa9\xff"), ["GET", "/", ""]),
    "websocket": (
        get(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
        ["GET", "/", ""],
    ),
    "HTTP/2": (
        get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
        ["GET", "/", ""],
    ),
    "upgrade with a body": (
        post(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 3", body=b"abc"),
        ["POST", "/", "abc"],
    ),
    "as many headers as may be": (get(*[b"A: b"] * (MOST_HEADER_LINES - 1)), ["GET", "/", ""]),
    "as long a head as may be": (
        get(b"A: " + b"b" * (MOST_HEAD_BYTES - len(get(b"A: ")))),
        ["GET", "/", ""],
    ),
}


@pytest.mark.parametrize(("request_", "expected"), TAKEN.values(), ids=TAKEN)
def test_a_request_is_taken_and_what_follows_is_the_next(
    request_: bytes, expected: list[str]
) -> None:
    assert seen(answered(request_ + LAST)) == [expected, SEEN_LAST]


REFUSED = {
    "length and chunks": post(b"Content-Length: 3", b"Transfer-Encoding: chunked"),
    "chunks and length": post(b"Transfer-Encoding: chunked", b"Content-Length: 3"),
    "two lengths": post(b"Content-Length: 3", b"Content-Length: 4", body=b"abcd"),
    "the same length twice": post(b"Content-Length: 3", b"content-length: 3", body=b"abc"),
    "a list of lengths": post(b"Content-Length: 3, 3", body=b"abc"),
    "no number": post(b"Content-Length: abc", body=b"abc"),
    "no length": post(b"Content-Length:", body=b"abc"),
    "plus": post(b"Content-Length: +3", body=b"abc"),
    "minus": post(b"Content-Length: -3", body=b"abc"),
    "base 16": post(b"Content-Length: 0x3", body=b"abc"),
    "underscore": post(b"Content-Length: 0_3", body=b"abc"),
    "digits that are no ASCII": post("Content-Length: ٣".encode(), body=b"abc"),
    "more than 64 bits": post(b"Content-Length: 18446744073709551619", body=b"abc"),
    "other coding": post(b"Transfer-Encoding: gzip"),
    "two codings": post(b"Transfer-Encoding: gzip, chunked"),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked"),
    "two lines of codings": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
    "nearly chunked": post(b"Transfer-Encoding: xchunked"),
    "vertical tab before it": post(b"Transfer-Encoding: \x0bchunked"),
    "chunks from HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space before the colon": post(b"Content-Length : 3", body=b"abc"),
    "tab before the colon": post(b"Transfer-Encoding\t: chunked"),
    "folded": get(b"X-A: b", b" c"),
    "folded with a tab": get(b"X-A: b", b"\tTransfer-Encoding: chunked"),
    "folded at once": b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
    "half line ends": b"GET / HTTP/1.1\nHost: x\n\n",
    "one half line end": get(b"X-A: b\nTransfer-Encoding: chunked"),
    "half an empty line": b"GET / HTTP/1.1\r\nHost: x\r\n\n",
    "carriage return": get(b"X-A: b\rX-B: c"),
    "two carriage returns": get(b"X-A: b\r"),
    "NUL in a header": get(b"X-A: b\0c"),
    "NUL in a name": get(b"X\0A: b"),
    "NUL in a target": get(target=b"/\0"),
    "DEL": get(b"X-A: b\x7f"),
    "no colon": get(b"X-A"),
    "no name": get(b": b"),
    "a name of no ASCII": get(b"X-\xe4: b"),
    "a name in quotes": get(b'"X": b'),
    "empty line first": b"\r\n" + get(),
    "half an empty line first": b"\n" + get(),
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": get(b"Host: y"),
    "the same host twice": get(b"host: x"),
    "no version": b"GET /\r\nHost: x\r\n\r\n",
    "HTTP/0.9": b"GET / HTTP/0.9\r\nHost: x\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/2.0": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.10": b"GET / HTTP/1.10\r\nHost: x\r\n\r\n",
    "lower case": b"GET / http/1.1\r\nHost: x\r\n\r\n",
    "other protocol": b"GET / ICE/1.0\r\nHost: x\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tabs": b"GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n",
    "space at the end": b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
    "space in a target": get(target=b"/a b"),
    "fragment": get(target=b"/a#b"),
    "target of no ASCII": get(target=b"/\xc3\xa9"),
    "whole URL": get(target=b"http://x/a"),
    "all of the server": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "tunnel": b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n",
    "tunnel to a path": b"CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n",
    "unknown method": b"FETCH / HTTP/1.1\r\nHost: x\r\n\r\n",
    "method in lower case": b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
    "one header too many": get(*[b"A: b"] * MOST_HEADER_LINES),
    "one octet too many": get(b"A: " + b"b" * (MOST_HEAD_BYTES - len(get(b"A: ")) + 1)),
    "a long target": get(target=b"/" + b"a" * MOST_HEAD_BYTES),
}


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED)
def test_what_is_no_request_ends_the_connection(request_: bytes) -> None:
    assert seen(answered(get() + request_ + LAST)) == [["GET", "/", ""], 400]


@pytest.mark.parametrize(
    "begun",
    [b"\x16\x03\x01\x02\0\x01\0\x01", b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nA: " + b"b" * 2**16],
    ids=["TLS", "half a line end", "too long"],
)
def test_what_can_become_no_request_is_not_waited_for(begun: bytes) -> None:
    assert seen(answered(begun)) == [400]


def test_requests_come_at_once_or_octet_by_octet() -> None:
    asked = post(b"Content-Length: 3", body=b"abc") + get(target=b"/a") + LAST
    expected = [["POST", "/", "abc"], ["GET", "/a", ""], SEEN_LAST]

    assert seen(answered(asked)) == expected
    assert seen(answered(*(asked[at : at + 1] for at in range(len(asked))))) == expected


def test_a_thousand_requests_at_once_are_answered_in_their_order() -> None:
    asked = b"".join(get(target=b"/%d" % number) for number in range(1_000))

    found = seen(answered(asked + LAST))

    assert found == [["GET", f"/{number}", ""] for number in range(1_000)] + [SEEN_LAST]


def test_a_body_that_was_answered_before_it_came_is_no_request() -> None:
    body = LAST * 5_000
    head = b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)

    assert seen(answered(head, body, LAST)) == [["POST", "/unread", ""], SEEN_LAST]


def test_nothing_after_a_body_in_chunks_is_a_request() -> None:
    """The application refuses it by its header; whoever lets it through sees no body."""
    asked = post(b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n")

    said = answered(asked, LAST)

    assert seen(said) == [["POST", "/", ""]]
    assert b"\r\nconnection: close\r\n" in said


def test_nothing_after_the_last_request_is_answered() -> None:
    assert seen(answered(LAST + get())) == [SEEN_LAST]


def test_an_answer_to_http_1_0_ends_with_the_connection() -> None:
    said = answered(b"GET /parts HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + LAST)

    assert seen(said) == [["GET", "/parts", ""]]
    assert b"transfer-encoding" not in said


def test_who_waits_to_be_asked_for_a_body_is_asked() -> None:
    async def scene() -> bytes:
        async with served() as port, asyncio.timeout(HANG_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(post(b"Expect: 100-Continue", b"Content-Length: 3"))
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"abc" + LAST)
            said = await reader.read(-1)
            writer.close()
            return said

    assert seen(asyncio.run(scene())) == [["POST", "/", "abc"], SEEN_LAST]


@pytest.mark.parametrize(
    "asked",
    [
        post(b"Expect: 100-continue") + LAST,
        post(b"Expect: 100-continue", b"Transfer-Encoding: chunked"),
        b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    ],
    ids=["no body", "a body that is not read", "HTTP/1.0"],
)
def test_nobody_else_is_asked_for_one(asked: bytes) -> None:
    assert answered(asked).startswith(b"HTTP/1.1 200 ")
