import asyncio

from tests.drivers.upstream.servers import within_deadline
from tests.patience import HANG_S
from wgctl.drivers.upstream.turnstile import Turnstile


def test_a_burst_goes_through_one_in_a_turn_and_in_its_order() -> None:
    async def work() -> None:
        turnstile, passed = Turnstile(), list[int]()

        async def one(number: int) -> None:
            await turnstile.through()
            passed.append(number)

        tasks = [asyncio.create_task(one(number)) for number in range(20)]
        tasks[4].cancel()
        counts = []
        while len(passed) < 19:
            before = len(passed)
            await asyncio.sleep(0)
            counts.append(len(passed) - before)
        assert max(counts) == 1
        assert passed == [number for number in range(20) if number != 4]
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait_for(turnstile.through(), HANG_S)

    within_deadline(work)
