"""How a role lives: until a signal asks it to stop, or one of its tasks fails.

What it tells systemd meanwhile is `wgctl.drivers.systemd`.
"""

import asyncio
import signal
from collections.abc import Sequence
from typing import Never

from wgctl.drivers.systemd import SILENT, Service

__all__ = ["pulse", "until_stopped"]

_PULSE_S = 1.0


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
