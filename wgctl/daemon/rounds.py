"""Jobs that come round again and again: when each is due, and how many are under way at once.

Knows nothing of what they do. Each belongs to a lane, which is a network: one lane's jobs, however
many and slow they are, leave the others room.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial

import structlog

from wgctl.core.health import next_due

__all__ = ["Job", "Rounds"]

_IN_ALL = 256
# An eighth of all, as with queries that are forwarded.
_OF_LANE = 32
# So many begin in a second: a probe takes 0.3 to 0.5 ms of the processor that answers queries.
_RATE = 500
_RATE_OF_LANE = 100

_log = structlog.get_logger()

Job = Callable[[], Coroutine[None, None, None]]
"""What is done at each turn; what it raises is logged."""


class Rounds:
    """Jobs by their key, an int; one job is never under way twice. Used in one loop.

    At most 256 are under way at once, and 500 begin in a second; of one lane 32, and 100. One that
    is late is done as soon as there is room, and its turns that went by meanwhile are left out.
    """

    def __init__(self, *, in_all: int = _IN_ALL, of_lane: int = _OF_LANE) -> None:
        """Begin with no jobs; used in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._turns: dict[int, _Turn] = {}
        self._lanes: dict[int, _Lane] = {}
        self._room = asyncio.Semaphore(in_all)
        self._of_lane = of_lane
        self._next_begins = 0.0

    @property
    def under_way(self) -> int:
        """How many jobs are being done."""
        return sum(lane.under_way for lane in self._lanes.values())

    def start(self, key: int, job: Job, *, lane: int, every_s: float, first_in_s: float) -> None:
        """Do `job` in `first_in_s` and every `every_s` after, and the last one of `key` no more."""
        self.stop(key)
        turn = _Turn(job, lane, every_s, self._loop.time() + first_in_s)
        self._turns[key] = turn
        turn.timer = self._loop.call_at(turn.due, self._come, turn)

    def stop(self, key: int) -> None:
        """Do the job of `key` no more, and break it off if it is under way; nothing if none is."""
        turn = self._turns.pop(key, None)
        if turn is None:
            return
        turn.stopped = True
        if turn.timer is not None:
            turn.timer.cancel()
        if turn.task is not None:
            turn.task.cancel()
        if lane := self._lanes.get(turn.lane):
            lane.waiting.pop(id(turn), None)

    def close(self) -> None:
        """Do no job any more."""
        for key in list(self._turns):
            self.stop(key)
        for lane in self._lanes.values():
            if lane.drain is not None:
                lane.drain.cancel()

    def _come(self, turn: "_Turn") -> None:
        lane = self._lanes.get(turn.lane)
        if lane is None:
            lane = self._lanes[turn.lane] = _Lane(asyncio.Semaphore(self._of_lane))
        lane.waiting[id(turn)] = turn
        if lane.drain is None:
            lane.drain = self._loop.create_task(self._drain(lane, turn.lane))

    async def _drain(self, lane: "_Lane", key: int) -> None:
        """Begin what waits in `lane`, in the order in which it came, as there is room."""
        while lane.waiting:
            await lane.room.acquire()
            await self._room.acquire()
            await self._pace()
            if not lane.waiting:  # All of it was stopped meanwhile.
                self._leave(lane)
                break
            turn = lane.waiting.pop(next(iter(lane.waiting)))
            lane.under_way += 1
            turn.task = self._loop.create_task(_do(turn.job))
            # Not at the end of the task: one that is cancelled before it begins has none.
            turn.task.add_done_callback(partial(self._done, turn, lane, key))
            await asyncio.sleep(1 / _RATE_OF_LANE)
        lane.drain = None
        self._close_empty(lane, key)

    async def _pace(self) -> None:
        now = self._loop.time()
        begins = max(now, self._next_begins)
        self._next_begins = begins + 1 / _RATE
        await asyncio.sleep(begins - now)

    def _done(self, turn: "_Turn", lane: "_Lane", key: int, _task: asyncio.Task[None]) -> None:
        lane.under_way -= 1
        self._leave(lane)
        self._close_empty(lane, key)
        turn.task = None
        if not turn.stopped:
            turn.due = next_due(turn.due, every_s=turn.every_s, now=self._loop.time())
            turn.timer = self._loop.call_at(turn.due, self._come, turn)

    def _leave(self, lane: "_Lane") -> None:
        lane.room.release()
        self._room.release()

    def _close_empty(self, lane: "_Lane", key: int) -> None:
        if not lane.waiting and not lane.under_way and lane.drain is None:
            self._lanes.pop(key, None)


async def _do(job: Job) -> None:
    try:
        await job()
    except Exception:  # noqa: BLE001  # one job must not end the rounds of all others
        _log.exception("job failed")


@dataclass(slots=True)
class _Turn:
    """One job and when it is due; `timer` until then, `task` while it is under way."""

    job: Job
    lane: int
    every_s: float
    due: float
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None
    stopped: bool = False


@dataclass(slots=True)
class _Lane:
    """What is due in one lane, and the task that begins it, while there is any."""

    room: asyncio.Semaphore
    waiting: dict[int, _Turn] = field(default_factory=dict)
    under_way: int = 0
    drain: asyncio.Task[None] | None = None
