import asyncio

from tests.patience import HANG_S
from wgctl.api.context import Bell


def test_a_ring_from_another_thread_wakes_all_who_wait() -> None:
    async def wait() -> int:
        bell = Bell()
        bell.attach(asyncio.get_running_loop())
        waiting = [asyncio.create_task(bell.next_ring().wait()) for _ in range(3)]
        await asyncio.to_thread(bell.ring)
        return sum(await asyncio.wait_for(asyncio.gather(*waiting), HANG_S))

    assert asyncio.run(wait()) == 3


def test_a_ring_after_next_ring_was_taken_is_never_missed() -> None:
    async def wait() -> tuple[bool, bool]:
        bell = Bell()
        bell.attach(asyncio.get_running_loop())
        taken = bell.next_ring()
        bell.ring()
        await asyncio.wait_for(taken.wait(), HANG_S)
        return taken.is_set(), bell.next_ring().is_set()

    assert asyncio.run(wait()) == (True, False)


def test_a_ring_before_a_loop_or_after_its_end_does_nothing() -> None:
    bell = Bell()
    bell.ring()
    loop = asyncio.new_event_loop()
    bell.attach(loop)
    loop.close()
    bell.ring()

    assert not bell.next_ring().is_set()


def test_a_closed_bell_wakes_all_who_wait_for_the_last_time() -> None:
    bell = Bell()
    waiting = bell.next_ring()
    bell.close()

    assert bell.closed
    assert waiting.is_set()
