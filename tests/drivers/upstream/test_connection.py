import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from tests.drivers.upstream.servers import (
    Raw,
    Script,
    Server,
    nothing,
    running,
    within_deadline,
)
from wgctl.core.forward.upstream import Transport
from wgctl.drivers.upstream.connection import Connection


def echo(asked: bytes) -> list[bytes]:
    return [asked]


def hello(id_: int) -> bytes:
    return id_.to_bytes(2, "big") + b"hello"


@asynccontextmanager
async def connected(
    script: Script, *, idle_s: float = 8.0, rest_s: float = 1.0
) -> AsyncIterator[tuple[Server, Connection]]:
    async with running(nothing, script, transport=Transport.TCP) as (server, upstream):
        connection = Connection(upstream, tls=None, idle_s=idle_s, rest_s=rest_s)
        try:
            yield server, connection
        finally:
            connection.close()


def test_questions_share_a_connection_and_get_their_own_replies_in_any_order() -> None:
    held: list[bytes] = []

    def backwards(asked: bytes) -> Sequence[bytes]:
        held.append(asked)
        return held[::-1] if len(held) == 20 else []

    async def work() -> None:
        async with connected(backwards) as (server, connection):
            sent: list[bytes] = []

            def make(id_: int) -> bytes:
                sent.append(hello(id_))
                return hello(id_)

            replies = await asyncio.gather(*(connection.exchange(make) for _ in range(20)))
            assert replies == sent
            assert len(set(replies)) == 20
            assert server.connections == 1

    within_deadline(work)


def test_one_that_was_closed_meanwhile_is_made_anew() -> None:
    async def work() -> None:
        async with connected(echo) as (server, connection):
            await connection.exchange(hello)
            server.close()
            assert (await connection.exchange(hello))[2:] == b"hello"
            assert server.connections == 2

    within_deadline(work)


def test_one_that_nobody_uses_is_closed() -> None:
    async def work() -> None:
        async with connected(echo, idle_s=0.05) as (server, connection):
            await connection.exchange(hello)
            await server.left.wait()
            await connection.exchange(hello)
            assert server.connections == 2

    within_deadline(work)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(lambda _: [Raw(b"")], id="closing"),
        pytest.param(lambda asked: [Raw(b"\0\7" + asked[:4])], id="closing mid-message"),
        pytest.param(lambda asked: [b"\0" + asked] * 9, id="replies to nobody"),
        pytest.param(lambda _: [b""] * 9, id="empty replies"),
    ],
)
def test_what_cannot_be_followed_ends_for_all_who_wait(script: Script) -> None:
    async def work() -> None:
        async with connected(script) as (server, connection):
            waiting = [connection.exchange(hello) for _ in range(3)]
            ends = await asyncio.gather(*waiting, return_exceptions=True)
            assert {type(end) for end in ends} <= {ConnectionResetError, ConnectionAbortedError}
            assert server.connections == 1

    within_deadline(work)


def test_one_that_ends_each_connection_at_once_gets_no_other_for_a_while() -> None:
    """A question each would cost ten times as much as over UDP."""
    script: Script = lambda _: [Raw(b"")]  # noqa: E731

    async def work() -> None:
        async with connected(script, rest_s=0.05) as (server, connection):
            while server.connections < 2:
                with pytest.raises(ConnectionError):
                    await connection.exchange(hello)
                await asyncio.sleep(0.01)
        async with connected(script, rest_s=60.0) as (server, connection):
            for _ in range(20):
                with pytest.raises(ConnectionError):
                    await connection.exchange(hello)
            assert server.connections == 1

    within_deadline(work)


def test_losing_patience_costs_the_others_nothing_while_the_upstream_speaks() -> None:
    async def work() -> None:
        async with connected(lambda asked: [asked] if asked[2:] == b"hello" else []) as (
            server,
            connection,
        ):
            mute = asyncio.create_task(connection.exchange(lambda id_: hello(id_) + b"?"))
            await server.was_asked.wait()
            await connection.exchange(hello)
            mute.cancel()
            await asyncio.wait([mute])
            assert (await connection.exchange(hello))[2:] == b"hello"
            assert server.connections == 1

    within_deadline(work)


def test_one_that_says_nothing_more_is_given_up_with_the_first_who_loses_patience() -> None:
    """A router may have forgotten the connection, and drop what is sent."""

    async def work() -> None:
        async with connected(nothing) as (server, connection):
            for _ in range(2):
                server.was_asked.clear()
                mute = asyncio.create_task(connection.exchange(hello))
                await server.was_asked.wait()
                mute.cancel()
                await asyncio.wait([mute])
            assert server.connections == 2

    within_deadline(work)
