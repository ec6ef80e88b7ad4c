import asyncio
import os
import signal
from typing import Never

import pytest

from wgctl.daemon.life import until_stopped


async def _forever(cancelled: list[str], name: str = "one") -> None:
    try:
        await asyncio.Event().wait()
    finally:
        cancelled.append(name)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cancels_the_tasks_and_waits_for_them(signum: signal.Signals) -> None:
    cancelled: list[str] = []

    async def live() -> None:
        tasks = [asyncio.create_task(_forever(cancelled, name)) for name in ("one", "two")]
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signum)
        await until_stopped(tasks)

    asyncio.run(live())
    assert sorted(cancelled) == ["one", "two"]


def test_a_task_that_fails_ends_the_role_with_its_error() -> None:
    """A supervisor starts the role again: better than one that lives on without a part."""
    cancelled: list[str] = []

    async def fail() -> Never:
        raise ZeroDivisionError

    async def live() -> None:
        await until_stopped([asyncio.create_task(_forever(cancelled)), asyncio.create_task(fail())])

    with pytest.raises(ZeroDivisionError):
        asyncio.run(live())
    assert cancelled == ["one"]
