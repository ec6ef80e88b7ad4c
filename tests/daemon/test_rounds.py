"""In a loop without real time: what takes an hour here takes milliseconds."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from functools import partial
from typing import Any

import pytest

from tests.daemon.clock import run_timeless
from wgctl.daemon.rounds import Job, Rounds


class Log:
    """Makes jobs that note when they begin, and how many are under way at once."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, float]] = []
        self.under_way: Counter[int] = Counter()
        self.most: Counter[int] = Counter()

    def job(self, key: int, *, lane: int = 0, takes_s: float = 0) -> Job:
        async def job() -> None:
            self.begun.append((key, asyncio.get_running_loop().time()))
            self.under_way[lane] += 1
            self.most[lane] = max(self.most[lane], self.under_way[lane])
            self.most[-1] = max(self.most[-1], self.under_way.total())
            try:
                await asyncio.sleep(takes_s)
            finally:
                self.under_way[lane] -= 1

        return job

    def of(self, key: int) -> list[float]:
        return [round(at, 6) for one, at in self.begun if one == key]


def run(scene: Coroutine[Any, Any, None]) -> None:
    run_timeless(scene)


def test_a_job_comes_round_without_drift_however_long_it_takes() -> None:
    async def scene() -> None:
        rounds, log = Rounds(), Log()
        rounds.start(1, log.job(1, takes_s=0.9), lane=0, every_s=10, first_in_s=3)
        await asyncio.sleep(3600)
        rounds.close()

        assert log.of(1) == [3 + 10 * turn for turn in range(360)]

    run(scene())


def test_a_job_that_takes_longer_than_its_turn_leaves_turns_out_and_is_never_twice() -> None:
    async def scene() -> None:
        rounds, log = Rounds(), Log()
        rounds.start(1, log.job(1, takes_s=25), lane=0, every_s=10, first_in_s=0)
        await asyncio.sleep(100)
        rounds.close()

        assert log.of(1) == [0, 30, 60, 90]
        assert log.most[0] == 1

    run(scene())


def test_a_job_that_fails_comes_round_again() -> None:
    async def scene() -> None:
        rounds, turns = Rounds(), []

        async def fail() -> None:
            turns.append(1)
            raise LookupError("on purpose")

        rounds.start(1, fail, lane=0, every_s=1, first_in_s=0)
        await asyncio.sleep(2.5)
        rounds.close()

        assert len(turns) == 3

    run(scene())


def test_so_many_are_under_way_at_once_and_the_lanes_share_them_alike() -> None:
    async def scene() -> None:
        rounds, log = Rounds(in_all=20, of_lane=4), Log()
        for key in range(100):
            lane = key // 10
            job = log.job(key, lane=lane, takes_s=1)
            rounds.start(key, job, lane=lane, every_s=10, first_in_s=0)
        await asyncio.sleep(60)
        rounds.close()

        assert log.most[-1] == 20
        assert {log.most[lane] for lane in range(10)} == {2}
        assert {len(log.of(key)) for key in range(100)} <= {5, 6}

    run(scene())


def test_a_lane_that_is_slow_and_crowded_leaves_another_on_time() -> None:
    """A tenant with a thousand machines that do not answer delays no other's probes."""

    async def scene() -> None:
        rounds, log = Rounds(), Log()
        for key in range(1, 1001):
            job = log.job(key, lane=1, takes_s=30)
            rounds.start(key, job, lane=1, every_s=30, first_in_s=0)
        rounds.start(0, log.job(0, lane=2), lane=2, every_s=1, first_in_s=0.5)
        await asyncio.sleep(60)
        rounds.close()

        assert log.of(0) == [0.5 + turn for turn in range(60)]
        assert log.most[1] == 32

    run(scene())


@pytest.mark.parametrize(("lanes", "rate"), [(1, 100), (10, 500)])
def test_so_many_begin_in_a_second_and_all_have_their_turns(lanes: int, rate: int) -> None:
    async def scene() -> None:
        rounds, log = Rounds(), Log()
        for key in range(600):
            rounds.start(key, log.job(key), lane=key % lanes, every_s=1, first_in_s=0)
        await asyncio.sleep(8)
        rounds.close()

        assert 0.95 * 8 * rate <= len(log.begun) <= 8 * rate + lanes
        assert len({key for key, _ in log.begun}) == 600

    run(scene())


@pytest.mark.parametrize("at_s", [0.5, 1.5, 5.0], ids=["before", "under way", "between"])
def test_a_job_that_is_stopped_is_broken_off_and_not_done_again(at_s: float) -> None:
    async def scene() -> None:
        rounds, log = Rounds(), Log()
        rounds.start(1, log.job(1, takes_s=1), lane=0, every_s=10, first_in_s=1)
        await asyncio.sleep(at_s)
        rounds.stop(1)
        await asyncio.sleep(0)
        assert not log.under_way.total()
        before = len(log.begun)
        rounds.stop(1)
        await asyncio.sleep(60)

        assert len(log.begun) == before
        assert before == (at_s > 1)

    run(scene())


def test_what_is_stopped_as_it_begins_leaves_its_room_to_others() -> None:
    async def scene() -> None:
        rounds, log = Rounds(in_all=1), Log()
        rounds.start(1, log.job(1), lane=0, every_s=10, first_in_s=0)
        while not rounds.under_way:  # noqa: ASYNC110  # within this very turn of the loop
            await asyncio.sleep(0)
        rounds.stop(1)
        rounds.start(2, log.job(2), lane=0, every_s=10, first_in_s=0)
        await asyncio.sleep(1)
        rounds.close()

        assert [key for key, _ in log.begun] == [2]

    run(scene())


def test_a_job_that_is_started_again_takes_the_place_of_the_last_one() -> None:
    async def scene() -> None:
        rounds, log = Rounds(), Log()
        rounds.start(1, log.job(1), lane=0, every_s=10, first_in_s=5)
        rounds.start(1, log.job(2), lane=0, every_s=1, first_in_s=0)
        await asyncio.sleep(2.5)
        rounds.close()

        assert [key for key, _ in log.begun] == [2, 2, 2]

    run(scene())


def test_what_is_stopped_while_it_waits_for_room_gives_up_its_place() -> None:
    async def scene() -> None:
        rounds, log = Rounds(of_lane=1), Log()
        start = partial(rounds.start, lane=0, every_s=100, first_in_s=0)
        for key in (1, 2, 3):
            start(key, log.job(key, takes_s=5))
        await asyncio.sleep(1)
        rounds.stop(2)
        await asyncio.sleep(6)
        rounds.stop(3)
        start(4, log.job(4))
        await asyncio.sleep(1)
        rounds.close()

        assert [key for key, _ in log.begun] == [1, 3, 4]

    run(scene())
