"""Real connections over the loopback to a real uvicorn with TLS."""

import asyncio
import ssl
from contextlib import suppress

from tests.drivers.serving import REQUEST, served
from tests.patience import HANG_S

SOON_S = 2.0


def test_a_request_over_tls_is_answered_and_no_header_says_where_it_comes_from() -> None:
    async def scene() -> list[object]:
        async with served() as place:
            caller = await place.call()
            return [await caller.asks() for _ in range(2)]

    assert asyncio.run(scene()) == [["127.0.0.1", "https"]] * 2


def test_a_connection_that_never_speaks_tls_is_closed() -> None:
    async def scene() -> object:
        async with served(handshake_s=SOON_S) as place:
            silent, plain = await place.call(tls=False), await place.call(tls=False)
            plain.writer.write(REQUEST)
            await silent.is_closed()
            await plain.is_closed()
            return await (await place.call()).asks()

    assert asyncio.run(scene())


def test_a_slow_request_is_closed_though_an_octet_comes_now_and_then() -> None:
    async def scene() -> int:
        async with served(patience_s=SOON_S) as place:
            slow = await place.call()
            closed, sent = asyncio.create_task(slow.is_closed()), 0
            while not closed.done():
                slow.writer.write(b"X-Wait: yes\r\n" if sent else REQUEST[:-2])
                sent += 1
                await asyncio.wait([closed], timeout=SOON_S / 8)
            await closed
        return sent

    assert asyncio.run(scene()) > 2


def test_a_host_that_holds_its_64_connections_gets_no_more_until_one_ends() -> None:
    """Those that have not even begun with TLS count too: they cost a handshake's memory each."""

    async def scene() -> tuple[object, object]:
        async with served() as place:
            held = [await place.call(tls=False) for _ in range(64)]
            beyond = await place.call(tls=False)
            await beyond.is_closed()
            held[0].writer.transport.abort()
            async with asyncio.timeout(HANG_S):
                while True:
                    with suppress(OSError, ssl.SSLError):
                        after = await (await place.call()).asks()
                        if after is not None:
                            return len(held), after

    assert asyncio.run(scene()) == (64, ["127.0.0.1", "https"])


def test_it_ends_though_some_are_half_way_in() -> None:
    async def scene() -> None:
        async with served() as place:
            half, whole = await place.call(tls=False), await place.call()
            assert await whole.asks()
        await half.is_closed()
        await whole.is_closed()

    asyncio.run(scene())
