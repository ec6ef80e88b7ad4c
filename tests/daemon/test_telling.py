"""When reports go out, of looks that take as long as the test says, in a loop without time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from tests.daemon.clock import run_timeless
from wgctl.core.ports import Seen
from wgctl.core.schema import ObservedPeer
from wgctl.daemon.programme import observed
from wgctl.daemon.telling import Look, Telling
from wgctl.services.observe import ALIVE_S

_QUIET, _GONE = 0, 1_000_000
_HEARD_S = 5.0


def _never(_at: float) -> float:
    return 0.0


def _blank(_look: int) -> dict[int, Seen]:
    return {_QUIET: Seen(None, None, 0, 0)}


@dataclass
class Scene:
    """A gateway; `wait_s` and `took_s` of a look, and `deaf` of a report, are by when it begins."""

    wait_s: Callable[[float], float] = _never
    took_s: Callable[[float], float] = _never
    answer_s: float = 0.0
    deaf: Callable[[float], bool] = lambda _at: False
    seen: Callable[[int], dict[int, Seen]] = _blank
    looks: list[float] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    reports: list[tuple[float, set[int]]] = field(default_factory=list)

    async def look(self) -> Look:
        at = _now()
        self.looks.append(at)
        await asyncio.sleep(self.wait_s(at) + self.took_s(at))
        return Look(self.seen(len(self.looks)), self.took_s(at))

    async def absent(self) -> list[ObservedPeer]:
        self.asked.append(_now())
        return [observed(_GONE, Seen(None, None, 0, 0))]

    async def tell(self, peers: list[ObservedPeer]) -> bool:
        at = _now()
        self.reports.append((at, {peer.peer_id for peer in peers}))
        await asyncio.sleep(self.answer_s)
        return not self.deaf(at)

    def run(self, *, for_s: float) -> None:
        run_timeless(self._run(for_s))

    async def _run(self, for_s: float) -> None:
        telling = Telling(look=self.look, absent=self.absent, state=lambda: 0, tell=self.tell)
        task = asyncio.create_task(telling.run())
        await asyncio.sleep(for_s)
        task.cancel()

    def longest_silence_s(self) -> float:
        return max(after - before for (before, _), (after, _) in pairwise(self.reports))

    def told_of(self, peer_id: int) -> list[float]:
        return [at for at, ids in self.reports if peer_id in ids]


def _now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("took_s", [0.0, 0.5, 0.8, 1.9, 4.0, 40.0])
def test_looks_that_take_long_leave_the_gateway_alive_where_nothing_changes(took_s: float) -> None:
    scene = Scene(took_s=lambda _at: took_s)
    scene.run(for_s=300)

    assert scene.longest_silence_s() + _HEARD_S < ALIVE_S


def test_one_slow_look_among_fast_ones_leaves_the_gateway_alive() -> None:
    scene = Scene(took_s=lambda at: 1.9 if 15 < at < 18 else 0.01)
    scene.run(for_s=60)

    assert scene.longest_silence_s() + _HEARD_S < ALIVE_S


def test_a_look_that_cannot_begin_leaves_the_gateway_alive() -> None:
    """A pass over very many networks has the kernel's thread for long."""
    scene = Scene(wait_s=lambda at: 60.0 if at > 20 else 0.0)
    scene.run(for_s=100)

    assert scene.longest_silence_s() + _HEARD_S < ALIVE_S


def test_nothing_is_told_before_the_first_look() -> None:
    """The gateway does not know yet how it is."""
    scene = Scene(wait_s=lambda at: 30.0 if at == 0 else 0.0)
    scene.run(for_s=31)

    assert scene.reports[0] == (30.0, {_QUIET, _GONE})


def test_only_what_a_look_costs_is_rested() -> None:
    waits = Scene(wait_s=lambda _at: 1.0, answer_s=1.0)
    waits.run(for_s=40)
    costs = Scene(took_s=lambda _at: 0.5)
    costs.run(for_s=40)

    assert all(b - a < 6 for a, b in pairwise(waits.looks))
    assert all(b - a == 0.5 + 5 for a, b in pairwise(costs.looks))


def test_all_is_told_every_ten_seconds() -> None:
    scene = Scene()
    scene.run(for_s=35)

    assert scene.told_of(_QUIET) == [0, 10, 20, 30]


def test_where_more_change_at_each_look_than_are_told_the_others_are_told_too() -> None:
    def seen(look: int) -> dict[int, Seen]:
        quiet = dict.fromkeys(range(8_000), Seen(None, None, 0, 0))
        return quiet | dict.fromkeys(range(8_000, 14_000), Seen(None, None, look, 0))

    scene = Scene(seen=seen)
    scene.run(for_s=42)

    assert len(scene.told_of(_QUIET)) >= 2
    assert scene.asked == [0, 10, 20, 30, 40]
    assert scene.told_of(_GONE) == scene.asked


def test_a_controller_that_did_not_hear_is_told_all_again() -> None:
    """It was told that the gateway is alive, while a look was under way."""
    scene = Scene(took_s=lambda _at: 0.375, deaf=lambda at: at == 8.375)
    scene.run(for_s=12)

    assert scene.reports == [(0.375, {_QUIET, _GONE}), (8.375, set()), (8.625, {_QUIET, _GONE})]
