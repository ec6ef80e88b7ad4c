import asyncio

from peers.endpoint import Endpoint
from tests.drivers.upstream.servers import running, within_deadline
from wgctl.drivers.upstream.datagram import MAX_STRAYS, exchange


def test_the_first_right_reply_ends_the_wait_and_too_many_wrong_ones_do_too() -> None:
    def replies(wrong: int) -> list[bytes]:
        return [b"wrong"] * wrong + [b"right"]

    async def received(wrong: int) -> bytes | None:
        async with running(lambda _: replies(wrong)) as (_, upstream):
            return await exchange(
                upstream.endpoint, b"?", is_reply=lambda message: message == b"right"
            )

    async def work() -> None:
        assert await received(0) == b"right"
        assert await received(MAX_STRAYS - 1) == b"right"
        assert await received(MAX_STRAYS) is None

    within_deadline(work)


def test_a_port_where_nobody_listens_is_noticed_at_once() -> None:
    async def work() -> None:
        try:
            await exchange(Endpoint("::1", 1), b"?", is_reply=lambda _: True)
        except ConnectionRefusedError:
            return
        raise AssertionError("nobody was refused")

    within_deadline(work)


def test_whoever_loses_patience_leaves_no_socket_behind() -> None:
    """A ResourceWarning would fail it."""

    async def work() -> None:
        async with running() as (server, upstream):
            task = asyncio.create_task(exchange(upstream.endpoint, b"?", is_reply=lambda _: True))
            await server.was_asked.wait()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()

    within_deadline(work)
