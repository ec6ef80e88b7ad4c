"""What a gateway tells the controller of its peers, and when; and that it is alive.

Whom to tell of is decided by `wgctl.core.sights`; how one looks and tells is
`wgctl.daemon.gateway`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from typing import NamedTuple, Never, TypeVar

from wgctl.core.ports import Seen
from wgctl.core.schema import ObservedPeer
from wgctl.core.sights import Sights
from wgctl.daemon.programme import observed

__all__ = ["Look", "Telling"]

_Result = TypeVar("_Result")

_LOOK_S = 2.0
_ROUND_S = 10.0
_REST = 10
"""To look takes as long as there are peers: it is rested this many times as long, up to a limit."""
_LONGEST_REST_S = 8.0
_LONGEST_SILENCE_S = 8.0
"""A controller that hears nothing for 15 s takes the role for dead; to be heard may take 5 s."""


class Look(NamedTuple):
    """What the device saw of each peer, by id, and how long it took to ask it.

    The wait until it could be asked does not count: it says nothing of what asking costs.
    """

    seen: Mapping[int, Seen]
    took_s: float


class Telling:
    """A gateway's reports: every 2 s what changed, and from 10 s to 10 s all.

    Of very many peers a few at a time, and less often. From the first look on a report goes out 8 s
    after the last one at the latest, be it of no peers, whatever the look waits for.
    """

    _sights: Sights
    _all_at: float
    _told_state: object

    def __init__(
        self,
        *,
        look: Callable[[], Awaitable[Look]],
        absent: Callable[[], Awaitable[list[ObservedPeer]]],
        state: Callable[[], object],
        tell: Callable[[list[ObservedPeer]], Awaitable[bool]],
    ) -> None:
        """Tell what a `look` finds, and of some who are `absent`, which is asked every 10 s.

        `state` is the rest of a report: one that differs is told after the next look. `tell` sends
        a report and returns whether it was heard; if not, all is told again.
        """
        self._look = look
        self._absent = absent
        self._state = state
        self._tell = tell
        self._begin_anew()
        self._began_at: float | None = None

    async def run(self) -> Never:
        """Report until cancelled."""
        while True:
            look = await self._alive_while(self._look())
            await self._tell_of(look.seen)
            rest_s = min(max(_LOOK_S, _REST * look.took_s), _LONGEST_REST_S)
            await self._alive_while(asyncio.sleep(rest_s))

    async def _tell_of(self, seen: Mapping[int, Seen]) -> None:
        """Tell what is news, if anything is, and all that is due."""
        sights = self._sights
        absent: list[ObservedPeer] = []
        is_due = (now := _now()) - self._all_at >= _ROUND_S
        if is_due:
            self._all_at = now
            if not sights.in_round:
                sights.begin_round(seen)
            absent = await self._alive_while(self._absent())
        chosen = sights.choose(seen)
        if (is_due or chosen or self._state() != self._told_state) and await self._heard(
            [*(observed(id_, seen[id_]) for id_ in chosen), *absent]
        ):
            sights.note_told(chosen, seen)

    async def _alive_while(self, work: Awaitable[_Result]) -> _Result:
        """Return what `work` returns; while it lasts, report that the role is alive."""
        task = asyncio.ensure_future(work)
        try:
            while True:
                done, _ = await asyncio.wait({task}, timeout=self._silence_left_s())
                if done:
                    return task.result()
                await self._heard([])
        finally:
            task.cancel()

    async def _heard(self, peers: list[ObservedPeer]) -> bool:
        """Report; return whether it was heard."""
        self._began_at = _now()
        state = self._state()
        if await self._tell(peers):
            self._told_state = state
            return True
        self._begin_anew()
        return False

    def _silence_left_s(self) -> float | None:
        """Return for how long no report needs to go out; None before the first."""
        if self._began_at is None:
            return None
        return max(0.0, self._began_at + _LONGEST_SILENCE_S - _now())

    def _begin_anew(self) -> None:
        """Hold nothing for told: the reader may have begun anew."""
        self._sights = Sights()
        self._all_at = -inf
        self._told_state = None


def _now() -> float:
    return asyncio.get_running_loop().time()
