"""How a role lives: until a signal asks it to stop, or one of its tasks fails."""

import asyncio
import signal
from collections.abc import Sequence

__all__ = ["until_stopped"]


async def until_stopped(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait for SIGTERM or SIGINT, then cancel `tasks` and wait for them.

    A task that fails first ends the role: its error is raised here.
    """
    stopping = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopping.set)
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    failed = [task for task in tasks if task.done()]
    for task in (stopped, *tasks):
        task.cancel()
    await asyncio.gather(stopped, *tasks, return_exceptions=True)
    for task in failed:
        task.result()
