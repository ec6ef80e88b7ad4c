"""An event loop whose time goes on only when there is nothing left to do: hours take no time."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run_timeless"]

_Result = TypeVar("_Result")


class _Selector(selectors.SelectSelector):
    """Waits for nothing, and counts how long it was to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.waited_s += timeout or 0.0
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._waits = _Selector()
        super().__init__(self._waits)

    def time(self) -> float:
        return self._waits.waited_s


def run_timeless(scene: Coroutine[Any, Any, _Result]) -> _Result:
    """Return what `scene` returns, run in a loop of this kind, which begins at 0."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(scene)
