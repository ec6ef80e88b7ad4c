"""How a role lives: until a signal asks it to stop, or one of its tasks fails; and its garbage.

What it tells systemd meanwhile is `wgctl.drivers.systemd`.
"""

import asyncio
import gc
import signal
from collections.abc import Sequence
from typing import Never

from wgctl.drivers.systemd import SILENT, Service

__all__ = ["collect_garbage", "pulse", "until_stopped"]

_PULSE_S = 1.0

_YOUNG = 10_000
"""So many objects more than there were are looked through for garbage, within a millisecond."""


def collect_garbage() -> None:
    """Look for garbage from here on, but not among what is here, which is for good.

    Looking through that takes 0.1 s, which everybody waits.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)
    gc.enable()


async def until_stopped(tasks: Sequence[asyncio.Task[None]], *, service: Service = SILENT) -> None:
    """Wait for SIGTERM or SIGINT, then cancel `tasks` and wait for them; `service` hears of it.

    A task that fails first ends the role: its error is raised here.
    """
    stopping = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopping.set)
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    service.stopping()
    failed = [task for task in tasks if task.done()]
    for task in (stopped, *tasks):
        task.cancel()
    await asyncio.gather(stopped, *tasks, return_exceptions=True)
    for task in failed:
        task.result()


async def pulse(service: Service) -> Never:
    """Say that the loop turns, until cancelled; a loop that hangs says nothing."""
    while True:
        service.alive()
        await asyncio.sleep(_PULSE_S)
