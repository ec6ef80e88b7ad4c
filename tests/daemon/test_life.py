import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import Never

import pytest

from wgctl.daemon.life import pulse, until_stopped
from wgctl.drivers.systemd import Service


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


def test_it_says_that_its_loop_turns_and_when_it_stops(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.setblocking(False)
        service = Service(address, watchdog_s=0)

        async def live() -> list[bytes]:
            task = asyncio.create_task(pulse(service))
            told = [await asyncio.get_running_loop().sock_recv(listener, 100)]
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
            await until_stopped([task], service=service)
            while told[-1] != b"STOPPING=1":
                told.append(listener.recv(100))
            return told

        told = asyncio.run(live())

    assert told[0] == b"WATCHDOG=1"
